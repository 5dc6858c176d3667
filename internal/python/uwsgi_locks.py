"""uwsgi.lock and its like: mutexes that all processes of the instance share, across reloads too.

Each is a byte of a file that the supervisor made, locked by the kernel (fcntl(2), open file
description locks), which lets go of it when its process dies. The threads of a process share one
description, so they meet at a lock of Python's first. Who has a lock leaves his process id for the
statistics: lock n's is the n-th int32 of the same file.
"""

import fcntl
import operator
import os
import struct
import threading

_flock = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux


class Locks:
    def __init__(self, shared, count):
        """shared is the file's descriptor, count how many locks there are."""
        self.shared, self.count = shared, count
        self.file = -1
        self.free()
        os.register_at_fork(after_in_child=self.free)

    def free(self):
        """Begin without a lock. A child has neither those of its parent nor, closed here, the
        description that holds them."""
        if self.file >= 0:
            try:
                os.close(self.file)
            except OSError:  # it has closed what is not its own
                pass
        self.file = -1
        self.mine = [threading.Lock() for _ in range(self.count)]

    def control(self, order, kind, number):
        if self.file < 0:
            self.file = os.open("/proc/self/fd/%d" % self.shared, os.O_RDWR | os.O_CLOEXEC)
        answer = fcntl.fcntl(self.file, order, _flock.pack(kind, os.SEEK_SET, number, 1, 0))
        return _flock.unpack(answer)[0]

    def check(self, number):
        number = operator.index(number)
        if not 0 <= number < self.count:
            raise ValueError("Invalid lock number")
        return number

    def lock(self, number=0):
        """Wait for a lock and take it. Whoever has it already waits for ever."""
        number = self.check(number)
        mine = self.mine[number]
        mine.acquire()
        try:
            self.control(fcntl.F_OFD_SETLKW, fcntl.F_WRLCK, number)
        except BaseException:
            mine.release()
            raise
        self.sign(number, os.getpid())

    def unlock(self, number=0):
        """Give a lock back; any thread of the process that has it may."""
        number = self.check(number)
        if self.mine[number].locked():
            self.sign(number, 0)
            self.control(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, number)
            self.mine[number].release()

    def sign(self, number, pid):
        os.pwrite(self.file, struct.pack("=i", pid), 4 * number)

    def is_locked(self, number=0):
        """Whether some process has the lock."""
        number = self.check(number)
        return self.mine[number].locked() or self.control(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, number) != fcntl.F_UNLCK
