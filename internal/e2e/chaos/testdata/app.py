"""What the chaos tests provoke the server with: each path is one way to misbehave, or to be slow."""

import ctypes
import hashlib
import io
import os
import sys
import threading
import time

GENERATION = "1"
seen = []
held = []
lock = threading.Lock()


def query(environ, name, default=""):
    for pair in environ.get("QUERY_STRING", "").split("&"):
        key, _, value = pair.partition("=")
        if key == name:
            return value
    return default


def hello(environ, start):
    return text(start, "hello\n")


def text(start, body, status="200 OK", headers=()):
    body = body.encode()
    start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("X-Pid", str(os.getpid()))] + list(headers))
    return [body]


def pid(environ, start):
    return text(start, str(os.getpid()))


def clock(environ, start):
    return text(start, str(time.time()))


def who(environ, start):
    """Every PATH_INFO that came in, one a line."""
    return text(start, "\n".join(seen))


def variables(environ, start):
    return text(start, "\n".join("%s=%s" % (k, environ[k]) for k in sorted(environ) if isinstance(environ[k], str)))


def sleep(environ, start):
    time.sleep(float(query(environ, "s", "0.005")))
    return text(start, "slept\n")


def big(environ, start):
    n = int(query(environ, "n", "1048576"))
    start("200 OK", [("Content-Length", str(n))])
    return blocks(n)


def blocks(n):
    block = b"x" * 65536
    while n > 0:
        yield block[:n]
        n -= len(block)


def buffered(environ, start):
    n = int(query(environ, "n", "1048576"))
    start("200 OK", [("Content-Length", str(n))])
    return [b"y" * n]


def download(environ, start):
    f = open(query(environ, "file"), "rb")
    start("200 OK", [("Content-Length", str(os.fstat(f.fileno()).st_size))])
    return environ["wsgi.file_wrapper"](f)


def digest(environ, start):
    h, n = hashlib.sha1(), 0
    while True:
        block = environ["wsgi.input"].read(1 << 20)
        if not block:
            break
        n += len(block)
        h.update(block)
    return text(start, "%d %s\n" % (n, h.hexdigest()))


def refuse(environ, start):
    """An answer that does not wait for the body."""
    return text(start, "who are you?\n" * 1000, "401 Unauthorized", [("WWW-Authenticate", "Basic")])


def segv(environ, start):
    ctypes.string_at(0)


def leave(environ, start):
    sys.exit(int(query(environ, "code", "0")))


def leave_hard(environ, start):
    os._exit(7)


def hold_gil(environ, start):
    """A C function that never returns and does not give the interpreter's lock back, as PyDLL does not: a mutex locked twice."""
    mutex = ctypes.create_string_buffer(64)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)


def ask_reload(environ, start):
    import uwsgi

    uwsgi.reload()
    return text(start, "asked\n")


def deadlock(environ, start):
    with lock:
        lock.acquire()


def fork_bomb(environ, start):
    """Children until there are no more, each for a moment."""
    n, last = 0, ""
    for _ in range(1000):
        try:
            child = os.fork()
        except OSError as exc:
            last = str(exc)
            break
        if child == 0:
            try:
                time.sleep(float(query(environ, "s", "1")))
            finally:
                os._exit(0)
        n += 1
    return text(start, "%d children, then %s\n" % (n, last))


def threads(environ, start):
    """Threads that never end, until there are no more."""
    n, last = 0, ""
    for _ in range(int(query(environ, "n", "2000"))):
        t = threading.Thread(target=threading.Event().wait, daemon=query(environ, "daemon", "1") == "1")
        try:
            t.start()
        except RuntimeError as exc:
            last = str(exc)
            break
        n += 1
    return text(start, "%d threads, then %s\n" % (n, last))


def recurse(environ, start):
    def again():
        return again()

    return again()


def recurse_in_c(environ, start):
    """Past every limit, through C, until the stack is used up."""
    sys.setrecursionlimit(1 << 30)

    class Deep:
        def __repr__(self):
            return "%r" % [self]

    return [repr(Deep()).encode()]


def close_all(environ, start):
    os.closerange(3, 65536)
    return text(start, "closed\n")


def memory(environ, start):
    """n MiB that stay; 0 gives them back."""
    n = int(query(environ, "n", "1"))
    if n == 0:
        held.clear()
    else:
        block = bytearray(n << 20)
        block[::4096] = b"z" * len(block[::4096])
        held.append(block)
    return text(start, "held\n")


def fill(environ, start):
    """Takes all the address space there is, and keeps it."""
    for size in (16 << 20, 1 << 20, 64 << 10):
        try:
            while True:
                held.append(bytearray(size))
        except MemoryError:
            pass
    return text(start, "full\n")


def grow(environ, start):
    """A leak of 256 KiB a request."""
    held.append(os.urandom(4096) * 64)
    return text(start, "hello\n")


def files(environ, start):
    """Opens files until no more can be had, and gives them back."""
    mine = []
    try:
        while True:
            mine.append(open("/dev/null"))
    except OSError as exc:
        why = str(exc)
    for f in mine:
        f.close()
    return text(start, why)


def hoard(environ, start):
    """Opens files until no more can be had, and keeps them."""
    try:
        while True:
            held.append(open("/dev/null"))
    except OSError as exc:
        return text(start, str(exc))


BAD = {
    "status-cr": lambda start: start("200 OK\r\nX-Evil: 1", []),
    "status-nul": lambda start: start("200 O\0K", []),
    "status-short": lambda start: start("20", []),
    "status-word": lambda start: start("OK", []),
    "status-int": lambda start: start(200, []),
    "status-bytes": lambda start: start(b"200 OK", []),
    "status-wide": lambda start: start("200 \u4e2d", []),
    "name-cr": lambda start: start("200 OK", [("X\r\nY", "1")]),
    "name-colon": lambda start: start("200 OK", [("X: y", "1")]),
    "name-empty": lambda start: start("200 OK", [("", "1")]),
    "name-nul": lambda start: start("200 OK", [("X\0", "1")]),
    "name-wide": lambda start: start("200 OK", [("X\u4e2d", "1")]),
    "name-int": lambda start: start("200 OK", [(1, "1")]),
    "value-lf": lambda start: start("200 OK", [("X", "1\nSet-Cookie: a=b")]),
    "value-cr": lambda start: start("200 OK", [("X", "1\rY")]),
    "value-crlf": lambda start: start("200 OK", [("Location", "/\r\n\r\n<script>")]),
    "value-nul": lambda start: start("200 OK", [("X", "1\0")]),
    "value-wide": lambda start: start("200 OK", [("X", "\u4e2d")]),
    "value-bytes": lambda start: start("200 OK", [("X", b"1")]),
    "value-none": lambda start: start("200 OK", [("X", None)]),
    "length-word": lambda start: start("200 OK", [("Content-Length", "many")]),
    "length-minus": lambda start: start("200 OK", [("Content-Length", "-1")]),
    "length-plus": lambda start: start("200 OK", [("Content-Length", "+5")]),
    "status-interim": lambda start: start("100 Continue", []),
    "status-upgrade": lambda start: start("101 Switching Protocols", []),
    "length-coding": lambda start: start("200 OK", [("Transfer-Encoding", "chunked"), ("Content-Length", "5")]),
    "length-two": lambda start: start("200 OK", [("Content-Length", "5"), ("Content-Length", "6")]),
    "length-huge": lambda start: start("200 OK", [("Content-Length", "99999999999999999999")]),
    "headers-none": lambda start: start("200 OK", None),
    "headers-dict": lambda start: start("200 OK", {"X": "1"}),
    "headers-string": lambda start: start("200 OK", ["X: 1"]),
    "headers-triple": lambda start: start("200 OK", [("X", "1", "2")]),
    "twice": lambda start: (start("200 OK", []), start("200 OK", [])),
    "never": lambda start: None,
}
BODIES = {
    "more": ("5", [b"hello world"]),
    "less": ("50", [b"hello"]),
    "string": (None, ["hello"]),
    "number": (None, [1, 2]),
    "nothing": (None, None),
    "object": (None, object()),
    "late": ("100", None),
}


def bad(environ, start):
    name = query(environ, "how")
    if name in BAD:
        BAD[name](start)
        return [b"hello"]
    length, body = BODIES[name]
    start("200 OK", [("Content-Length", length)] if length else [])
    if name == "late":
        return raise_late()
    return body


def raise_late():
    yield b"hello"
    raise ValueError("in the middle of a body")


def inject(environ, start):
    print("app says " + environ["PATH_INFO"])
    return text(start, "ok\n")


PATHS = {
    "/": hello, "/pid": pid, "/time": clock, "/seen": who, "/vars": variables, "/sleep": sleep, "/big": big, "/buffered": buffered, "/download": download,
    "/digest": digest, "/refuse": refuse, "/segv": segv, "/exit": leave, "/_exit": leave_hard, "/gil": hold_gil, "/deadlock": deadlock, "/reload": ask_reload,
    "/forkbomb": fork_bomb, "/threads": threads, "/recurse": recurse, "/recurse-c": recurse_in_c, "/closeall": close_all, "/memory": memory, "/fill": fill,
    "/grow": grow, "/files": files, "/hoard": hoard, "/bad": bad,
}


def application(environ, start):
    path = environ.get("PATH_INFO", "")
    if path != "/" and len(seen) < 10000:
        seen.append(path)
    deadline = query(environ, "harakiri")
    if deadline:  # its own: the others' is far, however busy the machine is
        import uwsgi

        uwsgi.set_user_harakiri(int(deadline))
    return PATHS.get(path, inject if path.startswith("/inject") else hello)(environ, start)
