"""Visits the site of frameworks.py at a URL and prints, as JSON, all that it answered."""

import asyncio
import json
import sys
import time

import httpx
import websockets

UNEQUAL = ("date", "server", "connection", "keep-alive", "transfer-encoding", "expires")  # the servers' own, and the time
base, seen = sys.argv[1], []


def note(name, answer, headers=True, without=()):
    shown = {}
    for k, v in answer.headers.multi_items() if headers else ():
        if k not in UNEQUAL and k not in without:  # Starlette's Allow is a set
            shown.setdefault(k, []).append(sorted(v.split(", ")) if k == "allow" else v)
    seen.append([name, answer.status_code, shown, answer.text if len(answer.text) < 2000 else [len(answer.text), hash_of(answer.content)]])


def hash_of(data):
    import hashlib

    return hashlib.md5(data).hexdigest()


def pages():
    large = b"0123456789" * 100000

    def chunks():
        for i in range(0, len(large), 30000):
            yield large[i:i + 30000]

    with httpx.Client(base_url=base, timeout=20) as c:
        note("json", c.get("/json?a=%C3%A9&b=1", headers=[("x-one", "1"), ("x-two", "2"), ("cookie", "k=v; l=w")]))
        note("head", c.head("/json"))
        note("options", c.options("/json"))
        note("nowhere", c.get("/nowhere/x%2Fy"))
        note("encoded", c.get("/js%6Fn"))
        note("body", c.post("/body", content=large))
        note("chunked body", c.post("/body", content=chunks()))
        note("empty body", c.post("/body", content=b""))
        note("upload", c.post("/upload", files={"file": ("a.txt", large)}, data={"field": "value"}))
        note("item", c.post("/item", json={"name": "x"}))
        note("wrong item", c.post("/item", json={"price": "x"}))
        note("stream", c.get("/stream", headers={"accept-encoding": "identity"}))
        # Starlette compresses no file that it leaves to the server (http.response.pathsend), which uvicorn knows nothing of
        coded = ("vary", "content-encoding", "content-length")
        note("gzip", c.get("/file", headers={"accept-encoding": "gzip"}), without=coded)
        note("file", c.get("/file", headers={"accept-encoding": "identity"}), without=coded)
        note("range", c.get("/file", headers={"accept-encoding": "identity", "range": "bytes=100-299"}), headers=False)
        note("events", c.get("/events"), headers=False)
        note("session", c.get("/session"), headers=False)
        note("session again", c.get("/session"), headers=False)
        c.cookies.clear()
        note("blocking", c.get("/blocking"))
        note("redirect", c.get("/redirect"))
        note("background", c.get("/background"))
        end = time.monotonic() + 20
        while c.get("/ran").text not in ("1", "Not Found") and c.get("/ran").status_code == 200 and time.monotonic() < end:
            time.sleep(0.01)
        note("ran", c.get("/ran"))
        note("failing", c.get("/failing"))
    note("after it", httpx.get(base + "/json", timeout=20))  # by a new connection: uvicorn closes the other without a word


async def sockets():
    url = base.replace("http", "ws", 1)
    async with websockets.connect(url + "/ws?x=1", subprotocols=["other", "chat"], compression=None) as ws:
        seen.append(["ws", ws.subprotocol, (await ws.recv()).replace(" ", "")])
        for text in ("hello", "é" * 3000, "x" * 200000, ""):
            await ws.send(text)
            answer = await ws.recv()
            seen.append(["echo", len(answer), answer == text])
        await ws.ping()
        await ws.send("bye")
        try:
            await ws.recv()
        except websockets.ConnectionClosed as exc:
            seen.append(["close", exc.rcvd.code, exc.rcvd.reason])
    for path in ("/deny", "/json", "/nowhere"):
        try:
            async with websockets.connect(url + path):
                seen.append([path, "accepted"])
        except websockets.InvalidStatus as exc:
            seen.append([path, exc.response.status_code])


pages()
asyncio.run(sockets())
print(json.dumps(seen))
