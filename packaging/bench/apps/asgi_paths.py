"""One ASGI application for the other rows: each path is one of them; a WebSocket gets back what it sends."""

import asyncio

HELLO, CHUNK = b"Hello, World!\n", bytes(range(100))


def start(length):
    return {"type": "http.response.start", "status": 200,
            "headers": [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % length)]}


async def hello(receive, send):
    await send(start(len(HELLO)))
    await send({"type": "http.response.body", "body": HELLO})


async def sleep5(receive, send):
    await asyncio.sleep(0.005)
    await hello(receive, send)


async def echo(receive, send):
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message.get("more_body", False)
    body = b"".join(parts)
    await send(start(len(body)))
    await send({"type": "http.response.body", "body": body})


async def stream(receive, send):
    """100 chunks of 100 bytes without a Content-Length."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/octet-stream")]})
    for _ in range(100):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


PATHS = {"/": hello, "/sleep5": sleep5, "/echo": echo, "/stream": stream}


async def application(scope, receive, send):
    await (PATHS[scope["path"]] if scope["type"] == "http" else websocket)(receive, send)
