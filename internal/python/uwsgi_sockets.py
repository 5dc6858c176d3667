"""The bare descriptors of uWSGI's module: what applications written for its asynchronous modes use.
A failure is a line in the log and -1 or None."""

import os
import select
import socket

import uwsgi

text, whole = uwsgi._part("uwsgi_arguments").text, uwsgi._part("uwsgi_arguments").whole

LARGEST = 4096  # bytes that recv() gives at most


def complain(what, exc):
    uwsgi.log("%s: %s" % (what, exc))


def connect(function, address, timeout, waits):
    """A descriptor, or -1."""
    address = text(function, 1, address)
    host, colon, port = address.rpartition(":")
    inet = bool(colon) and not address.startswith("/")
    try:
        if inet:
            family, kind, _, _, to = socket.getaddrinfo(host.strip("[]") or "127.0.0.1", port,
                type=socket.SOCK_STREAM)[0]
        else:
            family, kind, to = socket.AF_UNIX, socket.SOCK_STREAM, address
            if address.startswith("@"):
                to = "\0" + address[1:]
        s = socket.socket(family, kind)
    except OSError as exc:
        complain("uwsgi.%s: %s" % (function, address), exc)
        return -1
    try:
        if waits:
            s.settimeout(whole(timeout) or None)
            s.connect(to)
            s.setblocking(True)
        else:
            s.setblocking(False)
            try:
                s.connect(to)
            except BlockingIOError:
                pass
        return s.detach()
    except OSError as exc:
        s.close()
        complain("uwsgi.%s: %s" % (function, address), exc)
        return -1


def send(fd, data):
    if not isinstance(data, bytes):
        raise TypeError("expected bytes, %s found" % type(data).__name__)
    try:
        while True:
            try:
                data = data[os.write(whole(fd), data):]
            except BlockingIOError:
                select.select((), (fd,), ())
            if not data:
                return True
    except OSError as exc:
        complain("uwsgi.send", exc)
        return None


def recv(fd, most):
    fd, most = whole(fd), whole(most)
    try:
        return os.read(fd, max(0, min(most, LARGEST))) or None
    except OSError:
        return None


def close(fd):
    fd = whole(fd)
    try:
        os.close(fd)
    except OSError:
        pass


def no_queue(fd):
    raise OSError("unable to fd %d to the event queue" % whole(fd))


def async_sleep(seconds):
    if float_of(seconds) >= 1:
        complain("uwsgi.async_sleep", "ASYNC call without async mode !!!")
    return b""


def float_of(value):
    try:
        return value.__float__()
    except AttributeError:
        pass
    if hasattr(value, "__index__"):
        return float(whole(value))
    raise TypeError("must be real number, not %s" % type(value).__name__)
