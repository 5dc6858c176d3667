"""Clients of socketio_app.py, by each transport: in rooms, all at once, and in the background."""

import json
import sys
import time
import urllib.request

import socketio

base = "http://" + sys.argv[1]


def get(path):
    with urllib.request.urlopen(base + path, timeout=20) as answer:
        return answer.read().decode()


def expect(client, *event):
    got = client.receive(timeout=20)
    assert got == list(event), (client.transport, got, event)


def converse(name, transport, **how):
    clients = [socketio.SimpleClient() for _ in range(3)]
    for client in clients:
        client.connect(base, **how)
        assert client.transport == transport, client.transport
    first, second, outside = clients
    for client in first, second:
        assert client.call("enter", name, timeout=20) == "in " + name
    for text in "hello", "é" * 3000, "x" * 200000:
        first.emit("say", (name, text))
        expect(first, "said", text)
        expect(second, "said", text)
    assert second.call("leave", name, timeout=20) == "out of " + name
    first.emit("say", (name, "alone"))
    expect(first, "said", "alone")
    outside.emit("shout", "all")  # the first that it and, since it left, the second hear
    for client in clients:
        expect(client, "shouted", "all")
    data = [b"\x00\x01\xff" * 1000, {"bytes": b"\x01", "none": None}]  # uwsgi.websocket_recv_nb cannot tell b"" from nothing
    assert outside.call("echo", data, timeout=20) == data
    for client in clients:
        client.emit("count", 20)
    for i in range(20):
        for client in clients:
            expect(client, "counted", i)
    assert get("/news?text=" + name) == "told"
    for client in clients:
        expect(client, "news", name)
    sids = {client.sid for client in clients}
    for client in clients:
        client.disconnect()
    end = time.monotonic() + 20
    while not sids <= set(json.loads(get("/gone"))):
        assert time.monotonic() < end, "the server has not heard that they left"
        time.sleep(0.01)


converse("a", "websocket", transports=["websocket"])
converse("b", "websocket")  # polling, upgraded
converse("c", "polling", transports=["polling"])
