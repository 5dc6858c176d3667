"""What needs Redis, by the agent, the one process of this instance that talks to it
(internal/redis/doc.go says how it is asked)."""

import array
import itertools
import os
import struct
import threading
import time
from _socket import AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SCM_RIGHTS, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET
from _socket import socket, socketpair
from select import POLLHUP, poll

import uwsgi
from uwsgi_report import WARNING, say
from uwsgi_spool import Backend, Job, SpoolError, arguments, pack, unpack

# Not gevent's, whoever patches what later: a connection is nobody's but its caller's, who waits for
# a round trip and no longer than this.
TIMEOUT = 3  # seconds
SCHEMES = ("redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix")
_length = struct.Struct("<I")


class RedisError(OSError):
    """Redis cannot be reached, or refused what was asked."""


def is_redis(address):
    return address.partition("://")[0].lower() in SCHEMES and "://" in address


class Connection:
    """One to the agent. Not for two at a time."""

    door = -1  # the descriptor that connections are asked for with, Boot.RedisFD

    def __init__(self, timeout=TIMEOUT):
        near, far = socketpair(AF_UNIX, SOCK_STREAM)
        try:
            limit = struct.pack("ll", timeout, 0)
            near.setsockopt(SOL_SOCKET, SO_RCVTIMEO, limit)
            near.setsockopt(SOL_SOCKET, SO_SNDTIMEO, limit)
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
        self.socket = near

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
                raise ConnectionError("the process that talks to Redis has ended")
            size -= len(data)
            if not size:
                return b"".join(parts)
            data = self.socket.recv(size)
            parts.append(data)

    def close(self):
        self.socket.close()


_idle, _owner = [], 0  # connections that nobody uses, of this process


def ask(*request):
    """The answer of the agent, on any connection. RedisError: none came, or what was asked failed."""
    global _idle, _owner
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
            connection.send(*request)
            answer = connection.answer()
        except RedisError:
            _idle.append(connection)
            raise
        except (ConnectionError, BrokenPipeError) as exc:
            connection and connection.close()
            if kept and not isinstance(exc, TimeoutError):
                # an agent that died before; what it was asked now, it has not heard
                continue
            raise RedisError("%s" % exc) from exc
        except OSError as exc:  # too late
            connection and connection.close()
            raise RedisError("no answer in %d seconds" % TIMEOUT) from exc
        except BaseException:
            connection and connection.close()
            raise
        _idle.append(connection)
        return answer


class Stream(Backend):
    """Jobs in Redis, in streams that a consumer group reads (internal/redis/spool.go)."""

    counter = itertools.count(1)

    def __init__(self, url, retry=30):
        self.url, self.retry = url, retry
        self.connection = self.watch = None
        self.soonest = None
        self.complained = False

    def put(self, variables, body=None, at=0, priority=""):
        now = time.time_ns() // 1000
        name = "uwsgi_spoolfile_on_%s_%d_%d_%d_%d_%d" % (uwsgi.hostname.decode(errors="replace"), os.getpid(),
            next(self.counter), int.from_bytes(os.urandom(4), "little") >> 1, now // 1000000, now % 1000000)
        try:
            ask("put", self.url, name, pack(variables), body or b"", int(at * 1000), priority)
        except RedisError as exc:
            raise SpoolError("unable to spool job: %s" % exc) from exc
        return name.encode()

    def jobs(self):
        return ask("jobs", self.url)

    def get(self, name):
        found = ask("job", self.url, name)
        return arguments(unpack(found[1]), name, found[2]) if found else None

    def open(self):
        self.consumer = "%s-%d" % (uwsgi.hostname.decode(errors="replace"), os.getpid())
        self.watch = self._watch()
        return self.watch.socket.fileno()

    def _watch(self):
        watch = Connection()
        watch.send("watch", self.url)
        return watch

    def rest(self):
        try:
            self.watch.answer()
        except RedisError:
            pass
        except OSError:  # another agent takes its place, under the same number
            fresh = self._watch()
            os.dup2(fresh.socket.fileno(), self.watch.socket.fileno(), inheritable=False)
            fresh.close()
        return True

    def due(self):
        while True:
            self.soonest = None
            try:
                self.connection = self.connection or Connection()
                got = self.connection.ask("claim", self.url, self.consumer)
            except OSError as exc:
                if not isinstance(exc, RedisError):
                    self._drop()
                self.soonest = time.time() + 1
                return
            if len(got) == 1:
                if got[0] != b"0":
                    self.soonest = time.time() + int(got[0]) / 1000
                return
            try:
                job = Held(self, got)
            except ValueError as exc:
                say("spooler: %s is no whole job: %s" % (got[0].decode(errors="replace"), exc), WARNING)
                self.connection.ask("end", self.url, got[0], "bury", 0, "It is no whole job: %s.\n" % exc)
                continue
            yield job

    def next(self):
        return self.soonest

    def _drop(self):
        if self.connection:
            self.connection.close()
            self.connection = None


class Held(Job):
    """A job in hand. The agent renews it, and kills this process where it cannot in time. A thread
    of ours sees to it that another agent takes over from one that dies."""

    def __init__(self, stream, got):
        name, self.token, variables, self.body, attempts, died, _ = got
        self.stream, self.name, self.pid = stream, name.decode(errors="replace"), os.getpid()
        self.variables = unpack(variables)
        self.attempts, self.died = int(attempts), died == b"1"
        self.over, self.lock = False, threading.Lock()
        threading.Thread(target=self._mind, name="spooler-lease", daemon=True).start()

    def _mind(self):
        poller = poll()
        poller.register(self.stream.connection.socket.fileno(), POLLHUP)
        while not self.over:
            if poller.poll(200):
                break
        with self.lock:
            if self.over:
                return
            try:
                fresh = Connection(1)
                fresh.ask("hold", self.stream.url, self.name, self.token, self.stream.consumer)
            except OSError as exc:
                say("spooler: %s cannot be kept, this process ends: %s" % (self.name, exc), WARNING)
                os.kill(os.getpid(), 9)
            self.stream.connection.close()
            self.stream.connection = fresh
        self._mind()

    def begin(self):
        self.attempts += 1
        self._ask("begin")

    def _ask(self, op, *args):
        for last in (False, True):
            with self.lock:
                try:
                    self.stream.connection.ask(op, self.stream.url, self.name, *args)
                    return
                except RedisError as exc:
                    raise OSError("%s" % exc) from exc
                except OSError:
                    if last:
                        raise
            time.sleep(0.5)  # until the other thread has gone over to another agent

    def _end(self, how, delay=0, why=""):
        self._ask("end", how, int(delay * 1000), why)
        self.over = True

    def done(self):
        self._end("done")

    def leave(self):
        self._end("leave")

    def again(self):
        self._end("again", self.stream.retry)

    def later(self, delay, why):
        self._end("later", delay, why)

    def bury(self, why):
        self._end("bury", 0, why)

    def disown(self):
        self.over = True
        self.stream.connection.close()


class Cache:
    """A cache in Redis, with the answers of uWSGI's: None where Redis cannot be reached."""

    def __init__(self, name, url):
        self.name, self.url = name, url

    def _ask(self, op, *args):
        try:
            return ask(op, self.url, self.name, *args)
        except RedisError:
            return []

    def _yes(self, op, *args):
        return True if self._ask(op, *args) else None

    def get(self, key):
        found = self._ask("get", key)
        return found[0] if found else None

    def set(self, key, value, expires=0):
        return self._yes("set", key, value, expires)

    def update(self, key, value, expires=0):
        return self._yes("update", key, value, expires)

    def exists(self, key):
        return self._yes("exists", key)

    def clear(self):
        return self._yes("clear")

    def keys(self):
        return self._ask("keys")

    def inc(self, key, value=1, expires=0):
        return self._yes("arith", key, "inc", value, expires)

    def dec(self, key, value=1, expires=0):
        return self._yes("arith", key, "dec", value, expires)

    def mul(self, key, value=2, expires=0):
        return self._yes("arith", key, "mul", value, expires)

    def div(self, key, value=2, expires=0):
        return self._yes("arith", key, "div", value, expires)

    def num(self, key):
        found = self.get(key)
        return int.from_bytes(found, "little", signed=True) if found is not None and len(found) == 8 else 0


setattr(Cache, "del", lambda self, key: self._yes("del", key))
