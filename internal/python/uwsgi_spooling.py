"""The processes of the spooler: forked from the loader once its generation is in force, kept running
until it is not any more."""

import atexit
import ctypes
import faulthandler
import os
import random
import signal
import sys
import threading
import time
from select import POLLIN, poll  # now: what patches select for greenlets leaves none of this kind

import uwsgi
import uwsgi_gevent
import uwsgi_hooks
import uwsgi_limits
from uwsgi_application import load_all
from uwsgi_interpreter import imports, set_title, title
from uwsgi_report import ERROR, WARNING, report, say
from uwsgi_signals import STACKS
from uwsgi_spool import Spoolers
from uwsgi_spooler import Spooler

ROUND = 500  # milliseconds between two looks at deadlines
DUMP = 1  # seconds that a process gets to write its stack
SLOWEST = 30  # seconds between two starts of one that dies at once
STEADY = 10  # seconds after which one that dies has not died at once
PR_SET_PDEATHSIG = 1


def prepare(settings):
    """Add the functions of the spooler to the uwsgi module, before the application is imported. Gives
    what starts the processes."""
    spoolers = Spoolers(settings)
    spoolers.install()
    uwsgi._spoolers = spoolers
    return lambda loader: Spooling(loader, spoolers)


class Process:
    def __init__(self, number):
        self.number, self.began, self.dumped = number, time.monotonic(), 0


class Spooling:
    """The loader's side."""

    def __init__(self, loader, spoolers):
        self.loader, self.spoolers = loader, spoolers
        self.board, self.harakiri = spoolers.board, loader.settings["SpoolerHarakiri"]
        self.processes = {}  # pid → Process
        self.failures, self.due = {}, {}  # number → deaths in a row, when it is started again
        self.stopping = False
        for number in spoolers.numbers:
            self.start(number)

    def start(self, number):
        self.due.pop(number, None)
        try:
            pid = self.loader.locks.fork()
        except OSError as exc:
            say("spooler %d: fork: %s" % (number, exc.strerror), ERROR)
            self.again(number)
            return
        if pid == 0:
            code = 1
            try:
                code = Attendant(self.loader, self.spoolers, number).run()
            except BaseException:
                report(*sys.exc_info())
            finally:
                os._exit(code)
        self.processes[pid] = Process(number)
        self.board.arrive(number, pid)
        say("spawned the uWSGI spooler on dir %s with pid %d" % (self.spoolers.dirs[number - 1], pid))

    def again(self, number):
        """Start it once more: at once the first time, then later and later."""
        n = self.failures[number] = self.failures.get(number, 0) + 1
        self.due[number] = time.monotonic() + (0 if n == 1 else min(SLOWEST, 2 ** min(n - 2, 10)))

    def ended(self, pid, status):
        """A child of the loader has ended, perhaps one of these."""
        process = self.processes.pop(pid, None)
        if process is None:
            return
        self.board.arrive(process.number, 0)
        self.board.set_deadline(process.number, 0)
        if self.stopping:
            return
        if status == 0:
            self.failures.pop(process.number, None)
            self.start(process.number)
            return
        how = "signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "exit status %d" % os.WEXITSTATUS(status)
        say("OOOPS the spooler is no more...trying respawn... (pid: %d, %s)" % (pid, how), WARNING)
        if time.monotonic() - process.began > STEADY:
            self.failures.pop(process.number, None)
        self.again(process.number)

    def tend(self):
        """Start what is due, end what takes too long; how long the loader may sleep then, in
        milliseconds, None for ever."""
        now = time.monotonic()
        if self.stopping:
            self.due.clear()
        for number in [n for n, when in self.due.items() if when <= now]:
            self.start(number)
        if self.harakiri:
            for pid, process in self.processes.items():
                self.watch(pid, process, now)
            if self.processes:
                return ROUND
        return max(0, int((min(self.due.values()) - now) * 1000) + 1) if self.due else None

    def watch(self, pid, process, now):
        if not self.board.late(process.number):
            process.dumped = 0
        elif not process.dumped:
            process.dumped = now
            say("*** HARAKIRI ON THE SPOOLER (pid: %d) ***" % pid, ERROR)
            os.kill(pid, STACKS)  # not waited for yet: the number is its own
        elif now - process.dumped > DUMP:
            os.kill(pid, signal.SIGKILL)

    def replace(self):
        """Have each end after its job, and another begin."""
        for pid in self.processes:
            os.kill(pid, signal.SIGTERM)

    def stop(self):
        """Have each end after its job, and none begin."""
        self.stopping = True
        self.replace()


class Attendant:
    """One process of the spooler: what it is besides its jobs."""

    def __init__(self, loader, spoolers, number):
        self.loader, self.settings, self.spoolers, self.number = loader, loader.settings, spoolers, number
        self.ending = False
        self.poll = poll()
        signal.set_wakeup_fd(-1)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = os.getppid()
        for fd in (*loader.wake, loader.wire.sock.fileno(),
                *(listener["FD"] for listener in loader.boot["Listeners"] or ()),
                loader.boot["HandoffFD"], loader.boot["HandoffInFD"]):
            if fd > 2:
                os.close(fd)
        if parent != loader.pid:
            os._exit(0)
        self.wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self.wake[1], warn_on_full_buffer=False)
        self.poll.register(self.wake[0], POLLIN)
        self.watched = -1

    def run(self):
        settings = self.settings
        signal.signal(signal.SIGCHLD, self.loader.sigchld)
        signal.signal(signal.SIGTERM, self.end)
        faulthandler.register(STACKS, file=2, all_threads=True)
        random.seed()
        uwsgi_gevent.renew(settings)
        uwsgi._spooling = True
        name = title(settings, "uWSGI spooler %d" % self.number)
        if name:
            set_title(name)
        uwsgi_limits.raise_descriptors(settings)
        if self.loader.boot["Lazy"]:
            imports(settings)
            load_all(settings, False)
        Spooler.imports(settings)
        uwsgi_hooks.run(settings, 0, "post-fork")
        uwsgi._post_fork()
        Spooler(settings, self.spoolers, self.number, lambda: self.ending, self.deadline, self.wait).run()
        self.leave()
        return 0

    def end(self, signum, frame):
        self.ending = True

    def deadline(self, seconds):
        self.spoolers.board.set_deadline(self.number, seconds)

    def wait(self, fd, seconds):
        """Sleep until fd is readable (True), or a signal has come, or the time is over."""
        if fd != self.watched and fd >= 0:
            self.poll.register(fd, POLLIN)
            self.watched = fd
        ready = dict(self.poll.poll(max(0, int(seconds * 1000) + 1)))
        if self.wake[0] in ready:
            try:
                os.read(self.wake[0], 4096)
            except BlockingIOError:
                pass
        return fd in ready

    def leave(self):
        """End as an interpreter does."""
        if self.settings["SkipAtexit"]:
            return
        for step in (getattr(uwsgi, "atexit", None), threading._shutdown, atexit._run_exitfuncs):
            try:
                if callable(step):
                    step()
            except BaseException:
                report(*sys.exc_info())
