"""A page that tries in a real browser what an asynchronous application is for."""

import asyncio

PAGE = b"""<!doctype html><title>uwsgi</title><img src="/wait"><script>
const seen = {}
function note(name, value) {
  seen[name] = value
  if (Object.keys(seen).length == 4) fetch("/done", {method: "POST", body: JSON.stringify(seen)})
}
const socket = new WebSocket("ws://" + location.host + "/socket", ["talk", "chat"])
const heard = []
socket.onopen = () => { socket.send("h\\u00e9"); socket.send(new Uint8Array([1, 2, 3])) }
socket.binaryType = "arraybuffer"
socket.onmessage = (e) => {
  heard.push(typeof e.data == "string" ? e.data : Array.from(new Uint8Array(e.data)))
  if (heard.length == 2) socket.close(3001, "enough")
}
socket.onclose = (e) => note("socket", [socket.protocol, ...heard, e.code, e.reason, e.wasClean])
const events = new EventSource("/events"), told = []
events.onmessage = (e) => { told.push(e.data); if (told.length == 3) { events.close(); note("events", told) } }
fetch("/upload", {method: "POST", body: "x".repeat(300000)}).then((r) => r.text()).then((text) => note("upload", text))
fetch("/stream").then(async (r) => {
  const reader = r.body.getReader()
  let length = 0
  for (let part; !(part = await reader.read()).done;) length += part.value.length
  note("stream", length)
})
</script>
"""


async def application(scope, receive, send):
    await PLACES[scope["path"]](receive, send)


async def respond(send, kind, body, more=False):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def page(receive, send):
    await respond(send, b"text/html", PAGE)


async def upload(receive, send):
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await respond(send, b"text/plain", b"%d" % size)


async def events(receive, send):
    await respond(send, b"text/event-stream", b"", True)
    for i in range(1000):
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % i, "more_body": True})
        await asyncio.sleep(0.01)
        if gone(receive):
            return


def gone(receive):
    """Whether the client has left: its task has told."""
    watch = watches.setdefault(asyncio.current_task(), None)
    if watch is None:
        watches[asyncio.current_task()] = watch = asyncio.ensure_future(leaves(receive))
    return watch.done()


watches = {}


async def leaves(receive):
    while (await receive())["type"] != "http.disconnect":
        pass
    print("the browser left the events", flush=True)


done = asyncio.Event()


async def wait(receive, send):
    """The page counts as loaded once its scripts are done."""
    await done.wait()
    done.clear()
    await nothing(receive, send)


async def finish(receive, send):
    print("seen", (await receive())["body"].decode(), flush=True)
    await nothing(receive, send)
    done.set()


async def stream(receive, send):
    await respond(send, b"application/octet-stream", b"", True)
    for _ in range(50):
        await send({"type": "http.response.body", "body": b"y" * 20000, "more_body": True})
    await send({"type": "http.response.body"})


async def socket(receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": "chat"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            print("the browser closed with", message["code"], message["reason"], flush=True)
            return
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def nothing(receive, send):
    await send({"type": "http.response.start", "status": 404})
    await send({"type": "http.response.body"})


PLACES = {"/": page, "/upload": upload, "/events": events, "/stream": stream, "/socket": socket, "/wait": wait, "/done": finish, "/favicon.ico": nothing}
