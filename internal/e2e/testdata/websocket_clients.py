"""What clients make of it: websockets, simple-websocket and python-socketio."""

import asyncio
import sys

import simple_websocket
import socketio
import websockets

base = sys.argv[1]


async def by_websockets():
    async with websockets.connect("ws://%s/echo" % base, subprotocols=["first", "second"], max_size=None) as ws:
        assert ws.subprotocol == "first", ws.subprotocol
        for message in ("hello", "", "€" * 5000, b"\xff" * 100000, "x" * 3000000, b""):
            await ws.send(message)
            answer = await ws.recv()
            assert answer == message or message == b"" and answer == "", (len(answer), len(message))
        await ws.send(["in ", "", "pieces"])
        assert await ws.recv() == "in pieces"
        await (await ws.ping())
        await ws.send("bye")
        try:
            await ws.recv()
        except websockets.ConnectionClosed as exc:
            assert exc.rcvd.code == 1000, exc
    async with websockets.connect("ws://%s/polling" % base, compression=None) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
    assert ws.close_code == 1000, ws.close_code


def by_simple_websocket():
    ws = simple_websocket.Client("ws://%s/sock" % base)
    for message in ("hello", b"bytes", "x" * 100000):
        ws.send(message)
        assert ws.receive(timeout=20) == message
    ws.send("bye")
    try:
        raise AssertionError(ws.receive(timeout=20))
    except simple_websocket.ConnectionClosed as exc:
        assert exc.reason == 1000, exc


def by_socketio(transport, **how):
    with socketio.SimpleClient() as client:
        client.connect("http://" + base, **how)
        client.emit("message", "hello")
        assert client.receive(timeout=20) == ["message", "HELLO"]
        assert client.transport == transport, client.transport


asyncio.run(by_websockets())
by_simple_websocket()
by_socketio("websocket", transports=["websocket"])
by_socketio("websocket")  # polling, upgraded
by_socketio("polling", transports=["polling"])
print("all is well")
