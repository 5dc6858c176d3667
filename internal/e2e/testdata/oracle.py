"""Shows everything a request gives to the application; other paths are the cases of cases.py."""

import json

import cases


def show(value):
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (bytes, tuple)):
        return repr(value)
    return "object of " + type(value).__module__ + "." + type(value).__qualname__


def application(environ, start_response):
    if environ.get("PATH_INFO", "").startswith("/case/"):
        return getattr(cases, environ["PATH_INFO"][len("/case/"):])(environ, start_response)
    seen = {k: show(v) for k, v in environ.items()}
    seen["body"] = environ["wsgi.input"].read().decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen, sort_keys=True).encode()]
