"""uwsgi.alarm: a datagram to the supervisor, which does what the alarm says."""

import os


def alarm(name, message, fd):
    if not isinstance(name, str):
        raise TypeError("alarm() argument 1 must be str, not %s" % type(name).__name__)
    if "\0" in name:
        raise ValueError("embedded null character")
    if isinstance(message, str):
        message = message.encode()
    elif not isinstance(message, bytes):
        if isinstance(message, (bytearray, memoryview)):
            raise TypeError("alarm() argument 2 must be read-only bytes-like object, not %s" % type(message).__name__)
        raise TypeError("a bytes-like object is required, not '%s'" % type(message).__name__)
    if fd < 0 or not message:
        return
    try:
        os.write(fd, name.encode() + b"\0" + message[:LONGEST])
    except BlockingIOError:  # more than the supervisor can take: as good as one that is slow
        pass


LONGEST = 32 << 10  # what alarm-msg-size can be
