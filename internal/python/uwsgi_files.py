"""Files as uWSGI's module reads them."""

import struct

import uwsgi

text = uwsgi._part("uwsgi_arguments").text

HEAD = struct.Struct("<BHB")  # modifier1, length, modifier2 of a uwsgi packet
SPOOLED = 17


def complain(what):
    uwsgi.log(what)


def extract(path):
    """The content of a file, None where it is empty or cannot be read."""
    text("extract", 1, path)
    try:
        with open(path, "rb") as f:
            return f.read() or None
    except OSError as exc:
        complain("uwsgi.extract: %s" % exc)
        return None


def parse(path):
    """The variables in a packet that a file is, None where it is none."""
    text("parsefile", 1, path)
    try:
        with open(path, "rb") as f:
            head = f.read(HEAD.size)
            modifier, length, _ = HEAD.unpack(head)
            data = f.read(length)
    except OSError as exc:
        complain("uwsgi.parsefile: %s" % exc)
        return None
    except struct.error:
        return None
    if len(data) != length or modifier not in (0, SPOOLED):
        return None
    found, at = {}, 0
    while at < length:
        pair = []
        for _ in range(2):
            size = int.from_bytes(data[at:at + 2], "little")
            if at + 2 + size > length or not pair and not size:
                return None
            pair.append(data[at + 2:at + 2 + size])
            at += 2 + size
        found[pair[0]] = pair[1]
    return found
