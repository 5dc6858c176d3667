"""Jobs of the spooler in Redis."""

import itertools
import os
import time
from _socket import SHUT_RDWR
from _thread import allocate_lock, start_new_thread  # now, before an application patches them
from select import poll
from time import sleep

import uwsgi
from uwsgi_redis import Connection, RedisError, ask
from uwsgi_report import WARNING, say
from uwsgi_spool import Backend, Job, SpoolError, arguments, pack, unpack

PAUSE = 0.2  # seconds until Redis is asked again that was away
# how answers of the agent begin that mean something to us; of the first it has told the log
AWAY, LOST = "Redis cannot be reached", "the job is another's"


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
