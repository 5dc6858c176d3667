"""Signals of the loader and of a worker (cli-signals §3)."""

import faulthandler
import json
import os
import signal
import time

from uwsgi_report import say

STACKS = 39  # the supervisor asks for every thread's stack with it; musl's SIGRTMIN is another than glibc's
GRACEFUL, CUT = 17, 30  # exit statuses: uWSGI's

# What people send to all processes of a name (killall, pkill): none of it may end one that is not
# the supervisor at once.
HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP)


def ignore(signum, frame):
    """The supervisor decides when to end; a handler, unlike SIG_IGN, is gone after exec()."""


def hold():
    """The loader's dispositions."""
    for signum in HELD:
        signal.signal(signum, ignore)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


class Signals:
    """The handlers of one worker, and what it shall exit with for the sake of a signal."""

    def __init__(self, slot, core, at_exit):
        self.slot, self.core, self.at_exit = slot, core, at_exit
        self.exit_code = 0

    def take(self):
        """Set the handlers where the application has not set its own."""
        for signum, handler in (
            (signal.SIGHUP, self.leave), (signal.SIGTERM, self.leave), (signal.SIGINT, self.leave),
            (signal.SIGUSR1, self.count), (signal.SIGUSR2, self.describe),
        ):
            if signal.getsignal(signum) is not ignore:
                continue
            signal.signal(signum, handler)
            if signum == signal.SIGUSR2:
                # The stacks come though no thread can run Python code just now; describe() follows
                # when the main thread can.
                faulthandler.register(signum, file=2, all_threads=True, chain=True)

    def leave(self, signum, frame):
        """Finish what runs, then end: the supervisor forks another worker."""
        if not self.exit_code:
            self.exit_code = GRACEFUL if signum == signal.SIGHUP else CUT
            say("Gracefully killing worker %d (pid: %d)..." % (self.slot, os.getpid()))
        self.core.drain("signal %d" % signum)
        if signum == signal.SIGTERM and self.core.given_up():  # harakiri-graceful-signal: what is left never returns
            self.at_exit()
            os._exit(CUT)

    def count(self, signum, frame):
        w = json.loads(self.core.workers())[self.slot - 1]
        say("worker %d total requests: %d" % (self.slot, w["requests"]))
        for app in w["apps"]:
            say("\tapp %d [%s] requests: %d exceptions: %d" % (app["id"], app["mountpoint"],
                app["requests"], app["exceptions"]))

    def describe(self, signum, frame):
        for request, since in json.loads(self.core.doing()):  # "IP METHOD URI"
            say("SIGUSR2: --- uWSGI worker %d (pid: %d) is managing request %s since %s ---"
                % (self.slot, os.getpid(), request.split(" ", 2)[-1], time.ctime(since)))


def is_ours(handler):
    """Whether a handler is one of those above, not the application's."""
    return handler is ignore or isinstance(getattr(handler, "__self__", None), Signals)


def wakeup():
    """(reader, writer): whoever waits in the worker's main thread shall watch the reader, which
    gets a byte at each signal.

    A signal that comes just before the thread waits would else have its handler run when something
    else happens.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader, writer
