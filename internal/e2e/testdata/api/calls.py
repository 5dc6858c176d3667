import os
import socket
import struct
import tempfile
import threading

import uwsgi as u

folder = tempfile.mkdtemp()
packet = os.path.join(folder, "packet")
with open(packet, "wb") as f:
    f.write(struct.pack("<BHB", 0, 14, 0) + b"\1\0a\2\0bc\3\0def\0\0")
torn = os.path.join(folder, "torn")
with open(torn, "wb") as f:
    f.write(struct.pack("<BHB", 17, 40, 0) + b"\1\0a\2\0bc")
empty = os.path.join(folder, "empty")
open(empty, "wb").close()
one, two = socket.socketpair()
three, four = socket.socketpair()
four.close()
listener = socket.create_server(("127.0.0.1", 0))
address = "127.0.0.1:%d" % listener.getsockname()[1]
local = socket.socket(socket.AF_UNIX)
local.bind(os.path.join(folder, "s"))
local.listen()


def opened(fd):
    """Whether that is a descriptor, which it ends."""
    if isinstance(fd, int) and fd > 2:
        os.close(fd)
        return True
    return fd


def elsewhere(text):
    """What an expression gives in another thread."""
    said = []
    t = threading.Thread(target=lambda: said.append(ask(text)))
    t.start()
    t.join()
    return said[0]


def ask(text):
    try:
        return repr(eval(text))
    except Exception as exc:
        # How many arguments a function has is said in other words.
        return type(exc).__name__ + (": %s" % exc if "argument" not in str(exc) or "must be" in str(exc) else "")


def application(environ, start_response):
    start_response("200 OK", [])
    lines = environ["wsgi.input"].read().decode().split("\n")
    return ["\n".join("%s => %s" % (line, ask(line)) for line in lines if line and line[0] != "#").encode()]
