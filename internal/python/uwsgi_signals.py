"""Signals in the loader and its workers."""

import os
import signal

STACKS = signal.SIGRTMIN + 5  # the supervisor asks for every thread's stack with it


def ignore(signum, frame):
    """The supervisor decides when to end; a handler, unlike SIG_IGN, is gone after exec()."""


def watch_signals(_uwsgi):
    """Have the worker's main thread look at signals though it waits for requests; the descriptors that this takes.

    A signal that comes just before the thread waits would else have its handler run at the next request only.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _uwsgi.watch_signals(reader)
    return [reader, writer]
