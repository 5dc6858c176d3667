"""uWSGI's signals, timers, crons and file monitors: the application's side.

The supervisor has the one schedule and says which process runs a handler; the data plane has that
run between two requests (on a loop: as a callback of it). A registration counts once, whoever
makes it.
"""

import json
import os
import sys
import time

import uwsgi

handlers = {}  # number → (function, target)
LONGEST = 255  # characters of a target
last = None  # the number that ran last here


def register(number, target, function):
    if not isinstance(target, str):
        raise TypeError("register_signal() argument 2 must be str, not %s" % type(target).__name__)
    if not callable(function):
        raise TypeError("register_signal() argument 3 must be callable")
    if len(target) > LONGEST:
        raise ValueError("uwsgi: a signal's target of %d characters is none" % len(target))
    number %= 256  # as uWSGI's 8 bits
    handlers[number] = function, target
    listen()
    uwsgi._tell("register", signal=number, target=target)


def add(kind, number, **fields):
    uwsgi._tell("schedule", kind=kind, signal=number % 256, **fields)


def listen():
    """Have the data plane bring signals, once there is one."""
    if uwsgi._core is not None:
        uwsgi._core.on_signal(deliver)


def deliver(number, awaited=False):
    """Run the handler of a signal: called between two requests, or by who waits for it, who needs
    none."""
    global last
    last = number
    uwsgi._tell("began", signal=number)
    began, failure = time.monotonic(), "nobody has registered it in this process"
    entry = handlers.get(number)
    if entry is None:
        if awaited:
            failure = ""
        else:
            uwsgi.log("error managing signal %d on %s: %s" % (number, whoami(), failure))
        done(number, began, failure)
        return
    if uwsgi.loop == b"gevent" and uwsgi._core is not None:
        import gevent

        gevent.spawn(run, entry[0], number, began)
    elif uwsgi.loop is not None and uwsgi._core is not None:
        import contextvars

        contextvars.copy_context().run(run, entry[0], number, began)  # requests begin with the loop's own
    else:
        run(entry[0], number, began)


def run(function, number, began):
    failure = ""
    try:
        try:
            result = function(number)
            if hasattr(result, "__await__") and hasattr(result, "send"):
                if follow(result, number, began):
                    return
                complete(result)
        finally:
            uwsgi._returned()
    except BaseException as exc:
        uwsgi._report(*sys.exc_info())
        failure = type(exc).__name__
        if isinstance(exc, SystemExit):
            leave(number, began)
    done(number, began, failure)


def follow(coroutine, number, began):
    """Have a coroutine run on the loop of this thread; False: it has none."""
    import asyncio  # few need it, and it is large

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False

    async def watched():
        try:
            await awaited(coroutine)
        except BaseException as exc:
            uwsgi._report(*sys.exc_info())
            return type(exc).__name__
        return ""

    task = loop.create_task(watched())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    task.add_done_callback(lambda t: done(number, began, "cancelled" if t.cancelled() else t.result()))
    return True


def complete(coroutine):
    """Run a coroutine to its end, on a loop of its own; what it returns."""
    import asyncio

    return asyncio.run(awaited(coroutine))


async def awaited(coroutine):
    try:
        return await coroutine
    finally:
        uwsgi._returned()


tasks = set()  # the loop's own references are weak


def done(number, began, failure):
    uwsgi._tell("handled", signal=number, seconds=time.monotonic() - began, error=failure)


def leave(number, began):
    """A handler has called exit(): the process finishes what it has, and another takes its place."""
    if uwsgi._core is None:
        done(number, began, "SystemExit")
        raise
    uwsgi._core.drain("a signal handler called exit()")


def wait(number):
    """Run handlers until one has run, of that number where it is not None: which; None: the worker
    ends."""
    if uwsgi._attendant is not None:
        return uwsgi._attendant.inbox.wait_for(number)
    if uwsgi._core is None or uwsgi.loop is not None:
        raise RuntimeError("uwsgi: signal_wait() waits in mules, the spooler and workers with threads")
    uwsgi._tell("waits")
    while True:
        taken = uwsgi._core.next_signal()
        if taken is not None:
            deliver(taken, True)
        if taken is None or number in (None, taken):
            return taken


def whoami():
    if uwsgi._mule:
        return "mule %d" % uwsgi._mule
    return "the spooler" if uwsgi._spooling else "worker %d" % uwsgi._slot


def tell(op, fields):
    """One message to the supervisor, from a worker or the process that imports the application."""
    if uwsgi._core is not None:
        uwsgi._core.tell(op, json.dumps(fields))
    elif uwsgi._wire is not None:
        uwsgi._wire.send(json.dumps({"op": op, "message": json.dumps(fields)}).encode())
    else:
        raise RuntimeError("uwsgi: pid %d has no way to the supervisor" % os.getpid())
