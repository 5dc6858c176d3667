"""What applications do under gevent."""
import os
import posix
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from urllib.parse import parse_qs

import gevent
import uwsgi
from gevent.event import Event
from gevent.queue import Queue
from uwsgidecorators import postfork

if "patches" in sys.argv:
    from gevent import monkey

    monkey.patch_all()

released, queue, lock = Event(), Queue(), threading.Lock()
ticks = 0


@postfork
def begin():
    def tick():
        global ticks
        while True:
            gevent.sleep(0.01)
            ticks += 1

    gevent.spawn(tick)


def stream(size, count, ended):
    try:
        for _ in range(count):
            yield b"x" * size
    finally:
        queue.put(ended)


def child():
    """A child that uses the hub it has got from us: what it wrote."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        gevent.sleep(0.2)
        os.write(writer, b"from the child")
        os._exit(0)
    os.close(writer)
    gevent.sleep(0)
    os.waitpid(pid, 0)
    return os.read(reader, 100)


def remade():
    """Have libev find in its epoll set what it does not know, and so make a new set: b"remade"."""
    found = Event()
    watcher = gevent.get_hub().loop.fork()
    watcher.start(found.set)
    reader, writer = os.pipe()
    uwsgi.wait_fd_read(reader, 0.001)
    twin = os.dup(reader)
    posix.close(reader)  # gevent's would tell libev
    os.write(writer, b"x")
    found.wait(10)
    watcher.stop()
    posix.close(twin)
    posix.close(writer)
    return b"remade" if found.is_set() else b"as it was"


def connected():
    """A socket by uWSGI's functions, and what came on it."""
    server = socket.create_server(("127.0.0.1", 0))
    fd = uwsgi.async_connect("127.0.0.1:%d" % server.getsockname()[1])
    uwsgi.wait_fd_write(fd, 5)
    assert uwsgi.ready_fd() == fd
    peer, _ = server.accept()
    uwsgi.wait_fd_read(fd, 0.05)
    assert uwsgi.ready_fd() == -1
    gevent.spawn_later(0.05, peer.sendall, b"hello")
    uwsgi.wait_fd_read(fd)
    assert uwsgi.ready_fd() == fd
    return os.read(fd, 100)


def application(environ, start_response):
    path, asked = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
    body = b"fine"
    if path == "/sleep":
        time.sleep(float(asked["for"][0]))
    elif path == "/wait":
        released.wait()
        fd = uwsgi.connection_fd()
        uwsgi.set_logvar("who", asked["who"][0])
        gevent.sleep(0.01)
        assert uwsgi.connection_fd() == fd and uwsgi.env is environ
        body = uwsgi.get_logvar("who")
    elif path == "/release":
        released.set()
    elif path == "/take":
        body = queue.get().encode()
    elif path == "/put":
        queue.put("put")
    elif path == "/ticks":
        body = b"%d" % ticks
    elif path == "/locked":
        with lock:
            time.sleep(0.01)
    elif path == "/ask":
        body = urllib.request.urlopen("http://%s/sleep?for=0.1" % environ["HTTP_HOST"]).read()
    elif path == "/busy":
        end = time.monotonic() + float(asked["for"][0])
        while time.monotonic() < end:
            pass
    elif path == "/stubborn":
        try:
            gevent.sleep(1000)
        except gevent.GreenletExit:
            body = b"caught"
    elif path == "/stream":
        start_response("200 OK", [])
        return stream(1 << 16, 1000, "ended")
    elif path == "/begun":
        start_response("200 OK", [("Content-Length", "1000")])(b"begun\n")
        gevent.sleep(1000)
    elif path == "/upload":
        body = b"%d" % sum(len(block) for block in iter(lambda: environ["wsgi.input"].read(65536), b""))
    elif path == "/file":
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    elif path == "/process":
        body = subprocess.run(["echo", "-n", "process"], stdout=subprocess.PIPE).stdout
    elif path == "/fork":
        body = child()
    elif path == "/remade":
        body = remade()
    elif path == "/connect":
        body = connected()
    elif path == "/server":
        t = time.monotonic()
        assert uwsgi.async_sleep(0.05) == b"" and time.monotonic() - t >= 0.05
        assert uwsgi.suspend() is True and uwsgi.green_schedule() is True
        assert isinstance(gevent.getcurrent(), gevent.Greenlet)
        body = repr((uwsgi.loop, uwsgi.cores, environ["wsgi.multithread"], "uwsgi.core" in environ)).encode()
    elif path == "/quit":
        gevent.spawn(sys.exit, 3).join()
    elif path == "/exit":
        sys.exit(5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
