"""What needs Redis, by the agent, the one process of this instance that talks to it
(internal/redis/doc.go says how it is asked)."""

import array
import os
import struct
from _socket import AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SCM_RIGHTS, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_STREAM
from _socket import SOL_SOCKET, socket, socketpair

from uwsgi_report import WARNING, say

# Not gevent's, whoever patches what later: a connection is nobody's but its caller's, who waits for
# a round trip and no longer than this.
TIMEOUT = 3  # seconds
RATE = 8 << 20  # bytes a second that it may take longer for what is large
_length = struct.Struct("<I")


class RedisError(OSError):
    """Redis cannot be reached, or refused what was asked."""


class Ended(ConnectionError):
    """The agent has read a request, and died before it had answered."""


class Connection:
    """One to the agent. Not for two at a time."""

    door = -1  # the descriptor that connections are asked for with, Boot.RedisFD

    def __init__(self, timeout=TIMEOUT):
        near, far = socketpair(AF_UNIX, SOCK_STREAM)
        try:
            self.socket = near
            self.wait_at_most(timeout)
            door = socket(fileno=os.dup(self.door))
            try:
                door.sendmsg([b"c"], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", [far.fileno()]))],
                    MSG_DONTWAIT | MSG_NOSIGNAL)
            finally:
                door.close()
        except BaseException:
            near.close()
            raise
        finally:
            far.close()

    def wait_at_most(self, seconds):
        """For each step of what is asked from now on."""
        limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1000000))
        self.socket.setsockopt(SOL_SOCKET, SO_RCVTIMEO, limit)
        self.socket.setsockopt(SOL_SOCKET, SO_SNDTIMEO, limit)

    def ask(self, *request):
        """The parts of the answer, bytes. RedisError. After another OSError, or an interrupt, the
        connection is of no use."""
        self.send(*request)
        return self.answer()

    def send(self, *request):
        parts = []
        for part in request:
            if not isinstance(part, (bytes, memoryview)):
                part = str(part).encode("utf-8", "surrogateescape")
            parts += (_length.pack(len(part)), part)
        body = b"".join(parts)
        data = memoryview(_length.pack(len(body)) + body)
        while data:
            data = data[self.socket.send(data, MSG_NOSIGNAL):]

    def answer(self):
        body = self._read(_length.unpack(self._read(4))[0])
        parts, at = [], 0
        while at < len(body):
            size = _length.unpack_from(body, at)[0]
            parts.append(body[at + 4:at + 4 + size])
            at += 4 + size
        if parts[0] != b"+":
            raise RedisError("%s" % parts[1].decode(errors="replace"))
        return parts[1:]

    def _read(self, size):
        data = self.socket.recv(size)
        if len(data) == size:
            return data
        parts = [data]
        while True:
            if not data:
                raise Ended("the process that talks to Redis has ended")
            size -= len(data)
            if not size:
                return b"".join(parts)
            data = self.socket.recv(size)
            parts.append(data)

    def close(self):
        self.socket.close()


_idle, _owner = [], 0  # connections that nobody uses, of this process


def keep(connection, timeout):
    if timeout > TIMEOUT:
        connection.wait_at_most(TIMEOUT)
    _idle.append(connection)


def ask(*request, largest=0):
    """The answer of the agent, on any connection, of at most so many bytes as far as is known.
    RedisError: none came, or what was asked failed."""
    global _idle, _owner
    size = sum(len(part) for part in request if isinstance(part, bytes))
    timeout = TIMEOUT + max(size, largest) // RATE
    if _owner != os.getpid():  # after a fork they are the parent's
        for connection in _idle:
            connection.close()
        _idle, _owner = [], os.getpid()
    while True:
        try:
            connection, kept = _idle.pop(), True
        except IndexError:
            connection, kept = None, False
        try:
            connection = connection or Connection()
            if timeout > TIMEOUT:
                connection.wait_at_most(timeout)
            connection.send(*request)
            answer = connection.answer()
        except RedisError:
            keep(connection, timeout)
            raise
        except ConnectionError as exc:  # the agent has died
            connection and connection.close()
            # What it has not read it has not done; what it may have done can be done again,
            # unless it is a calculation.
            if kept and not (isinstance(exc, Ended) and request[0] == "arith"):
                continue
            raise RedisError("%s" % exc) from exc
        except OSError as exc:  # too late
            connection and connection.close()
            say("Redis: no answer to %s of %d bytes in %d seconds: it is given up" % (
                request[0], size, timeout), WARNING)
            raise RedisError("no answer in %d seconds" % timeout) from exc
        except BaseException:
            connection and connection.close()
            raise
        keep(connection, timeout)
        return answer
