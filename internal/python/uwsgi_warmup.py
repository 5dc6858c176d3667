"""Requests of the server's own to a worker that does not serve yet (warmup = /path).

Much of an application is imported by its first request, Django's URLconf for one: what cannot be
imported there is found before a client finds it. The application is called as for any request, on
the main thread, in a greenlet or as a task of the loop; nothing of it passes through the data
plane, so that nothing counts it.
"""

import _thread
import faulthandler
import io
import time

import uwsgi_asgi
import uwsgi_threads
from uwsgi_report import formatted, text_of

_lock = _thread.allocate_lock  # the system's, whatever is patched later

# How much longer than warmup-timeout code may keep the interpreter to itself, in seconds.
GRACE = 5


class Failure(Exception):
    """The application has no good answer; str() says what it has."""


class Warmup:
    """The requests of one worker. ``loaded`` are its applications, ``base`` is what every environ
    begins with, ``version`` is this server's."""

    def __init__(self, settings, loaded, base, version):
        self.settings, self.loaded, self.base = settings, loaded, base
        self.agent = "uwsgi-warmup/" + version
        self.trace = ""  # the exception of the one that has failed, as Python prints it
        self.lasting = []  # tasks that go on when their answer is complete

    def run(self, server, answered, late):
        """Make them all; why one has failed, "" if none has. ``server`` is what has the worker's
        loop, None on threads.

        ``answered`` is called with a text about each that was answered. Of one that takes longer than
        warmup-timeout ``late`` is told why, on a thread of its own: it does not return.
        """
        for asked in self.settings["Warmup"]:
            name, begun = "warmup = " + asked["Text"], time.monotonic()
            with Limit(self.settings["WarmupTimeout"] / 1e9, lambda limit: late("%s: no answer within %g s" % (
                    name, limit))):
                try:
                    status, failed = self.ask(server, asked), ""
                except Failure as exc:
                    failed = str(exc)
                except BaseException as exc:
                    first = unrepeated(exc)
                    self.trace = formatted(type(first), first, theirs(first.__traceback__))
                    failed = "%s: %s" % (type(exc).__name__, text_of(exc))
            took = time.monotonic() - begun
            if not failed and status[:1] == "5":
                failed = "it answered " + status
            if failed:
                return "%s: %s, after %.2f s" % (name, failed, took)
            answered("%s: it answered %s, after %.2f s" % (name, status, took))
        return ""

    def ask(self, server, asked):
        """The status of the answer to one of them, "200 OK"."""
        from urllib.parse import unquote_to_bytes

        path = unquote_to_bytes(asked["Path"])
        index, mount = self.route(path.decode("latin-1"))
        more = dict(pair.partition("=")[::2] for pair in self.settings["HTTPVars"] or ())
        script = mount or more.pop("SCRIPT_NAME", "")
        app, host, path = self.loaded.apps[index], asked["Host"] or self.host(), path[len(mount):]
        if self.loaded.kinds[index] == "asgi":
            return server.until(self.answer_asgi(app, self.scope(server, index, asked, host, script, path)))
        environ = self.environ(asked, host, script, path.decode("latin-1"))
        environ.update(more)
        if self.settings["Gevent"]:
            import gevent

            return gevent.spawn(answer, app, environ).get()
        return answer(app, environ)

    def host(self):
        """That of the first mount point that has one, as HOST|/path."""
        for mount in self.loaded.mounts:
            if "|" in mount:
                return mount.partition("|")[0]
        return "localhost"

    def route(self, path):
        """(index of the application, its mount point): the longest that fits, as a front end would
        have it."""
        fits = [(mount.rstrip("/"), i) for i, mount in enumerate(self.loaded.mounts)]
        fits = [(mount, i) for mount, i in fits if (path + "/").startswith(mount + "/")]
        if fits:
            mount, index = max(fits, key=lambda fit: len(fit[0]))
            return index, mount
        return 0, ""

    def environ(self, asked, host, script, path):
        name, _, port = host.partition(":")
        environ = dict(self.base)
        environ.update({
            "REQUEST_METHOD": "GET", "SCRIPT_NAME": script, "PATH_INFO": path,
            "QUERY_STRING": asked["Query"], "REQUEST_URI": target(asked), "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": name, "SERVER_PORT": port or port_of(asked), "HTTP_HOST": host,
            "HTTP_USER_AGENT": self.agent, "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "0",
            "CONTENT_LENGTH": "", "CONTENT_TYPE": "", "uwsgi.core": 0,
            "wsgi.url_scheme": asked["Scheme"], "wsgi.input": io.BytesIO(),
        })
        if asked["Scheme"] == "https":
            environ["HTTPS"] = "on"
        return environ

    def scope(self, server, index, asked, host, script, path):
        name, _, port = host.partition(":")
        return {
            "type": "http", "asgi": uwsgi_asgi.VERSION, "http_version": "1.1", "method": "GET",
            "scheme": asked["Scheme"], "path": script + path.decode("utf-8", "replace"),
            "raw_path": asked["Path"].encode(),
            "query_string": asked["Query"].encode(), "root_path": script,
            "headers": [(b"host", host.encode()), (b"user-agent", self.agent.encode())],
            "client": ("127.0.0.1", 0), "server": (name, int(port or port_of(asked))),
            "state": dict(server.lifespans[index].state),
        }

    async def answer_asgi(self, app, scope):
        """What answer is, of an ASGI application. What it does when the answer is complete is not
        waited for."""
        import asyncio

        over = asyncio.get_running_loop().create_future()
        asked, status = [], []

        async def receive():
            if not asked:
                asked.append(True)
                return {"type": "http.request", "body": b"", "more_body": False}
            await asyncio.wait({over})
            return {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.start":
                status.append(message["status"])
            elif message["type"] == "http.response.body" and not message.get("more_body") and not over.done():
                over.set_result(None)

        task = asyncio.ensure_future(app(scope, receive, send))
        await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            self.lasting.append(task)
            task.add_done_callback(self.lasting.remove)
        elif task.exception() is not None:
            raise task.exception()
        if not status:
            raise Failure("it sent no response")
        return str(status[0])


def unrepeated(exc):
    """An exception without those in its chain that only raise the one below them again, as each
    middleware of Django does: the lowest of them, from which the application's fault is seen."""
    def lowest(exc):
        below = exc.__context__
        while below is not None and type(below) is type(exc) and text_of(below) == text_of(exc):
            exc, below = below, below.__context__
        return exc

    first = at = lowest(exc)
    seen = set()
    while at.__context__ is not None and id(at) not in seen:
        seen.add(id(at))
        at.__context__ = lowest(at.__context__)
        at = at.__context__
    return first


def theirs(tb):
    """A traceback from the application's first frame on."""
    first = at = tb
    while at:
        if at.tb_frame.f_globals is globals() and at.tb_next:
            first = at.tb_next
        at = at.tb_next
    return first


def target(asked):
    return asked["Path"] + ("?" + asked["Query"] if asked["Query"] else "")


def port_of(asked):
    return "443" if asked["Scheme"] == "https" else "80"


def answer(app, environ):
    """Call a WSGI application and take all that it gives; the status."""
    said = []

    def start_response(status, headers, exc_info=None):
        said[:] = [status]
        return lambda block: None

    result = app(environ, start_response)
    try:
        for _ in result:
            pass
    finally:
        if hasattr(result, "close"):
            result.close()
    if not said:
        raise Failure("it did not call start_response")
    return said[0]


class Limit:
    """A time, in seconds, that a block of code may take; 0 = any. Then the stacks of all threads are
    printed, and ``late`` is called with it, on a thread. Where code keeps the interpreter to itself
    no thread can, and the process ends."""

    def __init__(self, seconds, late):
        self.seconds, self.late, self.over = seconds, late, _lock()

    def __enter__(self):
        if self.seconds:
            self.over.acquire()
            faulthandler.dump_traceback_later(self.seconds + GRACE, exit=True, file=2)
            uwsgi_threads.thread(self.watch, name="uWSGIWarmup", daemon=True).start()

    def __exit__(self, *exc):
        if self.seconds:
            faulthandler.cancel_dump_traceback_later()
            self.over.release()

    def watch(self):
        if not self.over.acquire(timeout=self.seconds):
            faulthandler.dump_traceback(file=2)
            self.late(self.seconds)
