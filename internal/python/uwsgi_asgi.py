"""A worker that serves ASGI applications: its event loop, and their lifespans.

The data plane is one descriptor that the loop watches, and ``_uwsgi.poll``, which takes what has happened there and runs a task for each request.
Nothing of asyncio is imported where no application needs it.
"""

import os
import sys

from uwsgi_report import ERROR, report, say, text_of


VERSION = {"version": "3.0", "spec_version": "2.5"}
# What scopes begin with.
HTTP = {"type": "http", "asgi": VERSION, "extensions": {
    "http.response.pathsend": {}, "http.response.zerocopysend": {}, "http.response.early_hint": {},
}}
WEBSOCKET = {"type": "websocket", "asgi": VERSION, "extensions": {"websocket.http.response": {}}}


def prepare(settings):
    """Import what the loop is made of, once for all workers; the text of why that cannot be, or None."""
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
    """(a loop, its name). It is made after the fork: the default executor of one from before it would hang."""
    import asyncio

    uvloop = sys.modules.get("uvloop") if settings["AsgiLoop"] != "asyncio" else None
    loop = uvloop.new_event_loop() if uvloop else asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    if settings["Threads"] > 1:
        from concurrent.futures import ThreadPoolExecutor

        loop.set_default_executor(ThreadPoolExecutor(settings["Threads"], "uWSGIExecutor"))
    return loop, "uvloop" if uvloop else "asyncio"


class Server:
    """The loop of a worker, on its main thread, and the lifespans of the applications, by their index; None for one of WSGI."""

    def __init__(self, settings, loaded, _uwsgi):
        self.core, self.left = _uwsgi, False
        self.loop, self.name = new_loop(settings)
        each = {}
        self.lifespans = [each.setdefault(id(app), Lifespan(app, settings["Lifespan"], info["source"])) if info["interface"] == "asgi" else None
                          for app, info in zip(loaded.apps, loaded.info)]
        self.distinct = list(each.values())

    def startup(self):
        """Start the applications, one after the other; the first Lifespan that has failed, None where none has."""
        for lifespan in self.distinct:
            self.until(lifespan.startup())
            if lifespan.failure:
                return lifespan
        return None

    def serve(self, reader):
        """Run until the worker has left. ``reader`` gets a byte at each signal: without it one that comes just before the loop waits would be seen
        late. uvloop has its own."""
        loop = self.loop
        apps = [lifespan and (lifespan.app, HTTP, WEBSOCKET, lifespan.state) for lifespan in self.lifespans]
        self.core.asgi_begin(loop.create_task, loop.create_future, loop.call_soon, self.leave, apps)
        loop.add_reader(self.core.poll_fd(), self.core.poll)
        loop.add_reader(reader, drain, reader)
        while not self.left:
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt):  # of a task of the application's own: that has ended, and no more
                report(*sys.exc_info())
        loop.remove_reader(self.core.poll_fd())

    def leave(self):
        """Called by the data plane: there is nothing left to do."""
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


async def cancel_all():
    """Cancel every task but this one, and wait for their ends; say what went wrong in one."""
    import asyncio

    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    for task, result in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True)):
        if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
            report(type(result), result, result.__traceback__)


class Lifespan:
    """The lifespan of one application (ASGI, Lifespan Protocol 2.0): one task, from before the first request until after the last.

    ``mode``: with "auto" an application that fails before it has said anything is one without lifespan; "off" asks none.
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
        said = "it ended without lifespan.startup.complete" if exc is None else "%s: %s" % (type(exc).__name__, text_of(exc))
        if isinstance(exc, SystemExit):
            said = "it called exit(%s)" % exc.code
            if isinstance(exc.code, int) and exc.code:
                self.code = exc.code
        elif self.mode == "auto" and (exc is None or isinstance(exc, Exception)):
            say("%s has no lifespan (%s): lifespan = off says so, lifespan = on takes that for an error" % (self.label, said))
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
        awaited = self.started if kind.startswith("lifespan.startup.") else self.stopped
        if kind not in ("lifespan.startup.complete", "lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            raise RuntimeError("%r is no message of a lifespan" % kind)
        if awaited.done() or awaited is self.stopped and not self.started.done():
            raise RuntimeError("unexpected message %r" % kind)
        text = message.get("message", "")
        if kind == "lifespan.startup.failed":
            say(text or "%s has failed to start" % self.label, ERROR)
            self.failure = "lifespan.startup.failed" + (": " + text.strip().rpartition("\n")[2] if text.strip() else "")
        elif kind == "lifespan.shutdown.failed":
            say(text or "%s has failed to shut down" % self.label, ERROR)
        awaited.set_result(None)
