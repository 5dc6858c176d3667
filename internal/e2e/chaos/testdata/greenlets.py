"""What the chaos tests provoke workers under gevent with: the WSGI application that has the paths of evented.py."""

import ctypes
import gc
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from urllib.parse import parse_qsl

import gevent
import uwsgi
from gevent.monkey import get_original
from uwsgidecorators import postfork

GENERATION = "1"
seen = {"signals": 0, "cancelled": 0, "disconnected": 0, "sent": 0}
if os.environ.get("GC_EVERY"):
    gc.set_threshold(int(os.environ["GC_EVERY"]), 2, 2)


class Request:
    def __init__(self, environ, start_response):
        self.environ, self.start_response = environ, start_response
        self.query = dict(parse_qsl(environ["QUERY_STRING"]))

    def number(self, name, default):
        return type(default)(self.query.get(name, default))

    def start(self, headers=()):
        return self.start_response("200 OK", [("X-Pid", str(os.getpid())), *headers])

    def text(self, text):
        body = text.encode()
        self.start([("Content-Length", str(len(body)))])
        return [body]


def hello(r):
    return r.text("hello\n")


def pid(r):
    return r.text(str(os.getpid()))


def generation(r):
    return r.text(GENERATION)


def sleep(r):
    gevent.sleep(r.number("s", 0.005))
    return r.text("slept\n")


def upload(r):
    return r.text(str(sum(map(len, iter(lambda: r.environ["wsgi.input"].read(65536), b"")))))


def stream(r):
    """n chunks of size bytes, s seconds apart; it ends with a line that says so."""
    size, pause = r.number("size", 10), r.number("s", 0.0)
    r.start()
    for _ in range(r.number("n", 100)):
        yield b"x" * (size - 1) + b"\n"
        seen["sent"] += size
        if pause:
            gevent.sleep(pause)
    yield b"end\n"


def ticks(r):
    """A stream that ends when the client has gone."""
    write = r.start()
    try:
        while True:
            write(b"tick\n")
            gevent.sleep(0.05)
    except OSError:
        seen["disconnected"] += 1
        raise


def big(r):
    return r.text("y" * r.number("n", 1 << 20))


def race(r):
    """The answer waits for other greenlets, and for a thread."""
    other = gevent.spawn(gevent.sleep, 0.01)
    gevent.get_hub().threadpool.apply(int, (0,))
    gevent.wait([other])
    return r.text("raced")


class Background:
    """A body that takes its time when it is closed."""

    def __init__(self, seconds):
        self.seconds, self.blocks = seconds, [b"answered"]

    def __iter__(self):
        return iter(self.blocks)

    def close(self):
        gevent.sleep(self.seconds)


def background(r):
    r.start([("Content-Length", "8")])
    return Background(r.number("s", 0.05))


def collect(r):
    ring = []
    for _ in range(20):
        ring.append([ring, r])
    return r.text(str(gc.collect() >= 0))


def live(r):
    """What is left of requests: objects, greenlets, memory."""
    gc.collect()
    exchanges, drivers = uwsgi._core.live()
    waiting = [g for g in gc.get_objects() if isinstance(g, gevent.Greenlet) and not g.dead and g is not gevent.getcurrent()]
    with open("/proc/self/statm") as f:
        rss = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return r.text(json.dumps({
        "pid": os.getpid(), "exchanges": exchanges - 1, "drivers": drivers - 1,
        "tasks": [repr(g) for g in waiting][uwsgi._core.idle():],  # those are for requests to come
        "rss": rss, "threads": threading.active_count(), **seen,
    }))


def heap(r):
    """What the interpreter has allocated."""
    gc.collect()
    return r.text(json.dumps({"blocks": sys.getallocatedblocks(), "types": Counter(map(str, map(type, gc.get_objects())))}))


def stuck(r):
    get_original("time", "sleep")(r.number("s", 3600.0))


def gil(r):
    mutex = ctypes.create_string_buffer(64)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)


def stubborn(r):
    """Does not let itself be ended."""
    end = time.monotonic() + r.number("s", 3600.0)
    while time.monotonic() < end:
        try:
            gevent.sleep(end - time.monotonic())
        except gevent.GreenletExit:
            seen["cancelled"] += 1
    return r.text("not ended")


def patient(r):
    """Waits, and says how it was told to end."""
    try:
        gevent.sleep(r.number("s", 3600.0))
    except gevent.GreenletExit:
        seen["cancelled"] += 1
        raise
    return r.text("slept\n")


def socket(r):
    """An echo."""
    uwsgi.websocket_handshake()
    try:
        while True:
            message = uwsgi.websocket_recv()
            if message == b"flood":
                while True:
                    uwsgi.websocket_send_binary(b"z" * 65536)
                    seen["sent"] += 65536
            uwsgi.websocket_send(message.decode())
    except OSError:
        seen["disconnected"] += 1
        return []


def late_socket(r):
    gevent.sleep(r.number("s", 1.0))
    uwsgi.websocket_handshake()
    try:
        while True:
            uwsgi.websocket_recv()
    except OSError:
        return []


def closed_socket(r):
    uwsgi.websocket_handshake()
    return []


def refused_socket(r):
    r.start_response("403 Forbidden", [])
    return []


def nothing(r):
    return []


def wrong(r):
    """A head that is none; the exception is the response."""
    try:
        r.start_response("200 OK", [("a", "b\r\nSet-Cookie: x")])
    except ValueError as exc:
        return r.text("%s: %s" % (type(exc).__name__, exc))
    return r.text("taken")


PAGES = {"/": hello, "/endless": ticks, "/wait": ticks, "/deaf": ticks,
         **{"/" + f.__name__.replace("_", "-"): f for f in (
             pid, generation, sleep, upload, stream, big, race, background, collect, live, stuck, gil, stubborn, patient, socket, late_socket, closed_socket, refused_socket, heap,
             nothing, wrong)}}


def counted(signum, frame):
    seen["signals"] += 1


@postfork
def begin():
    signal.signal(signal.SIGWINCH, counted)


def end():
    print("shutdown of", os.getpid(), flush=True)


uwsgi.atexit = end


def application(environ, start_response):
    return PAGES[environ["PATH_INFO"]](Request(environ, start_response))
