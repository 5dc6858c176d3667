"""A worker that serves ASGI applications: its event loop, and their lifespans.

The data plane is one descriptor that the loop watches, and ``_uwsgi.poll``, which takes what has
happened there and makes a task of each request. Nothing of asyncio is imported where no application
needs it.
"""

import os
import sys

from uwsgi_report import ERROR, WARNING, report, say, text_of


VERSION = {"version": "3.0", "spec_version": "2.5"}
# What scopes begin with. The extension "tls" tells of a connection that the server has decrypted:
# here that is the front end's, which says no more of it than the scheme.
HTTP = {"type": "http", "asgi": VERSION, "extensions": {
    "http.response.pathsend": {}, "http.response.zerocopysend": {}, "http.response.early_hint": {},
}}
WEBSOCKET = {"type": "websocket", "asgi": VERSION, "extensions": {"websocket.http.response": {}}}


def prepare(settings):
    """Import what the loop is made of, for all workers; why that cannot be, or None."""
    if settings["Gevent"]:
        return "gevent is a loop of its own, which has no use for it: take gevent out"
    import asyncio  # noqa: F401

    if settings["AsgiLoop"] != "asyncio":
        try:
            import uvloop  # noqa: F401
        except ImportError as exc:
            if settings["AsgiLoop"] == "uvloop":
                return "asgi-loop = uvloop: %s" % exc
    return None


def new_loop(settings):
    """(loop, the number of its epoll set or None, its name).

    It is made after the fork: the default executor of one from before would hang.
    """
    import asyncio
    import selectors

    uvloop = sys.modules.get("uvloop") if settings["AsgiLoop"] != "asyncio" else None
    if uvloop:
        loop = uvloop.new_event_loop()
        backend = getattr(loop, "_get_backend_id", lambda: None)()  # where it has that
    else:
        selector = selectors.EpollSelector()
        loop, backend = asyncio.SelectorEventLoop(selector), selector.fileno()
    asyncio.set_event_loop(loop)
    if settings["Threads"] > 1:
        from concurrent.futures import ThreadPoolExecutor

        loop.set_default_executor(ThreadPoolExecutor(settings["Threads"], "uWSGIExecutor"))
    return loop, backend, "uvloop" if uvloop else "asyncio"


class Server:
    """The loop of a worker, on its main thread, and the lifespans of the applications by index.

    An application that is not ASGI's has None for one.
    """

    def __init__(self, settings, loaded, _uwsgi):
        self.core, self.left = _uwsgi, False
        self.loop, self.backend, self.name = new_loop(settings)
        self.lifespans, each = [], {}
        for app, info in zip(loaded.apps, loaded.info):
            one = None
            if info["interface"] == "asgi":  # one that is mounted twice lives once
                one = each.setdefault(id(app), Lifespan(app, settings["Lifespan"], info["source"]))
            self.lifespans.append(one)
        self.distinct = list(each.values())

    def startup(self):
        """Start the applications, one by one; the Lifespan that has failed, or None."""
        for lifespan in self.distinct:
            self.until(lifespan.startup())
            if lifespan.failure:
                return lifespan
        return None

    def begin(self, signalled):
        """Have the loop watch the data plane, and the descriptor that has a byte for each signal.

        A signal that comes just before the loop waits would else be seen late; uvloop looks itself.
        """
        import contextvars

        core, loop, context = self.core, self.loop, contextvars.copy_context()

        def soon(poll):  # an application calls it: what begins next has nothing of its context
            loop.call_soon(poll, context=context.copy())

        apps = [one and (one.app, HTTP, WEBSOCKET, one.state) for one in self.lifespans]
        core.asgi_begin(loop.create_task, loop.create_future, loop.get_task_factory, soon, self.leave, apps)
        loop.add_reader(core.poll_fd(), core.poll)
        loop.add_reader(signalled, drain, signalled)
        if self.backend is not None:
            core.listen_in(self.backend, core.poll_fd())

    def serve(self):
        """Run until the worker has nothing left to do."""
        while not self.left:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt):  # of a task of the application's, which is over
                report(*sys.exc_info())
        self.loop.remove_reader(self.core.poll_fd())

    def leave(self):
        """Called by the data plane when there is nothing left to do."""
        self.left = True
        self.loop.stop()

    def shutdown(self):
        """End the applications, and whatever they left running on the loop."""
        loop = self.loop
        for lifespan in reversed(self.distinct):
            self.until(lifespan.shutdown())
        self.core.asgi_end()
        self.until(cancel_all())
        self.until(loop.shutdown_asyncgens())
        self.until(loop.shutdown_default_executor())
        loop.close()

    def until(self, coroutine):
        """Run until a coroutine of ours has ended, whatever others do."""
        task = self.loop.create_task(coroutine)
        while not task.done():
            try:
                self.loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt):
                report(*sys.exc_info())
            except RuntimeError:  # somebody has called loop.stop()
                if task.done() or self.loop.is_closed():
                    raise
        return task.result()


def drain(fd):
    try:
        os.read(fd, 4096)
    except BlockingIOError:
        pass


CANCEL_TIME = 5  # seconds that a task may take to end when it is cancelled


async def cancel_all():
    """Cancel every task but this one, wait for their ends, and say what went wrong in them."""
    import asyncio

    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    ended, others = await asyncio.wait(tasks, timeout=CANCEL_TIME) if tasks else ((), ())
    for task in ended:
        exc = None if task.cancelled() else task.exception()
        if isinstance(exc, Exception):
            report(type(exc), exc, exc.__traceback__)
    for task in others:
        say("it does not end though it is cancelled, and is left: %r" % task, WARNING)


class Lifespan:
    """The lifespan of one application (ASGI, Lifespan Protocol 2.0).

    It is one task, from before the first request until after the last. ``mode`` is the option's:
    with "auto" an application that fails before it has said anything is one without lifespan, with
    "off" it is not asked.
    """

    def __init__(self, app, mode, label):
        self.app, self.mode, self.label = app, mode, label
        self.state = {}
        self.failure = ""  # why the application cannot serve
        self.exception, self.code = None, 22
        self.task = None

    async def startup(self):
        import asyncio

        if self.mode == "off":
            return
        loop = asyncio.get_running_loop()
        self.inbox, self.started, self.stopped = asyncio.Queue(), loop.create_future(), loop.create_future()
        self.task = loop.create_task(self.run())
        self.inbox.put_nowait({"type": "lifespan.startup"})
        await self.started
        if self.failure:  # what it raises next says more
            await asyncio.wait({self.task}, timeout=1)

    async def shutdown(self):
        if self.task is None or self.task.done() or not self.started.done():
            return
        self.inbox.put_nowait({"type": "lifespan.shutdown"})
        await self.stopped

    async def run(self):
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.app(scope, self.receive, self.send)
        except BaseException as exc:
            self.ended(exc)
        else:
            self.ended(None)
        finally:
            for future in (self.started, self.stopped):
                if not future.done():
                    future.set_result(None)

    def ended(self, exc):
        """The application has returned from its lifespan, or raised."""
        import asyncio

        if self.started.done():
            self.exception = exc
            if exc is not None and not self.failure and not isinstance(exc, asyncio.CancelledError):
                self.print(exc)
            return
        if exc is None:
            said = "it ended without lifespan.startup.complete"
        else:
            said = "%s: %s" % (type(exc).__name__, text_of(exc))
        if isinstance(exc, SystemExit):
            said = "it called exit(%s)" % exc.code
            if isinstance(exc.code, int) and exc.code:
                self.code = exc.code
        elif self.mode == "auto" and (exc is None or isinstance(exc, Exception)):
            say("%s has no lifespan (%s): lifespan = off says so, lifespan = on takes that for an error"
                % (self.label, said))
            return
        if exc is not None:
            self.print(exc)
        self.failure, self.exception = said, exc

    def print(self, exc):
        report(type(exc), exc, exc.__traceback__.tb_next)  # run's frame is none of the application's

    async def receive(self):
        return await self.inbox.get()

    async def send(self, message):
        kind = message["type"]
        if kind not in ("lifespan.startup.complete", "lifespan.startup.failed",
                        "lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            raise RuntimeError("%r is no message of a lifespan" % kind)
        awaited = self.started if kind.startswith("lifespan.startup.") else self.stopped
        if awaited.done() or awaited is self.stopped and not self.started.done():
            raise RuntimeError("unexpected message %r" % kind)
        text = (message.get("message") or "").strip()
        if kind == "lifespan.startup.failed":
            say(text or "%s has failed to start" % self.label, ERROR)
            self.failure = "lifespan.startup.failed" + (": " + text.rpartition("\n")[2] if text else "")
        elif kind == "lifespan.shutdown.failed":
            say(text or "%s has failed to shut down" % self.label, ERROR)
        awaited.set_result(None)
