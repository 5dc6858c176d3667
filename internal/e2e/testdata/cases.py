"""One function a case of PEP 3333; the path names it."""

import io
import os
import sys
import tempfile
import time

TEXT = [("Content-Type", "text/plain")]
closed = []  # names of the responses whose close() ran


class Body:
    """An iterable with a close()."""

    def __init__(self, name, blocks, fail=None):
        self.name, self.blocks, self.fail = name, iter(blocks), fail

    def __iter__(self):
        return self

    def __next__(self):
        block = next(self.blocks, None)
        if block is None:
            if self.fail:
                raise self.fail
            raise StopIteration
        return block

    def close(self):
        closed.append(self.name)


# --- start_response ---


def plain(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"plain"]


def keywords(environ, start_response):
    start_response(status="201 Created", response_headers=TEXT)
    return [b"kw"]


def twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"never"]


def exc_info_before(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise KeyError("recovered")
    except KeyError:
        start_response("503 Sorry", TEXT, sys.exc_info())
    return [b"sorry"]


def exc_info_after(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"some of it")
    try:
        raise KeyError("too late")
    except KeyError:
        start_response("503 Sorry", TEXT, sys.exc_info())
    return [b"never"]


def late(environ, start_response):
    """start_response from the first step of a generator, after an empty block."""
    start_response("202 Accepted", TEXT)
    yield b""
    yield b"late"


def never(environ, start_response):
    return [b"no head"]


def first_block_without_head(environ, start_response):
    yield b"no head"


def status_int(environ, start_response):
    start_response(200, TEXT)
    return []


def status_bytes(environ, start_response):
    start_response(b"200 OK", TEXT)
    return []


def status_short(environ, start_response):
    start_response("20", TEXT)
    return []


def status_crlf(environ, start_response):
    start_response("200 OK\r\nX-Evil: 1", TEXT)
    return []


def status_continue(environ, start_response):
    start_response("100 Continue", [])
    return []


def status_without_reason(environ, start_response):
    start_response(environ["QUERY_STRING"].replace("+", " "), TEXT)
    return [b"bare"]


def status_bare(environ, start_response):
    start_response("299", TEXT)
    return [b"bare"]


def header_crlf(environ, start_response):
    start_response("200 OK", [("X-Good", "1\r\nX-Evil: 1")])
    return []


def header_lf_name(environ, start_response):
    start_response("200 OK", [("X-Go\nod", "1")])
    return []


def header_int(environ, start_response):
    start_response("200 OK", [("X-N", 1)])
    return []


def header_tuple(environ, start_response):
    start_response("200 OK", (("X-N", "1"),))
    return []


def header_wide(environ, start_response):
    start_response("200 OK", [("X-N", "\u4e2d")])
    return []


def header_latin1(environ, start_response):
    start_response("200 OK", [("X-N", "caf\xe9")])
    return [b"ok"]


def header_large(environ, start_response):
    start_response("200 OK", [("X-Large", "x" * 70000)])
    return [b"ok"]


def header_same(environ, start_response):
    start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"ok"]


# --- the body ---


def write(environ, start_response):
    w = start_response("200 OK", TEXT)
    w(b"one ")
    w(b"")
    w(b"two ")
    return [b"three"]


def write_text(environ, start_response):
    start_response("200 OK", TEXT)("text")
    return []


def many(environ, start_response):
    start_response("200 OK", TEXT)
    return Body("many", [b"a", b"", b"b", b"c"])


def several(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"x" * 50000, b"y" * 50000]


def large(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"x" * 5000000]


def empty(environ, start_response):
    start_response("200 OK", TEXT)
    return []


def raw_bytes(environ, start_response):
    start_response("200 OK", TEXT)
    return b"bytes"


def buffers(environ, start_response):
    """A bytearray and a memoryview are no bytes, but hold some."""
    start_response("200 OK", TEXT)(bytearray(b"one "))
    return [bytearray(b"two "), memoryview(b"-three-")[1:-1]]


def raw_buffer(environ, start_response):
    start_response("200 OK", TEXT)
    return bytearray(b"bytes")


def numbers(environ, start_response):
    start_response("200 OK", TEXT)
    return [[1, 2]]


def text(environ, start_response):
    start_response("200 OK", TEXT)
    return ["text"]


def none(environ, start_response):
    start_response("200 OK", TEXT)


def fails_first(environ, start_response):
    raise ValueError("before anything")


def fails_after_start(environ, start_response):
    start_response("200 OK", TEXT)
    raise ValueError("after start_response")


def fails_at_first_block(environ, start_response):
    start_response("200 OK", TEXT)
    return Body("fails_at_first_block", [], ValueError("at the first block"))


def fails_midway(environ, start_response):
    start_response("200 OK", TEXT)
    return Body("fails_midway", [b"some of it"], ValueError("midway"))


def fails_midway_with_length(environ, start_response):
    start_response("200 OK", [("Content-Length", "100")])
    return Body("fails_midway_with_length", [b"some of it"], ValueError("midway, with a length"))


def fails_in_close(environ, start_response):
    start_response("200 OK", TEXT)

    class Broken(Body):
        def close(self):
            raise ValueError("in close()")

    return Broken("broken", [b"whole"])


def too_short(environ, start_response):
    start_response("200 OK", [("Content-Length", "100")])
    return [b"short"]


def too_long(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"longer than that"]


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return [b"must not be sent"]


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return [b"must not be sent"]


def flush(environ, start_response):
    """Blocks are sent as they are yielded: the second one waits until the client has told that it saw the first."""
    start_response("200 OK", TEXT)
    yield b"first\n"
    for _ in range(2000):
        if os.path.exists("seen"):
            break
        time.sleep(0.005)
    yield b"second\n"


def blocks(environ, start_response):
    """Blocks whose sizes lie round every limit that decides how a block is written; each is of one byte value, in turn."""
    start_response("200 OK", TEXT)
    for i, size in enumerate([1, 2, 15, 16, 8191, 8192, 8193, 65535, 65536, 65537, 300000] * 4 + [4096] * 500 + [0, 1]):
        yield bytes([i % 251]) * size


def close_after(environ, start_response):
    start_response("200 OK", TEXT)
    return ["; ".join(closed).encode()]


def keep_write(environ, start_response):
    """A thread that writes when its request is over, and the core that served it has nothing to do."""
    import threading
    import uwsgi

    write, over = start_response("200 OK", TEXT), uwsgi.total_requests()

    def later():
        for _ in range(2000):
            if uwsgi.total_requests() > over:
                break
            time.sleep(0.005)
        try:
            write(b"into nobody's answer")
            said = "written"
        except Exception as exc:
            said = "%s: %s" % (type(exc).__name__, exc)
        with open("said.new", "w") as f:
            f.write(said)
        os.rename("said.new", "said")

    threading.Thread(target=later, daemon=True).start()
    return [b"kept"]


def ends(environ, start_response):
    start_response("200 OK", TEXT)
    sys.exit(9)


def interrupted(environ, start_response):
    raise KeyboardInterrupt


# --- wsgi.file_wrapper ---


def data_file(seek=0):
    f = tempfile.TemporaryFile()
    f.write(bytes(range(256)) * 1000)
    f.seek(seek)
    return f


def file(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](data_file())


def file_seek(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](data_file(255990), 4)


def file_read_ahead(environ, start_response):
    f = data_file()
    f.read(5)
    start_response("200 OK", [("Content-Length", "10")])
    return environ["wsgi.file_wrapper"](f)


def file_no_descriptor(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"in memory"), 3)


def file_after_write(environ, start_response):
    start_response("200 OK", TEXT)(b"before ")
    return environ["wsgi.file_wrapper"](data_file(255990))


def file_yielded(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"before "
    yield environ["wsgi.file_wrapper"](data_file(255990))
    yield b" after"


def file_text_yielded(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"before "
    yield environ["wsgi.file_wrapper"](open(__file__))
    yield b" after"


def file_text_listed(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"before ", environ["wsgi.file_wrapper"](open(__file__))]


def file_text_after_write(environ, start_response):
    start_response("200 OK", TEXT)(b"before ")
    return environ["wsgi.file_wrapper"](open(__file__))


def file_yielded_fails(environ, start_response):
    class File(io.BytesIO):
        def read(self, size):
            raise ValueError("in read()")

    start_response("200 OK", TEXT)
    yield environ["wsgi.file_wrapper"](File())


def file_closed(environ, start_response):
    class File(io.FileIO):
        def close(self):
            if not self.closed:
                closed.append("file")
            super().close()

    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](File(__file__))


def file_text(environ, start_response):
    """A text file's read() gives no bytes, and sendfile does not ask it."""
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](open(__file__))


def file_unused(environ, start_response):
    environ["wsgi.file_wrapper"](open(__file__, "rb"))
    start_response("200 OK", TEXT)
    return [b"another body"]


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
