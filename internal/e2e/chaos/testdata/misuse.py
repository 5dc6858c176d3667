"""An application that breaks the rules of PEP 3333 and of Python's own API as badly as it can: by name, and at random by a seed."""

import copy
import os
import random
import sys
import threading

import uwsgi

kept = []
seen = []


class Text(str):
    """A str whose repr changes the list it stands in."""

    def __repr__(self):
        del kept[:]
        return "evil"


class Block(bytes):
    pass


class Wrapped:
    """What wsgi.file_wrapper is not meant to get."""

    def __init__(self, descriptor, position, data=b""):
        self.descriptor, self.position, self.data = descriptor, position, data

    def fileno(self):
        if isinstance(self.descriptor, Exception):
            raise self.descriptor
        return self.descriptor

    def tell(self):
        if isinstance(self.position, Exception):
            raise self.position
        return self.position

    def read(self, size=-1):
        data, self.data = self.data, b""
        return data


def said(start, body, status="200 OK"):
    body = body.encode()
    start(status, [("Content-Length", str(len(body)))])
    return [body]


def caught(write, call):
    """What the call raised, behind an x that was sent before."""
    try:
        call()
    except BaseException as exc:
        write(type(exc).__name__.encode())
    return []


def late(start, exc_info):
    write = start("200 OK", [])
    write(b"x")
    return caught(write, lambda: start("500 Late", [], exc_info))


def late_real(start):
    write = start("200 OK", [])
    write(b"x")
    try:
        raise KeyError("mine")
    except KeyError:
        return late_again(write, start, sys.exc_info())


def late_again(write, start, info):
    return caught(write, lambda: start("500 Late", [], info))


def made(start):
    try:
        type(start)()("200 OK", [])
    except TypeError:
        return said(start, "TypeError")


def copied(start):
    try:
        copy.copy(start)("200 OK", [])
    except TypeError:
        return said(start, "TypeError")


def changing(start):
    kept[:] = [(Text("bad name"), "v"), ("X", "y")]
    start("200 OK", kept)


def elsewhere(start):
    """write() of another thread, while this one writes: the response is this one's alone."""
    write, raised = start("200 OK", []), []

    def stray():
        for call in (lambda: write(b"S" * 70000), lambda: start("200 OK", [], (ValueError, ValueError(), None))):
            try:
                call()
            except RuntimeError:
                raised.append(1)

    threads = [threading.Thread(target=stray) for _ in range(4)]
    for t in threads:
        t.start()
    write(b"M" * 70000)
    for t in threads:
        t.join()
    return [b"%d" % len(raised)]


def keep(start):
    kept[:] = [start("200 OK", [])]
    return [b"kept"]


def use_kept(start):
    try:
        kept.pop()(b"leak")
    except RuntimeError:
        return said(start, "RuntimeError")


def wrapped(start, environ, position, data=b""):
    descriptor = os.open(__file__, os.O_RDONLY)
    start("200 OK", [])

    class Closing(Wrapped):
        def close(self):
            os.close(descriptor)

    return environ["wsgi.file_wrapper"](Closing(descriptor, position, data))


def proc(start, environ):
    start("200 OK", [])
    return environ["wsgi.file_wrapper"](open("/proc/self/comm", "rb"))


def exits(start):
    start("200 OK", [])

    class Body:
        def __iter__(self):
            return iter([b"body"])

        def close(self):
            sys.exit(3)

    return Body()


class Late:
    """An iterable that goes on writing when it is closed."""

    def __init__(self, start, block):
        self.write, self.block = start("200 OK", []), block

    def __iter__(self):
        return iter([b"body"])

    def close(self):
        try:
            self.write(self.block)
        except RuntimeError:
            seen.append("RuntimeError")


def late_file(start, environ):
    write = start("200 OK", [])

    class File(Wrapped):
        def close(self):
            os.close(self.descriptor)
            try:
                write(b"evil")
            except RuntimeError:
                seen.append("RuntimeError")

    return environ["wsgi.file_wrapper"](File(os.open(__file__, os.O_RDONLY), os.stat(__file__).st_size - 2))


class Vanishing(str):
    """A name of a header whose end changes the list that the next call reads."""

    def __del__(self):
        del kept[:]


def evicted(start):
    """Names of headers may be kept by the server: each that gives way empties the list that is being read."""
    for i in range(300):
        kept[:] = [(Vanishing("X-%d" % i), "v" * 50), (Vanishing("Y-%d" % i), "w" * 50), (Vanishing("Z-%d" % i), "z" * 50)]
        try:
            start("200 OK", kept, (ValueError, ValueError(), None))
        except (TypeError, ValueError):
            pass
    return said_again(start, "lived")


def said_again(start, body):
    start("200 OK", [("Content-Length", str(len(body)))], (ValueError, ValueError(), None))
    return [body.encode()]


CASES = {
    "late-none": lambda e, s: late(s, (None, None, None)),
    "late-int": lambda e, s: late(s, (1, 2, 3)),
    "late-text": lambda e, s: late(s, "abc"),
    "late-pair": lambda e, s: late(s, (ValueError, ValueError())),
    "late-traceback": lambda e, s: late(s, (ValueError, KeyError(), 5)),
    "late-real": lambda e, s: late_real(s),
    "made": lambda e, s: made(s),
    "copied": lambda e, s: copied(s),
    "changing": lambda e, s: changing(s),
    "elsewhere": lambda e, s: elsewhere(s),
    "keep": lambda e, s: keep(s),
    "use-kept": lambda e, s: use_kept(s),
    "before": lambda e, s: wrapped(s, e, -5, b"read"),
    "beyond": lambda e, s: wrapped(s, e, 1 << 70, b"read"),
    "nowhere": lambda e, s: wrapped(s, e, OSError("no position"), b"read"),
    "proc": lambda e, s: proc(s, e),
    "no-content": lambda e, s: (s("204 No Content", [("Content-Length", "5")]), [b"hello"])[1],
    "exits": lambda e, s: exits(s),
    "late-write": lambda e, s: Late(s, b"evil"),
    "late-large": lambda e, s: Late(s, b"evil" * 30000),
    "late-file": lambda e, s: late_file(s, e),
    "seen": lambda e, s: said(s, " ".join(seen)),
    "evicted": lambda e, s: evicted(s),
}


# --- at random ---


class Chaos:
    """Calls with what a seed chooses, of every kind that the bridge takes or refuses."""

    def __init__(self, seed, environ, start):
        self.r, self.environ, self.start, self.write = random.Random(seed), environ, start, None

    def text(self):
        r = self.r
        return r.choice([
            "", "X", "X-Name", "a\r\nb", "\0", "\u4e2d", "\xff\xe9", "\ud800", "Content-Length", "Transfer-Encoding", "Connection", "Date", "Keep-Alive", "chunked",
            "close, upgrade", "5", "-1", "99999999999999999999", "x" * r.choice([1, 500, 5000, 70000]), Text("bad name"), Text("X"),
            Vanishing("X-%d" % r.randrange(100)),
        ])

    def thing(self):
        return self.r.choice([None, 0, -1, 1 << 70, float("nan"), b"bytes", Block(b"b"), (), [], {}, object(), Text("t"), self.text(), type, Ellipsis, self.start])

    def status(self):
        r = self.r
        if r.random() < 0.7:
            return r.choice(["200 OK", "204 No Content", "304 Not Modified", "404 ", "500", "999 x", "100 Continue", "101 Switching", "200 \xe9", Text("200 OK")])
        return self.thing()

    def pair(self):
        r = self.r
        if r.random() < 0.8:
            return (self.text(), self.text())
        return r.choice([(), ("X",), ("X", "y", "z"), ["X", "y"], (self.thing(), self.thing()), None, "ab"])

    def headers(self):
        r = self.r
        if r.random() < 0.3:
            return [("X-Name", "value")] * r.choice([0, 1, 20])
        if r.random() < 0.8:
            kept[:] = [self.pair() for _ in range(r.randrange(4))]
            return kept
        return self.thing()

    def exc_info(self):
        try:
            raise self.r.choice([ValueError, KeyError, KeyboardInterrupt, MemoryError])("seeded")
        except BaseException:
            real = sys.exc_info()
        return self.r.choice([None, real, real, (None, None, None), (1, 2, 3), real[:2], (real[0], real[1], 5), (real[0], "text", real[2]), self.thing()])

    def block(self):
        r = self.r
        n = r.choice([0, 1, 100, 8191, 8193, 65535, 65536, 70000, 300000])
        return r.choice([b"y" * n, b"y" * n, b"y" * n, Block(b"z" * n), self.thing()])

    def file(self):
        r = self.r
        fd = r.choice(["file", -1, 1 << 40, 1 << 70, None, OSError("seeded")])
        opened = fd == "file"
        if opened:
            fd = os.open(__file__, os.O_RDONLY)

        class Closing(Wrapped):
            def close(self):
                if opened:
                    os.close(fd)

        return self.environ["wsgi.file_wrapper"](Closing(fd, r.choice([0, 10, -1, 1 << 70, 1 << 62, None, OSError("seeded")]), b"read"))

    def call(self):
        r = self.r
        what = r.randrange(8)
        if what < 3:
            args = [self.status(), self.headers(), self.exc_info()][: r.choice([2, 2, 3, 3, 0, 1])]
            self.write = self.start(*args, **r.choice([{}, {}, {}, {"exc_info": self.exc_info()}, {"status": "200 OK"}, {"no": 1}]))
        elif what < 5 and self.write:
            self.write(self.block())
        elif what == 5:
            getattr(uwsgi, r.choice(["set_logvar", "get_logvar", "set_user_harakiri", "log"]))(*[self.thing() for _ in range(r.randrange(3))])
        elif what == 6:
            r.choice([uwsgi.connection_fd, uwsgi.workers, uwsgi.total_requests, uwsgi.request_id, uwsgi.disconnect])()
        else:
            self.environ[r.choice(["wsgi.input", "REQUEST_METHOD", "PATH_INFO"])] = self.thing()

    def calls(self, n):
        for _ in range(self.r.randrange(n)):
            try:
                self.call()
            except (Exception, KeyboardInterrupt):
                if self.r.random() < 0.2:
                    raise

    def generator(self):
        for _ in range(self.r.randrange(6)):
            self.calls(3)
            yield self.block()

    def closing(self):
        chaos = self

        class Body:
            def __iter__(self):
                return chaos.generator()

            def close(self):
                chaos.calls(4)

        return Body()

    def result(self):
        r = self.r
        uwsgi.set_user_harakiri(0)
        return r.choice([
            lambda: [self.block() for _ in range(r.randrange(4))],
            lambda: tuple(self.block() for _ in range(r.randrange(4))),
            lambda: self.block(),
            self.generator,
            self.closing,
            self.file,
            self.thing,
            lambda: exits(self.start),
        ])()


def seeded(environ, start, seed):
    chaos = Chaos(seed, environ, start)
    if chaos.r.random() < 0.7:
        chaos.write = start("200 OK", [("X-Seed", str(seed))] if chaos.r.random() < 0.5 else [("Content-Length", str(chaos.r.choice([0, 5, 100000])))])
    chaos.calls(5)
    return chaos.result()


def application(environ, start):
    path, how = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if path == "/case":
        return CASES[how](environ, start)
    if path == "/seeded":
        return seeded(environ, start, int(how))
    return said(start, {"/pid": str(os.getpid())}.get(path, "hello\n"))
