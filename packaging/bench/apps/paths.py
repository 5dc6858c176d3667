"""One application for all the other rows: each path is one of them. Bodies repeat PATTERN, which the load generator knows too."""

import os
import time

PATTERN = bytes(range(256)) * 256
BORN = b"%d\n" % time.time_ns()
OCTETS = ("Content-Type", "application/octet-stream")


def piece(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


KIB10, MIB1, CHUNK = piece(10 << 10), piece(1 << 20), PATTERN[:1024]


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "14")])
    return [b"Hello, World!\n"]


def kib10(environ, start_response):
    start_response("200 OK", [OCTETS, ("Content-Length", str(len(KIB10)))])
    return [KIB10]


def mib1(environ, start_response):
    start_response("200 OK", [OCTETS, ("Content-Length", str(len(MIB1)))])
    return [MIB1]


def post(environ, start_response):
    """Reads the body whole and answers with its length and whether it is the pattern."""
    left, offset, good, stream = int(environ["CONTENT_LENGTH"]), 0, True, environ["wsgi.input"]
    while left > 0:
        data = stream.read(min(left, len(PATTERN) - offset))
        if not data:
            break
        good = good and data == PATTERN[offset : offset + len(data)]
        offset = (offset + len(data)) % len(PATTERN)
        left -= len(data)
    text = b"%d left, %s\n" % (left, b"right" if good else b"wrong")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


def generator(environ, start_response):
    """100 chunks of 1 KiB without a Content-Length."""
    start_response("200 OK", [OCTETS])
    for _ in range(100):
        yield CHUNK


def stream(environ, start_response):
    """As many bytes as the query says, in blocks of 64 KiB."""
    size = int(environ["QUERY_STRING"])
    start_response("200 OK", [OCTETS, ("Content-Length", str(size))])
    while size > 0:
        yield PATTERN if size >= len(PATTERN) else PATTERN[:size]
        size -= len(PATTERN)


def wrapped(environ, start_response):
    path = os.environ["BENCH_FILES"] + "/10m.bin"
    start_response("200 OK", [OCTETS, ("Content-Length", str(os.path.getsize(path)))])
    return environ["wsgi.file_wrapper"](open(path, "rb"), 65536)


def sleeper(seconds):
    def application(environ, start_response):
        time.sleep(seconds)
        return hello(environ, start_response)

    return application


def born(environ, start_response):
    """When this code was loaded: a reload is over when the answer changes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BORN)))])
    return [BORN]


PATHS = {
    "/": hello, "/10k": kib10, "/1m": mib1, "/post": post, "/generator": generator, "/stream": stream, "/file": wrapped,
    "/sleep5": sleeper(0.005), "/sleep50": sleeper(0.05), "/born": born,
}


def application(environ, start_response):
    return PATHS[environ["PATH_INFO"]](environ, start_response)
