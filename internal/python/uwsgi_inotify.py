"""What comes into folders (inotify(7)), for the processes of the spooler."""

import errno
import os
import struct

try:
    import ctypes
except ImportError:  # a Python that was built without libffi
    ctypes = None

CREATE, MOVED_TO, ATTRIB, ONLYDIR, DONT_FOLLOW = 0x100, 0x80, 0x4, 0x1000000, 0x2000000
_head = struct.Struct("iIII")


class Inotify:
    """``fd`` is readable when a name has come into a watched folder, or changed its time. OSError:
    the kernel gives no more of them to this user, or this Python cannot ask for one."""

    def __init__(self):
        if ctypes is None:
            raise OSError(errno.ENOSYS, "this Python has no ctypes")
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._checked(self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def watch(self, folder):
        self._checked(self.libc.inotify_add_watch(self.fd, os.fsencode(folder),
            CREATE | MOVED_TO | ATTRIB | ONLYDIR | DONT_FOLLOW))

    def names(self):
        """The names of what came, as much as is told at once."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        names, at = [], 0
        while at < len(data):
            _, _, _, size = _head.unpack_from(data, at)
            at += _head.size
            names.append(os.fsdecode(data[at:at + size].rstrip(b"\0")))
            at += size
        return names

    @staticmethod
    def _checked(result):
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
