"""A process of the spooler: takes the jobs of one folder, one after the other, and calls
uwsgi.spooler with each."""

import os
import re
import sys
import time
import traceback
import types
from select import POLLIN, poll  # now: what patches select for greenlets leaves none of this kind

import uwsgi
from uwsgi_interpreter import import_told
from uwsgi_attendant import Attendant
from uwsgi_report import ERROR, WARNING, placed, report, say
from uwsgi_spool import arguments

LONGEST = 3600  # seconds that a job which failed waits at most
SILENCE = 60  # seconds between two lines about a function that is not there


def backoff(frequency, failures):
    """How long a job waits after so many failures: as long as uWSGI's the first time, then twice as
    long each time."""
    return min(LONGEST, max(1, frequency) * 2 ** min(failures - 1, 32))


class Spooler:
    """The jobs of one folder. ``process`` is what it runs in: a Process, or what has its leaves(),
    handle(), begin(), returned(), end(), retire() and wait()."""

    def __init__(self, settings, spoolers, number, process):
        where = spoolers.dirs[number - 1]
        self.dir, self.backend = re.sub("(://[^/:@]*:)[^/]*@", r"\1xxxxx@", where), spoolers.backends[where]
        self.board, self.process = spoolers.board, process
        self.settings = settings
        self.own_frequency = settings["SpoolerFrequency"] / 1e9
        self.attempts, self.max_tasks = settings["SpoolerAttempts"], settings["SpoolerMaxTasks"]
        self.chdir, self.quiet = settings["SpoolerChdir"], settings["SpoolerQuiet"]
        self.tasks, self.hand, self.complained = 0, None, 0

    @property
    def frequency(self):
        return self.board.frequency or self.own_frequency

    def run(self):
        """Serve until the process shall leave."""
        os.register_at_fork(after_in_child=self.let_go)
        fd = self.backend.open()
        while not self.process.leaves():
            for self.hand in self.backend.due():
                self.process.handle()
                if self.process.leaves():
                    self.hand.leave()
                    return
                self.manage(self.hand)
                if self.tasks == self.max_tasks > 0:
                    say("[spooler %s pid: %d] maximum number of tasks reached (%d) recycling ..." % (
                        self.dir, os.getpid(), self.max_tasks))
                    self.process.retire()
            self.sleep(fd)

    def sleep(self, fd):
        """Until there may be a job."""
        soonest = self.backend.next()  # of the wall clock: where that is set back, until still bounds the wait
        until = time.monotonic() + (self.frequency if fd >= 0 else min(1, self.frequency))
        while not self.process.leaves():
            self.process.handle()
            left = until - time.monotonic()
            if soonest is not None:
                left = min(left, soonest - time.time())
            if left <= 0 or self.process.wait(fd, left) and self.backend.rest():
                return

    def let_go(self):
        """In a child that the job has forked: the job is its parent's, and so is the lock."""
        if self.hand:
            self.hand.disown()

    def manage(self, job):
        if not callable(getattr(uwsgi, "spooler", None)):
            self.unmanaged(job)
            return
        if job.died and job.attempts > 1 and self.failed(job, "The process that ran it died."):
            return
        began = time.monotonic()
        job.begin()
        if not self.quiet:
            say("[spooler %s pid: %d] managing request %s ..." % (self.dir, os.getpid(), job.name))
        try:
            self.enter(job)
            self.process.begin()
            answer = self.call(job)
        except BaseException:  # sys.exit() in a job ends the job
            report(*sys.exc_info())
            self.failed(job, traceback.format_exc())
        else:
            self.end(job, answer, began)
        finally:
            self.process.end()
            self.tasks += 1

    def enter(self, job):
        try:
            if self.chdir or job.folder:
                os.chdir(self.chdir or job.folder)
        except OSError as exc:
            if self.chdir:
                exc.strerror = "%s: %s" % (placed(self.settings, "spooler-chdir", self.chdir), exc.strerror)
            raise

    def call(self, job):
        try:
            answer = uwsgi.spooler(arguments(job.variables, job.name, job.body))
            return uwsgi._use_timers().complete(answer) if isinstance(answer, types.CoroutineType) else answer
        finally:
            self.process.returned()

    def end(self, job, answer, began):
        if not isinstance(answer, int):
            say("[spooler %s pid: %d] uwsgi.spooler returned %s, which is none of the SPOOL_ constants" % (
                self.dir, os.getpid(), type(answer).__name__), WARNING)
            self.failed(job, "uwsgi.spooler returned %s, which is none of the SPOOL_ "
                "constants.\n" % type(answer).__name__)
        elif answer == uwsgi.SPOOL_OK:
            try:
                job.done()
            except OSError as exc:
                say("[spooler %s pid: %d] %s is done, and cannot be removed: %s" % (
                    self.dir, os.getpid(), job.name, exc.strerror), ERROR)
                job.leave()
                return
            if not self.quiet:
                say("[spooler %s pid: %d] done with task %s after %d seconds" % (
                    self.dir, os.getpid(), job.name, time.monotonic() - began))
        elif answer == uwsgi.SPOOL_IGNORE:
            self.unmanaged(job)
        else:
            job.again()

    def unmanaged(self, job):
        """uWSGI's words for what no code was there for. It is no failure: the right code may come
        with a reload."""
        job.again() if not job.died else job.leave()
        if time.monotonic() - self.complained > SILENCE or not self.complained:
            self.complained = time.monotonic()
            say("unable to find the spooler function, have you loaded it into the spooler process ?", WARNING)

    def failed(self, job, why):
        """Put a job that failed off, or give it up; True."""
        try:
            if self.attempts and job.attempts >= self.attempts:
                try:
                    job.bury("%s, attempt %d of %d, %s (pid %d):\n\n%s" % (time.ctime(), job.attempts, self.attempts,
                        uwsgi.hostname.decode(errors="replace"), os.getpid(), why))
                except OSError as exc:
                    say("[spooler %s pid: %d] %s cannot be given up: %s" % (
                        self.dir, os.getpid(), job.name, exc), ERROR)
                    job.later(LONGEST, why)
                    return True
                say("[spooler %s pid: %d] %s failed %d times: given up, see failed/ or uwsgi spool %s" % (
                    self.dir, os.getpid(), job.name, job.attempts, self.dir), ERROR)
                return True
            delay = backoff(self.frequency, job.attempts)
            job.later(delay, why)
            say("[spooler %s pid: %d] %s failed (attempt %d): again in %d seconds" % (
                self.dir, os.getpid(), job.name, job.attempts, delay), WARNING)
        except OSError as exc:
            say("[spooler %s pid: %d] %s: %s" % (self.dir, os.getpid(), job.name, exc), ERROR)
            job.leave()
        return True


class Process(Attendant):
    """One process of the spooler: what it is besides its jobs."""

    kind = "spooler"
    hooks = ("post-fork",)

    def __init__(self, parent, order, fds):
        super().__init__(parent, order, fds)
        self.spoolers = uwsgi._spoolers
        self.place = self.spoolers.numbers[self.number - 1]  # in uwsgi.spoolers, from 1
        self.harakiri = self.settings["SpoolerHarakiri"] / 1e9
        self.poll, self.watched_fd = poll(), -1
        self.poll.register(self.signalled, POLLIN)
        uwsgi._spooling = True
        self.spoolers.board.arrive(self.place, os.getpid())

    def load(self):
        super().load()
        for what in self.settings["SpoolerImports"] or ():
            import_told(self.settings, "spooler-import", what, what)

    def work(self):
        self.holding = True  # a signal(7) interrupts nothing: leaves() is asked between jobs
        Spooler(self.settings, self.spoolers, self.place, self).run()
        return 0

    def leaves(self):
        """Whether it shall end."""
        return self.leaving

    def retire(self):
        """Have another process in its place, and wait to be told to leave."""
        self.tell("recycle", reason="spooler-max-tasks")
        while not self.leaving:
            self.handle()
            self.wait(-1, 60)

    def handle(self):
        """Run the handlers of uWSGI's signals that have come."""
        self.inbox.run()

    def begin(self):
        """A job begins."""
        self.busy(self.harakiri)

    def end(self):
        """It is over."""
        self.idle(done=True)

    def wait(self, fd, seconds):
        """Sleep until fd is readable (True), or a signal has come, or the time is over."""
        if fd != self.watched_fd and fd >= 0:
            self.poll.register(fd, POLLIN)
            self.watched_fd = fd
        ready = dict(self.poll.poll(max(0, int(seconds * 1000) + 1)))
        if self.signalled in ready:
            self.wake()
        return fd in ready
