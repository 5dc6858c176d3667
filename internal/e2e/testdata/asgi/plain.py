"""ASGI without a framework: what the tests ask of the loop and of lifespan."""

import asyncio
import atexit
import functools
import json
import os
import sys
import threading
import time

import uwsgi

atexit.register(print, "atexit")
MODE = os.environ.get("LIFESPAN", "")
background = []


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    page = PAGES.get(scope["path"], where)
    status, text = 200, page(scope)
    if asyncio.iscoroutine(text):
        text = await text
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


async def lifespan(scope, receive, send):
    if MODE == "raises":
        raise OSError(98, "Address already in use")
    if MODE == "exits":
        sys.exit(7)
    message = await receive()
    assert message == {"type": "lifespan.startup"}, message
    if MODE == "fails":
        await send({"type": "lifespan.startup.failed", "message": "no database\nis there"})
        return
    if MODE == "returns":
        return
    scope["state"]["answer"] = 42
    scope["state"]["loop"] = asyncio.get_running_loop()
    background.append(asyncio.ensure_future(forever()))
    await asyncio.sleep(0.05)
    print("startup complete, pid", os.getpid(), flush=True)
    await send({"type": "lifespan.startup.complete"})
    message = await receive()
    assert message == {"type": "lifespan.shutdown"}, message
    print("shutdown, background", background[0].done(), flush=True)
    if MODE == "shutdown fails":
        await send({"type": "lifespan.shutdown.failed", "message": "cannot close"})
        return
    await send({"type": "lifespan.shutdown.complete"})


async def forever():
    try:
        while True:
            await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("background cancelled", flush=True)
        raise


def where(scope):
    return json.dumps({
        "path": scope["path"], "root_path": scope["root_path"], "pid": os.getpid(), "worker": uwsgi.worker_id(),
        "loop": type(asyncio.get_running_loop()).__module__, "name": uwsgi.loop and uwsgi.loop.decode(),
        "same": scope.get("state", {}).get("loop") is asyncio.get_running_loop(), "main": threading.current_thread() is threading.main_thread(),
        "state": scope["state"].get("answer"),
    })


def change(scope):  # of a copy of this request's own
    scope["state"]["answer"] = 0
    return str(sorted(scope["state"]))


async def sleep(scope):
    await asyncio.sleep(float(scope["query_string"] or 1))
    return "slept"


async def executor(scope):
    """How many of twenty jobs the default executor runs at a time."""
    loop, now, most, lock = asyncio.get_running_loop(), [0], [0], threading.Lock()

    def job():
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.03)
        with lock:
            now[0] -= 1

    await asyncio.gather(*(loop.run_in_executor(None, job) for _ in range(20)))
    return str(most[0])


async def leave(scope):
    async def task():
        sys.exit(3)

    background.append(asyncio.ensure_future(task()))
    await asyncio.sleep(0.01)
    return "still here"


async def stubborn(scope):
    async def task():
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    background.append(asyncio.ensure_future(task()))
    return "for ever"


async def stop(scope):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return "not stopped"


async def spin(scope):
    end = time.monotonic() + float(scope["query_string"] or 0.5)
    while time.monotonic() < end:
        pass
    return "spun"


async def subprocess(scope):
    process = await asyncio.create_subprocess_exec("echo", "from a child", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode()


PAGES = {"/change": change, "/sleep": sleep, "/executor": executor, "/leave": leave, "/stop": stop, "/stubborn": stubborn, "/spin": spin, "/child": subprocess}


class Class:
    """An application of ASGI 2."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await application(self.scope, receive, send)


class Callable:
    async def __call__(self, scope, receive, send):
        await application(scope, receive, send)

    async def method(self, scope, receive, send):
        await application(scope, receive, send)


class Slot:
    """As Sentry's middleware is."""

    __slots__ = ("__call__",)

    def __init__(self):
        self.__call__ = application


def double(scope):
    return functools.partial(application, scope)


@functools.wraps(application)
def wrapped(*args, **kwargs):
    return application(*args, **kwargs)


def plain(scope, receive, send):
    return application(scope, receive, send)


partial = functools.partial(functools.partial(application))
instance, slot, method = Callable(), Slot(), Callable().method


def factory():
    return application


async def handler(request):
    return request


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi " + environ["PATH_INFO"].encode()]


@functools.wraps(handler)
def view(*args):  # as werkzeug's @Request.application is: what it wraps takes one argument
    return wsgi(*args)
