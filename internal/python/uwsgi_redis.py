"""What needs Redis, by the agent, the one process of this instance that talks to it
(internal/redis/doc.go says how it is asked)."""

import array
import itertools
import os
import struct
import time
from _socket import AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SCM_RIGHTS, SHUT_RDWR, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_STREAM
from _socket import SOL_SOCKET, socket, socketpair
from _thread import allocate_lock, start_new_thread
from select import poll
from time import sleep

import uwsgi
from uwsgi_report import WARNING, say
from uwsgi_spool import Backend, Job, SpoolError, arguments, pack, unpack

# Not gevent's, whoever patches what later: a connection is nobody's but its caller's, who waits for
# a round trip and no longer than this.
TIMEOUT = 3  # seconds
PAUSE = 0.2  # seconds until Redis is asked again that was away
# how answers of the agent begin that mean something to us; of the first it has told the log
AWAY, LOST = "Redis cannot be reached", "the job is another's"
_length = struct.Struct("<I")


class RedisError(OSError):
    """Redis cannot be reached, or refused what was asked."""


class Connection:
    """One to the agent. Not for two at a time."""

    door = -1  # the descriptor that connections are asked for with, Boot.RedisFD

    def __init__(self, timeout=TIMEOUT):
        near, far = socketpair(AF_UNIX, SOCK_STREAM)
        try:
            limit = struct.pack("ll", int(timeout), int(timeout % 1 * 1000000))
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
    """Jobs in Redis, in streams that a consumer group reads (internal/redis/agent/spool.go). The job
    in hand is held by the connection that claimed it."""

    counter = itertools.count(1)

    def __init__(self, url, retry=30):
        self.url, self.retry = url, retry
        self.connection = self.watch = self.hand = None
        self.lock = allocate_lock()  # while the connection is asked, or replaced
        self.soonest, self.complaint = None, ""

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
        os.register_at_fork(after_in_child=self.let_go)
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
            try:
                fresh = self._watch()
            except OSError:
                sleep(1)
                return True
            os.dup2(fresh.socket.fileno(), self.watch.socket.fileno(), inheritable=False)
            fresh.close()
        return True

    def due(self):
        while True:
            self.soonest = None
            try:
                got = self.claim()
            except OSError as exc:
                self._complain("no job can be taken", exc)
                self.soonest = time.time() + 1
                return
            self.complaint = ""
            if len(got) == 1:
                if got[0] != b"0":
                    self.soonest = time.time() + int(got[0]) / 1000
                return
            self.hand = job = Held(self, got)
            try:
                job.variables = unpack(got[2])
            except ValueError as exc:
                say("spooler: %s is no whole job (%s): it is given up" % (job.name, exc), WARNING)
                job.bury("It is no whole job: %s.\n" % exc)
                continue
            yield job

    def next(self):
        return self.soonest

    def claim(self):
        with self.lock:
            if self.connection is None:
                self._adopt(Connection())
            try:
                return self.connection.ask("claim", self.url, self.consumer)
            except RedisError:
                raise
            except OSError:
                self._drop()
                raise

    def _complain(self, what, exc):
        """Say what the agent does not say itself, once."""
        text = str(exc)
        if isinstance(exc, RedisError) and not text.startswith(AWAY) and text != self.complaint:
            self.complaint = text
            say("spooler: %s: %s" % (what, text), WARNING)

    def ask(self, job, op, *args):
        """Tell about the job in hand, to the agent that is there by then, for as long as it is kept."""
        while True:
            with self.lock:
                try:
                    self.connection.ask(op, self.url, job.name, *args)
                    return
                except RedisError as exc:
                    if str(exc).startswith(LOST):
                        self._end(job, exc)
                    self._complain("%s is not told of (%s)" % (job.name, op), exc)
                except OSError:
                    self._move()
                    continue
            sleep(PAUSE)

    @staticmethod
    def _end(job, exc):
        """End the process: what it has in hand may be another's."""
        say("spooler: %s cannot be kept, this process ends: %s" % (job.name, exc), WARNING)
        os.kill(os.getpid(), 9)

    def _adopt(self, connection):
        self.connection = connection
        start_new_thread(self._mind, (connection,))

    def _mind(self, connection):
        """Be there when the agent at the other end has died: another one keeps the job then."""
        waiter = poll()
        waiter.register(connection.socket.fileno(), 0)  # POLLHUP is always told
        while not waiter.poll():
            pass
        with self.lock:
            if self.connection is connection:
                self._move()
        connection.close()

    def _move(self):
        """Go over to another connection, with the job in hand; without it this process ends."""
        self._drop()
        if self.hand is None:
            return
        try:
            fresh = Connection(self.hand.fifth)
            fresh.ask("hold", self.url, self.hand.name, self.hand.token, self.consumer)
        except OSError as exc:
            self._end(self.hand, exc)
        self._adopt(fresh)

    def _drop(self):
        """Let go of the connection; its thread closes it."""
        if self.connection is not None:
            try:
                self.connection.socket.shutdown(SHUT_RDWR)
            except OSError:
                pass
            self.connection = None

    def let_go(self):
        """In a child that the process has forked: what it has in hand is held by no copy."""
        self.hand = None
        for connection in (self.connection, self.watch):
            if connection is not None:
                connection.close()
        self.connection = self.watch = None


class Held(Job):
    """A job in hand. The agent renews it, and kills this process where it cannot in time."""

    def __init__(self, stream, got):
        name, self.token, _, self.body, attempts, died, _, fifth = got
        self.stream, self.name, self.fifth = stream, name.decode(errors="replace"), int(fifth) / 1000
        self.attempts, self.died = int(attempts), died == b"1"

    def begin(self):
        self.attempts += 1
        self.stream.ask(self, "begin", self.attempts)

    def _end(self, how, delay=0, why=""):
        self.stream.ask(self, "end", how, int(delay * 1000), why)
        self.stream.hand = None

    def done(self):
        self._end("done")

    def leave(self):
        if self.stream.hand is self:
            self._end("leave")

    def again(self):
        self._end("again", self.stream.retry)

    def later(self, delay, why):
        self._end("later", delay, why)

    def bury(self, why):
        self._end("bury", 0, why)


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
