"""Calls of the cache: so many in a request that they are what it costs."""

import uwsgi

CALLS = 5000
VALUE = b"x" * 100
KEYS = ["key %d" % i for i in range(500)]

for key in KEYS:
    uwsgi.cache_update(key, VALUE)


def get():
    for _ in range(CALLS // len(KEYS)):
        for key in KEYS:
            uwsgi.cache_get(key)


def put():
    for _ in range(CALLS // len(KEYS)):
        for key in KEYS:
            uwsgi.cache_update(key, VALUE)


def both():
    """Four of five read."""
    for _ in range(CALLS // len(KEYS) // 5):
        for key in KEYS:
            uwsgi.cache_update(key, VALUE)
            uwsgi.cache_get(key)
            uwsgi.cache_get(key)
            uwsgi.cache_get(key)
            uwsgi.cache_get(key)


WHAT = {"/get": get, "/set": put, "/both": both}


def application(environ, start_response):
    WHAT[environ["PATH_INFO"]]()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"done\n"]
