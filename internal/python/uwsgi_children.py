"""Children that the application forks in a worker, or in a process beside the workers."""

import contextlib
import faulthandler
import os
import signal
import sys
import threading

from uwsgi_report import WARNING, report, say
from uwsgi_signals import HELD, is_ours


def guard_forks(_uwsgi, descriptors):
    """In a child that the application forks: no server any more, and signals do what they do by default.

    They are held back meanwhile: one that is sent to a child at once, as Pool.terminate of
    multiprocessing does, would meet our handler there and be lost.
    """
    held = threading.local()

    def before():
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)

    def in_parent():
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)
        _uwsgi.forked(False)

    def in_child():
        if _uwsgi.forked(True):
            leave_server(descriptors)
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def leave_server(descriptors):
    """Let go, in a child, of what is the server's."""
    for fd in descriptors:  # a child that outlives the server must not keep its sockets open
        try:
            os.close(fd)
        except OSError:
            pass
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL, signal.SIGPIPE: signal.SIG_IGN}
    for signum in HELD:
        if is_ours(signal.getsignal(signum)):
            defaults.setdefault(signum, signal.SIG_DFL)
    if signal.SIGUSR2 in defaults:
        faulthandler.unregister(signal.SIGUSR2)
    for signum, handler in defaults.items():
        try:
            signal.signal(signum, handler)
        except (ValueError, OSError):
            pass


def returned(pid, where):
    """The application is back, in a process of that id, from what it was called for. A process that it
    has forked there, and that is back too, is no part of this one: it ends, and touches nothing of
    what that has."""
    if os.getpid() == pid:
        return
    exc, code = sys.exc_info()[1], 0
    if isinstance(exc, SystemExit):
        code = exc.code if isinstance(exc.code, int) else exc.code is not None
    elif exc is not None:
        report(*sys.exc_info())
        code = 1
    say("pid %d was forked by the application in %s, and has returned from there: it ends" % (os.getpid(), where),
        WARNING)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code & 0xFF)
