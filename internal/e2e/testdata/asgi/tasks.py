"""Each request says what it finds of others in its context and its task, then leaves something there itself."""

import asyncio
import contextvars
import time
import weakref

left = contextvars.ContextVar("left", default="")
early = contextvars.ContextVar("early")
early.set("import")
kept, weak, keys, children, named, made, lent = [], [], weakref.WeakKeyDictionary(), [], [], [], []


def found(what, task):
    yield left.get()
    yield early.get().replace("import", "")
    yield task in kept and "kept"
    yield any(ref() is task for ref in weak) and "a weak reference"
    yield task in keys and "a key"
    yield getattr(task, "mark", "")
    yield named and task.get_name() == "left" and "a name"  # to read it changes a task
    yield task._callbacks and "a callback"
    yield hasattr(task, "cancelling") and task.cancelling() and "a cancellation"
    yield task in children and "a child"
    yield any(context is task.get_context() for context in lent) and "a context that another one has"
    yield what == "made" and task not in made and "no task of the factory"


def leave(what, task):
    loop = asyncio.get_running_loop()
    if what == "block":
        time.sleep(0.02)
    elif what == "variable":
        left.set("a variable")
    elif what == "early":
        early.set("a variable that was there before")
    elif what == "reset":
        left.reset(left.set("a variable"))
    elif what == "keep":
        kept.append(task)
    elif what == "weak":
        weak.append(weakref.ref(task))
    elif what == "key":
        keys[task] = True
    elif what == "mark":
        task.mark = "a mark"
    elif what == "name":
        named.append(task.set_name("left"))
    elif what == "callback":
        task.add_done_callback(kept.append)
    elif what == "cancel":
        task.cancel()
    elif what == "child":
        children.append(loop.create_task(asyncio.sleep(0)))
    elif what == "lend" and hasattr(task, "get_context"):  # 3.12
        lent.append(task.get_context())
    elif what == "factory":

        def factory(loop, coroutine, **kwargs):
            made.append(asyncio.Task(coroutine, loop=loop, **kwargs))
            return made[-1]

        loop.set_task_factory(factory)


async def application(scope, receive, send):
    task, what = asyncio.current_task(), scope["path"][1:]
    body = task.get_name() if what == "task" else ", ".join(filter(None, found(what, task))) or "as new"
    if what != "task":
        leave(what, task)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body.encode()})
