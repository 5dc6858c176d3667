"""What the chaos tests provoke evented workers with: each path of this ASGI application is one way to misbehave, or to be slow."""

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from urllib.parse import parse_qsl

import uwsgi

GENERATION = "1"
kept = []        # what outlives its request
seen = {"signals": 0, "cancelled": 0, "disconnected": 0, "sent": 0}
if os.environ.get("GC_EVERY"):
    gc.set_threshold(int(os.environ["GC_EVERY"]), 2, 2)


class Request:
    def __init__(self, scope, receive, send):
        self.scope, self.receive, self.send = scope, receive, send
        self.query = dict(parse_qsl(scope["query_string"].decode()))

    def number(self, name, default):
        return type(default)(self.query.get(name, default))

    async def start(self, status=200, headers=()):
        await self.send({"type": "http.response.start", "status": status, "headers": [(b"x-pid", b"%d" % os.getpid()), *headers]})

    async def body(self, data, more=False):
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def text(self, text, status=200, headers=()):
        await self.start(status, headers)
        await self.body(text.encode())

    async def read(self):
        """All of the body; None: the client has gone."""
        n = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                return None
            n += len(message.get("body", b""))
            if not message.get("more_body"):
                return n


async def hello(r):
    await r.text("hello\n")


async def pid(r):
    await r.text(str(os.getpid()))


async def generation(r):
    await r.text(GENERATION)


async def sleep(r):
    await asyncio.sleep(r.number("s", 0.005))
    await r.text("slept\n")


async def upload(r):
    """Reads the body a piece at a time, with a pause of s between."""
    await r.text(str(await r.read()))


async def stream(r):
    """n chunks of size bytes, s seconds apart; it ends with a line that says so."""
    size, pause = r.number("size", 10), r.number("s", 0.0)
    await r.start()
    try:
        for _ in range(r.number("n", 100)):
            await r.body(b"x" * (size - 1) + b"\n", True)
            seen["sent"] += size
            if pause:
                await asyncio.sleep(pause)
    finally:
        await r.body(b"end\n")


async def endless(r):
    """A stream that ends when it is told that nobody wants more."""
    await r.start()
    ended = asyncio.ensure_future(r.read() if r.scope["method"] == "GET" else r.receive())
    await r.body(b"begin\n", True)
    while True:
        message = asyncio.ensure_future(r.receive()) if ended.done() else ended
        done, _ = await asyncio.wait({message}, timeout=0.05)
        if done and message is not ended:
            break
        await r.body(b"tick\n", True)
    await r.body(b"end\n")


async def big(r):
    n = r.number("n", 1 << 20)
    await r.text("y" * n, headers=[(b"content-length", b"%d" % n)])


async def wait(r):
    """Waits for the client's end."""
    await r.read()
    while (await r.receive())["type"] != "http.disconnect":
        pass
    seen["disconnected"] += 1
    await r.text("nobody hears")


async def race(r):
    """What frameworks do: the answer races with the client's end, in tasks of their own."""
    async def gone():
        while (await r.receive())["type"] != "http.disconnect":
            pass

    watcher = asyncio.create_task(gone())
    try:
        await asyncio.wait({watcher, asyncio.create_task(asyncio.sleep(0.01))}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.get_running_loop().run_in_executor(None, int, 0)
        await r.text("raced")
    finally:
        watcher.cancel()


async def background(r):
    await r.text("answered")
    await asyncio.sleep(r.number("s", 0.05))


async def collect(r):
    ring = []
    for _ in range(20):
        ring.append([ring, r])
    await r.text(str(gc.collect() >= 0))


async def live(r):
    """What is left of requests: objects, tasks, memory."""
    gc.collect()
    exchanges, drivers = uwsgi._core.live()
    tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    with open("/proc/self/statm") as f:
        rss = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    await r.text(json.dumps({
        "pid": os.getpid(), "exchanges": exchanges - 1, "drivers": drivers - 1,
        "tasks": [repr(t) for t in tasks if "lifespan" not in repr(t).lower()], "rss": rss, "threads": threading.active_count(), **seen,
    }))


async def heap(r):
    """What the interpreter has allocated."""
    gc.collect()
    await r.text(json.dumps({"blocks": sys.getallocatedblocks(), "types": Counter(map(str, map(type, gc.get_objects())))}))


async def stuck(r):
    time.sleep(r.number("s", 3600.0))


async def gil(r):
    mutex = ctypes.create_string_buffer(64)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)


async def stubborn(r):
    """Does not let itself be cancelled."""
    end = time.monotonic() + r.number("s", 3600.0)
    while time.monotonic() < end:
        try:
            await asyncio.sleep(end - time.monotonic())
        except asyncio.CancelledError:
            seen["cancelled"] += 1
    await r.text("not cancelled")


async def patient(r):
    """Waits, and says how it was told to end."""
    try:
        await asyncio.sleep(r.number("s", 3600.0))
    except asyncio.CancelledError:
        seen["cancelled"] += 1
        raise
    await r.text("slept\n")


async def socket(r):
    """An echo that says how it ended."""
    assert (await r.receive())["type"] == "websocket.connect"
    await r.send({"type": "websocket.accept"})
    while True:
        message = await r.receive()
        if message["type"] == "websocket.disconnect":
            seen["disconnected"] += 1
            seen["code"] = message["code"]
            return
        if message.get("text") == "generation":
            message["text"] = GENERATION
        if message.get("text") == "flood":
            while True:
                await r.send({"type": "websocket.send", "bytes": b"z" * 65536})
                seen["sent"] += 65536
        await r.send({k: v for k, v in message.items() if k != "type"} | {"type": "websocket.send"})


async def late_socket(r):
    await r.receive()
    await asyncio.sleep(r.number("s", 1.0))
    await r.send({"type": "websocket.accept"})
    while (await r.receive())["type"] != "websocket.disconnect":
        pass


async def closed_socket(r):
    await r.receive()
    await r.send({"type": "websocket.accept"})
    await r.send({"type": "websocket.close", "code": 4000, "reason": "enough"})


async def refused_socket(r):
    await r.receive()
    await r.send({"type": "websocket.close"})


async def deaf(r):
    """A stream that asks for nothing, and so hears of no end."""
    await r.start()
    while True:
        await r.body(b"tick\n", True)
        await asyncio.sleep(0.05)


# --- hostile ---

async def after(r):
    """Sends after the end, of each kind."""
    await r.text("once")
    for message in ({"type": "http.response.body", "body": b"again"}, {"type": "http.response.start", "status": 200},
                    {"type": "http.response.pathsend", "path": __file__}, {"type": "http.response.trailers", "headers": []}):
        try:
            await r.send(message)
        except RuntimeError:
            continue
        raise AssertionError(message)


async def nothing(r):
    pass


async def half(r):
    await r.start()
    await r.body(b"half", True)
    await asyncio.sleep(0.01)


async def raises(r):
    kinds = {"exit": SystemExit, "interrupt": KeyboardInterrupt, "generator": GeneratorExit, "stop": StopAsyncIteration,
             "cancelled": asyncio.CancelledError, "memory": MemoryError, "os": ConnectionResetError, "base": BaseException}
    if r.query.get("when") == "late":
        await asyncio.sleep(0.01)
    if r.query.get("started"):
        await r.start()
        await r.body(b"some", True)
    if r.query["what"] == "exit":
        raise SystemExit(3)
    raise kinds[r.query["what"]]("on purpose")


async def cancels(r):
    """Cancels its own task."""
    asyncio.current_task().cancel()
    await asyncio.sleep(1)


async def cancels_last(r):
    await r.text("answered")
    asyncio.current_task().cancel()
    await asyncio.sleep(1)


async def closes(r):
    """Has the coroutine of its own task closed while it waits."""
    asyncio.get_running_loop().call_soon(asyncio.current_task().get_coro().close)
    await asyncio.sleep(0.05)


async def steps(r):
    """Takes steps of its own coroutine, and of another's that waits."""
    for f in (lambda c: c.send(None), lambda c: c.throw(ValueError("x")), lambda c: next(c), lambda c: c.close()):
        try:
            f(asyncio.current_task().get_coro())
        except (ValueError, RuntimeError, TypeError):
            continue
        raise AssertionError
    await r.text("stood")


async def loop_stop(r):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    await r.text("goes on")


async def loop_close(r):
    try:
        asyncio.get_running_loop().close()
    except RuntimeError:
        await r.text("refused")


async def forks(r):
    """A child returns from the coroutine as its parent does."""
    child = os.fork()
    if child:
        await asyncio.sleep(0.02)
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            await asyncio.sleep(0.01)
    await r.text("parent" if child else "child")


async def forks_and_awaits(r):
    child = os.fork()
    if not child:
        await asyncio.sleep(0.01)
        await r.text("child")
        return
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        await asyncio.sleep(0.01)
    await r.text("parent")


async def exits(r):
    os._exit(5)


async def closes_descriptors(r):
    os.closerange(3, 4096)
    await r.text("closed")


async def keeps(r):
    """Keeps what it was given for later."""
    kept.append((r.scope, r.receive, r.send))
    await r.text("kept")


async def outlives(r):
    """A task sends when its request is long over."""
    async def late():
        await asyncio.sleep(0.05)
        await misuse(r)

    kept.append(asyncio.ensure_future(late()))
    await r.text("first")


async def misuse(r):
    tried = [{"type": "http.response.start", "status": 299, "headers": [(b"x-stray", b"stray")]}, {"type": "http.response.body", "body": b"stray", "more_body": True},
             {"type": "http.response.body", "body": b"stray"}, {"type": "websocket.send", "text": "stray"}, {"type": "http.response.pathsend", "path": __file__}]
    for message in tried:
        for wrap in (r.send, lambda m: asyncio.wait_for(r.send(m), 1)):
            try:
                await wrap(message)
            except (RuntimeError, OSError):
                continue
            raise AssertionError(message)
    assert (await r.receive())["type"] == "http.disconnect"


async def late(r):
    """Uses what others have kept while this request is under way."""
    await r.start()
    await r.body(b"mine ", True)
    for one in kept:
        if isinstance(one, tuple):
            await misuse(Request(*one))
    await asyncio.sleep(0)
    await r.body(b"alone")


class Sleepy:
    """Headers whose making takes a while, in which other threads run."""

    def __init__(self, seconds, then=()):
        self.seconds, self.then = seconds, then

    def __iter__(self):
        yield b"x-first", b"1"
        time.sleep(self.seconds)
        yield b"x-stray", b"stray"
        yield from self.then


async def threads(r):
    """A thread is at sending when the request ends."""
    def send():
        message = {"type": "http.response.start", "status": 299, "headers": Sleepy(r.number("s", 0.2))}
        for step in (lambda: r.send(message), lambda: r.send(message).send(None), lambda: r.receive().send(None)):
            try:
                step()
            except (RuntimeError, OSError, StopIteration):
                pass

    thread = threading.Thread(target=send)
    thread.start()
    await asyncio.sleep(0.02)
    await r.text("loop")
    kept.append(thread)


async def from_thread(r):
    """A thread sends the response by run_coroutine_threadsafe, as is right."""
    loop = asyncio.get_running_loop()

    def work():
        for message in ({"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": b"from ", "more_body": True}, {"type": "http.response.body", "body": b"a thread"}):
            asyncio.run_coroutine_threadsafe(r.send(message), loop).result()

    await loop.run_in_executor(None, work)


async def parts(r):
    """Its head is there for a while before it goes."""
    await r.start()
    await asyncio.sleep(r.number("s", 0.02))
    await r.body(b"parts")


async def last_words(r):
    await r.start()
    await r.body(b"first", True)
    await asyncio.sleep(0.01)
    await r.body(b"last", True)
    raise ValueError("on purpose")


async def reenters(r):
    """send() within send()."""
    def headers():
        yield b"x-outer", b"1"
        for message in ({"type": "http.response.start", "status": 299, "headers": [(b"x-inner", b"1")]}, {"type": "http.response.body", "body": b"inner"}):
            try:
                r.send(message)
            except RuntimeError:
                pass

    await r.send({"type": "http.response.start", "status": 200, "headers": headers()})
    await r.body(b"outer")


async def twice(r):
    """Two tasks await one receive()."""
    message = r.receive()
    await message
    waiting = r.receive()
    first, second = asyncio.create_task(waiting), asyncio.create_task(waiting)
    done, _ = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED, timeout=1)
    told = [type(t.exception()).__name__ for t in done]
    for task in (first, second):
        task.cancel()
    await r.text(str(told))


async def wrong(r):
    """A message that is none; the exception is the response."""
    messages = {
        "type": None, "none": {}, "list": [1], "name": {"type": "no.such"}, "bytes": {"type": b"http.response.start"},
        "status": {"type": "http.response.start"}, "str": {"type": "http.response.start", "status": "200"},
        "negative": {"type": "http.response.start", "status": -1}, "huge": {"type": "http.response.start", "status": 1 << 80},
        "informal": {"type": "http.response.start", "status": 101}, "crlf": {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nSet-Cookie: x")]},
        "name crlf": {"type": "http.response.start", "status": 200, "headers": [(b"a\r\nb", b"c")]}, "nul": {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\0")]},
        "text": {"type": "http.response.start", "status": 200, "headers": [("a", "b")]}, "one": {"type": "http.response.start", "status": 200, "headers": [(b"a",)]},
        "three": {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b", b"c")]}, "headers": {"type": "http.response.start", "status": 200, "headers": 7},
        "length": {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"-5")]}, "lengths": {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5"), (b"content-length", b"6")]},
        "order": {"type": "http.response.body", "body": b""}, "socket": {"type": "websocket.accept"}, "file": {"type": "http.response.pathsend", "path": "/etc/passwd"},
    }
    try:
        await r.send(messages[r.query["what"]])
    except Exception as exc:
        await r.text("%s: %s" % (type(exc).__name__, exc))
        return
    await r.body(b"taken")


async def wrong_body(r):
    bodies = {"str": "text", "number": 5, "none": None, "view": memoryview(b"view"), "array": bytearray(b"array")}
    await r.start()
    try:
        await r.body(bodies[r.query["what"]])
    except TypeError:
        await r.body(b"refused")


async def wrong_file(r):
    directory = os.open("/", os.O_RDONLY)
    files = {"negative": {"offset": -1}, "count": {"count": -1}, "closed": {"file": 1 << 20}, "dir": {"file": directory}, "text": {"file": "x"}, "past": {"offset": 1 << 62}, "overflow": {"offset": 1 << 64}}
    with open(__file__, "rb") as f:
        message = {"type": "http.response.zerocopysend", "file": f, **files[r.query["what"]]}
        await r.start()
        try:
            await r.send(message)
        except (ValueError, TypeError, OSError, OverflowError):
            await r.body(b"refused")
    os.close(directory)


async def headers(r):
    await r.text("many", headers=[(b"x-%d" % i, b"v" * 50) for i in range(r.number("n", 1000))])


class Odd:
    """Awaitable, and no coroutine."""

    def __init__(self, *args):
        self.r = Request(*args)

    def __await__(self):
        yield from self.r.text("odd").__await__()


PAGES = {"/": hello, "/loop-stop": loop_stop, "/loop-close": loop_close, "/_exit": exits, "/closerange": closes_descriptors,
         **{"/" + f.__name__.replace("_", "-"): f for f in (
             pid, generation, sleep, upload, stream, endless, big, wait, race, background, collect, live, stuck, gil, stubborn, patient, socket, late_socket, closed_socket, refused_socket, deaf, heap,
             after, nothing, half, raises, cancels, cancels_last, closes, steps, forks, forks_and_awaits, keeps, outlives, late, threads, from_thread, parts, last_words,
             reenters, twice, wrong, wrong_body, wrong_file, headers)}}


def counted(signum, frame):
    seen["signals"] += 1


def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return lifespan(receive, send)
    if scope["path"] == "/odd":
        return Odd(scope, receive, send)
    if scope["path"] == "/no-coroutine":
        return 5
    if scope["path"] == "/at-once":
        raise ValueError("on purpose")
    return PAGES[scope["path"][len(scope["root_path"]):]](Request(scope, receive, send))


async def lifespan(receive, send):
    await receive()
    signal.signal(signal.SIGWINCH, counted)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("shutdown of", os.getpid(), flush=True)
    await send({"type": "lifespan.shutdown.complete"})
