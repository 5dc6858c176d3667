"""One function a way of reading wsgi.input; each gives what it read, as repr()."""


def read(f):
    return [f.read(), f.read()]


def read_n(f):
    return [f.read(3), f.read(3), f.read(100), f.read(3)]


def read_zero(f):
    return [f.read(0), f.read(2), f.read(0), f.read()]


def read_minus(f):
    return [f.read(1), f.read(-1), f.read(-1)]


def read_none(f):
    return [f.read(None)]


def read_huge(f):
    return [len(f.read(10**9))]


def readline(f):
    return [f.readline(), f.readline(), f.readline(), f.readline()]


def readline_n(f):
    return [f.readline(1), f.readline(2), f.readline(100), f.readline(-1), f.readline(0)]


def readlines(f):
    return f.readlines()


def readlines_hint(f):
    return f.readlines(1) + ["|"] + f.readlines()


def iterate(f):
    return list(f)


def mixed(f):
    return [f.read(1), f.readline(), next(f), f.read()]


def seek(f):
    first = f.read()
    f.seek(0)
    return [f.read() == first, f.tell() == len(first)]


def readinto(f):
    buf = bytearray(4)
    return [f.readinto(buf), bytes(buf)]


def nothing(f):
    return []


def application(environ, start_response):
    f = environ["wsgi.input"]
    text = repr(globals()[environ["PATH_INFO"].strip("/")](f))
    start_response("200 OK", [
        ("Content-Type", "text/plain"), ("X-Length", environ.get("CONTENT_LENGTH", "absent")),
        ("X-Terminated", str(environ.get("wsgi.input_terminated"))), ("X-Encoding", environ.get("HTTP_TRANSFER_ENCODING", "absent")),
    ])
    return [text.encode()]
