"""ASGI message by message: what scope, receive and send are to an application."""

import asyncio
import gc
import inspect
import json
import os
import sys

import uwsgi

HERE = os.path.abspath(__file__)


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.environ.get("EAGER"):
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    if scope["type"] == "websocket":
        return await socket(scope, receive, send)
    return await globals()["page_" + scope["path"].strip("/").replace("/", "_")](scope, receive, send)


async def start(send, status=200, *headers, **more):
    await send({"type": "http.response.start", "status": status, "headers": headers, **more})


async def body(send, data, more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def answer(send, what):
    await start(send)
    await body(send, (what if isinstance(what, str) else repr(what)).encode())


async def page_hello(scope, receive, send):
    await answer(send, "hello")


async def page_scope(scope, receive, send):
    headers = {k.decode(): v.decode() for k, v in scope["headers"]}
    scope = {k: v for k, v in scope.items() if k not in ("asgi", "headers", "extensions", "state")}
    await answer(send, json.dumps({**scope, "host": headers.get("host"), "names": sorted(headers)}, default=repr))


async def page_blocks(scope, receive, send):
    gc.collect()
    await answer(send, str(sys.getallocatedblocks()))


async def page_echo(scope, receive, send):
    got, pieces = [], 0
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        got.append(message["body"])
        pieces += 1
        if not message["more_body"]:
            break
    await start(send, 200, (b"x-pieces", b"%d" % pieces))
    await body(send, b"".join(got))


async def page_together(scope, receive, send):
    await start(send)
    for i in range(100):
        await body(send, b"%02d" % i, True)
    await body(send, b"")


async def page_pair(scope, receive, send):
    await start(send)
    await body(send, b"one ", True)
    await body(send, b"two")


async def page_apart(scope, receive, send):
    await start(send)
    for i in range(3):
        await body(send, b"%d\n" % i, True)
        await asyncio.sleep(0)
    await body(send, b"end\n")


async def page_held(scope, receive, send):
    """A block is with the client before the next message comes from it."""
    await start(send)
    await body(send, b"first\n", True)
    message = await receive()
    while message["more_body"]:
        message = await receive()
    await body(send, b"second\n")


async def page_large(scope, receive, send):
    await start(send)
    for i in range(100):
        await body(send, bytes([65 + i % 26]) * 100000, True)
    await body(send, b"")


async def page_children(scope, receive, send):
    await start(send)

    async def child(i):
        for _ in range(3):
            await body(send, b"%d" % i, True)
            await asyncio.sleep(0)

    await asyncio.gather(*(asyncio.create_task(child(i)) for i in range(3)))
    await asyncio.create_task(send({"type": "http.response.body", "body": b"."}))


async def page_none(scope, receive, send):
    await start(send, 204, (b"content-length", b"3"))
    await body(send, b"abc")


async def page_path(scope, receive, send):
    await start(send)
    await send({"type": "http.response.pathsend", "path": HERE})


async def page_file(scope, receive, send):
    await start(send)
    with open(HERE, "rb") as f:
        await send({"type": "http.response.zerocopysend", "file": f, "count": 3, "more_body": True})
        await body(send, b"--", True)
        await send({"type": "http.response.zerocopysend", "file": f.fileno(), "count": 4, "more_body": True})
        await send({"type": "http.response.zerocopysend", "file": f, "offset": 1, "count": 2})


async def page_hints(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>"]})
    await answer(send, "hinted")


async def page_trailers(scope, receive, send):
    await start(send, 200, (b"trailer", b"x-sum"), trailers="http.response.trailers" in scope["extensions"])
    await body(send, b"body")
    if "http.response.trailers" in scope["extensions"]:
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})


async def page_wrong(scope, receive, send):
    said = []

    async def tell(message):
        try:
            await send(message)
            said.append("taken")
        except Exception as exc:
            said.append("%s: %s" % (type(exc).__name__, exc))

    def head(*headers):
        return {"type": "http.response.start", "status": 200, "headers": headers}

    for message in (
        None, {}, {"type": 3}, {"type": "http.response.body"}, {"type": "http.response.start"}, {"type": "http.response.start", "status": "200"},
        {"type": "http.response.start", "status": 100}, head(("a", b"b")), head((b"a", "b")), head((b"a b", b"c")), head((b"a", b"b\r\nc: d")),
        head((b"a", b"b", b"c")), head((b"content-length", b"x")), {**head(), "headers": 3}, {**head(), "headers": iter([[b"x", bytearray(b"y")]])},
        head(), {"type": "http.response.body", "body": "text"}, {"type": "nonsense"}, {"type": "http.response.pathsend", "path": "/nowhere/at/all"},
        {"type": "http.response.zerocopysend", "file": None}, {"type": "http.response.trailers"},
    ):
        await tell(message)
    await body(send, "\n".join(said).encode())
    said.clear()
    await tell({"type": "http.response.body"})
    print(said[0], await receive(), flush=True)


async def page_longer(scope, receive, send):
    await start(send, 200, (b"content-length", b"3"))
    try:
        await body(send, b"four")
    except RuntimeError as exc:
        await body(send, str(exc)[-3:].encode()[:3])


async def page_shorter(scope, receive, send):
    await start(send, 200, (b"content-length", b"3"))
    await body(send, b"12")


async def page_raises(scope, receive, send):
    raise ValueError("before a word")


async def page_half(scope, receive, send):
    await start(send, 200, (b"content-length", b"10"))
    await body(send, b"12345", True)
    await asyncio.sleep(0)
    raise ValueError("within the response")


async def page_nothing(scope, receive, send):
    pass


async def page_unfinished(scope, receive, send):
    await start(send)
    await body(send, b"12345", True)


async def page_value(scope, receive, send):
    await answer(send, "whole")
    return 42


async def page_cancels(scope, receive, send):
    asyncio.current_task().cancel()
    await asyncio.sleep(1)


async def page_waits(scope, receive, send):
    print("waiting", flush=True)
    while (await receive())["type"] != "http.disconnect":
        pass
    try:
        await start(send)
        await body(send, b"x", True)
    except OSError as exc:
        print("gone:", type(exc).__module__, type(exc).__name__, flush=True)
        raise RuntimeError("what a framework makes of it")


async def page_after(scope, receive, send):
    await answer(send, "done")
    print("after the end:", await receive(), flush=True)


async def page_context(scope, receive, send):
    async def child():
        await asyncio.sleep(0)
        return uwsgi.connection_fd()

    await asyncio.sleep(0)
    uwsgi.set_logvar("colour", "blue")
    fds = [uwsgi.connection_fd(), await child(), await asyncio.create_task(child())]
    if hasattr(asyncio, "to_thread"):
        fds.append(await asyncio.to_thread(uwsgi.connection_fd))
    try:
        await asyncio.get_running_loop().run_in_executor(None, uwsgi.connection_fd)
        outside = "found"
    except SystemError:
        outside = "none"
    await answer(send, "%s %s" % (len(set(fds)) == 1 and fds[0] > 2, outside))


async def page_task(scope, receive, send):
    task, first = asyncio.current_task(), asyncio.create_task(receive())
    await first
    second = asyncio.create_task(receive())
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    await answer(send, [inspect.getcoroutinestate(task.get_coro()), task.get_coro().__qualname__, asyncio.iscoroutine(task.get_coro()),
                        task.get_stack()[-1].f_code.co_name, second.cancelled(), first.result()])


async def page_live(scope, receive, send):
    gc.collect()  # frames of exceptions make circles
    await answer(send, uwsgi._core.live() + (len(asyncio.all_tasks()),))


async def page_fork(scope, receive, send):
    child = os.fork()
    if not child:
        return
    await asyncio.sleep(0)
    await answer(send, "ended with %d" % (os.waitpid(child, 0)[1] >> 8))


async def page_forks(scope, receive, send):
    child = os.fork()
    if not child:
        try:
            await start(send)
        except OSError:
            os._exit(3)
    await answer(send, "refused with %d" % (os.waitpid(child, 0)[1] >> 8))


async def socket(scope, receive, send):
    how = scope["path"].rpartition("/")[2]
    assert (await receive())["type"] == "websocket.connect"
    if how == "denied":
        await send({"type": "websocket.close"})
        print("denied:", await receive(), flush=True)
        return
    if how == "teapot":
        await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-pot", b"tea")]})
        await send({"type": "websocket.http.response.body", "body": b"short", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b" and stout"})
        return
    if how == "nothing":
        return
    await send({"type": "websocket.accept", "subprotocol": "one", "headers": [(b"x-more", b"yes")]})
    if how == "returns":
        return
    if how == "raises":
        raise ValueError("in a websocket")
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
