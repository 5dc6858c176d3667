"""A worker that serves WSGI applications on gevent's hub, with a greenlet for each request.

The data plane is one descriptor that the hub watches, and ``_uwsgi.poll``, which takes what has
happened there. Nothing of gevent is imported where the configuration does not ask for it.
"""

import contextvars
import errno
import os
import socket
import sys

import uwsgi
from uwsgi_asgi import drain
from uwsgi_report import report, say
from uwsgi_unfit import FREE_THREADED


def prepare(settings):
    """Import gevent, and have it patch the standard library where that is asked for: before the
    application, and all that it imports. The text of why that cannot be, or None."""
    if not settings["Gevent"]:
        return None
    if FREE_THREADED:
        return "gevent = %d: it is not offered in a free-threaded Python yet: write threads = %d" % (
            (settings["Gevent"],) * 2)
    try:
        import gevent.event
        import gevent.monkey
        import gevent.socket
        import greenlet
    except ImportError as exc:
        return ("gevent = %d: %s: install gevent (%s -m pip install gevent, or python3-gevent of the system), or write "
                "threads = %d" % (settings["Gevent"], exc, sys.executable, settings["Gevent"]))
    if not getattr(greenlet, "GREENLET_USE_CONTEXT_VARS", False):
        return ("gevent = %d: greenlet %s keeps no context for each greenlet: install a newer one (%s -m pip install "
                "-U gevent greenlet)" % (settings["Gevent"], greenlet.__version__, sys.executable))
    if settings["GeventMonkeyPatch"]:
        gevent.monkey.patch_all()
    for f in suspend, green_schedule, async_sleep, wait_fd_read, wait_fd_write, ready_fd, async_connect:
        setattr(uwsgi, f.__name__, f)
    return None


def renew():
    """Make the hub this process's own, right after the fork: the application may have used one in
    the loader, whatever it is served on."""
    reinit = getattr(sys.modules.get("gevent"), "reinit", None)
    if reinit:
        reinit()


class Server:
    """The hub of a worker, on its main thread."""

    name = "gevent"

    def __init__(self, settings, slot, _uwsgi):
        import gevent.event
        import gevent.monkey

        self.core, self.waits, self.forked = _uwsgi, settings["GeventWaitForHub"], False
        self.hub, self.left, self.watchers = gevent.get_hub(), gevent.event.Event(), []
        if slot == 1 and not gevent.monkey.is_module_patched("socket"):
            say("gevent = %d: nobody has patched the standard library: while one request waits in it, all of a "
                "worker's do (gevent-monkey-patch = true)" % settings["Gevent"])

    def begin(self, signalled):
        """Have the hub watch the data plane, and the descriptor that has a byte for each signal.

        A signal that comes just before the hub waits would else be seen late.
        """
        import gevent.event

        class Harakiri(gevent.GreenletExit):
            """Thrown into the greenlet of a request that is over its time."""

            __module__, __qualname__ = "uwsgi", "Harakiri"

            def __str__(self):
                return "the request is over its time"

        core, loop = self.core, self.hub.loop
        core.greenlet_begin(gevent.Greenlet, gevent.event.Event, Harakiri, self.hub, loop.run_callback, self.left.set)
        self.watch(loop.io(core.poll_fd(), 1), core.poll)
        self.watch(loop.io(signalled, 1), drain, signalled)
        if loop.backend == "epoll":
            # Once the hub's set is made; libev makes another one if it finds in it what it does not
            # know. In the data plane's set, which is in the hub's, each connection would wake all
            # workers.
            made = loop.timer(0)
            self.watch(made, self.listen)
            self.watch(loop.fork(), made.start, self.listen)
        os.register_at_fork(after_in_child=self.be_child)

    def serve(self):
        """Run until the worker has nothing left to do."""
        while not self.left.is_set():
            try:
                self.left.wait()
            except BaseException:  # SystemExit of a greenlet of the application's, say: that is over
                report(*sys.exc_info())
                if self.forked:  # nothing is left that could wake anybody
                    os._exit(1)

    def listen(self):
        """Have the hub watch the listening sockets itself."""
        core, backend = self.core, self.hub.loop.fileno()
        # None where libev is the system's: distributions' gevents do not know it.
        tag = None if backend is None else tag_in(backend, core.poll_fd())
        if tag is not None:
            core.listen_in(backend, tag)

    def watch(self, watcher, call, *args):
        watcher.start(call, *args)
        self.watchers.append(watcher)

    def be_child(self):
        """Leave the hub to a child of the application's, which may use it."""
        self.forked = True
        self.ignore()

    def ignore(self):
        """Watch nothing any more."""
        for watcher in self.watchers:
            watcher.stop()

    def shutdown(self):
        """With gevent-wait-for-hub the greenlets of the application's own come to their ends."""
        self.ignore()
        if self.waits:
            self.hub.join()


def tag_in(backend, fd):
    """What an event of a descriptor carries in an epoll set; None if that is not to be found
    out."""
    try:
        with open("/proc/self/fdinfo/%d" % backend) as info:
            for line in info:  # tfd: 5 events: 19 data: 100000005 …
                words = line.split()
                if words[:2] == ["tfd:", str(fd)] and words[4] == "data:":
                    return int(words[5], 16)
    except OSError:
        pass
    return None


# What the uwsgi module has besides. uWSGI means these for applications that yield what they give,
# b"": there they wait when it is yielded, here when they are called.

_ready = contextvars.ContextVar("uwsgi.ready_fd", default=-1)


def suspend():
    """Let other greenlets run; True."""
    import gevent

    gevent.sleep(0)
    return True


def green_schedule():
    """The same."""
    return suspend()


def async_sleep(seconds):
    """Wait, while other greenlets run; b""."""
    import gevent

    gevent.sleep(seconds)
    return b""


def wait_fd_read(fd, timeout=0):
    """Wait until there is something to read from a descriptor, or for that many seconds (0: as long
    as it takes), while other greenlets run; b"". ready_fd() tells which of it was."""
    import gevent.socket

    return _wait(gevent.socket.wait_read, fd, timeout)


def wait_fd_write(fd, timeout=0):
    """The same, until it can be written to."""
    import gevent.socket

    return _wait(gevent.socket.wait_write, fd, timeout)


def _wait(wait, fd, timeout):
    _ready.set(-1)
    try:
        wait(fd, timeout or None)
    except socket.timeout:  # TimeoutError from 3.10 on
        return b""
    _ready.set(fd)
    return b""


def ready_fd():
    """The descriptor that this greenlet has waited for last, -1 if it was not ready in time."""
    return _ready.get()


def async_connect(address):
    """A descriptor that is being connected to "HOST:PORT" or the path of a unix socket, to be
    waited for with wait_fd_write(); -1 if that is refused at once."""
    import _socket  # not gevent's, which would wait

    import gevent.socket

    text = os.fsdecode(address)
    host, colon, port = text.rpartition(":")
    try:
        if colon and "/" not in text:
            found = gevent.socket.getaddrinfo(host or "127.0.0.1", int(port), type=_socket.SOCK_STREAM)
            family, target = found[0][0], found[0][4]
        else:
            family, target = _socket.AF_UNIX, text
        sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    except (OSError, ValueError) as exc:
        uwsgi.log("uwsgi.async_connect: %s: %s" % (text, exc))
        return -1
    failed = sock.connect_ex(target)
    if failed not in (0, errno.EINPROGRESS):
        sock.close()
        uwsgi.log("uwsgi.async_connect: %s: %s" % (text, os.strerror(failed)))
        return -1
    return sock.detach()
