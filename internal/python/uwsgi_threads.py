"""Threads of the system, though the application may have made greenlets of Python's (gevent's and
eventlet's monkey patches)."""

import _thread
import sys
import threading

_start, _allocate = _thread.start_new_thread, _thread.allocate_lock
_STARTERS = {name: getattr(threading, name) for name in ("_start_new_thread", "_start_joinable_thread")
    if hasattr(threading, name)}


def patched():
    """Whether threading.Thread no longer is a thread of the system."""
    return any(getattr(threading, name, None) is not own for name, own in _STARTERS.items())


def have_had_one():
    """Start a thread, and see it end. At the first one a free-threaded 3.13 makes functions, modules
    and the like immortal, but for what is frozen: after a gc.freeze() that comes before, threads would
    count references to the functions that they call, all in one place, and wait for each other."""
    over = _allocate()
    over.acquire()
    try:
        _start(over.release, ())
        over.acquire()
    except RuntimeError:
        pass  # there may be no more threads, and so no others to wait for


def hub():
    """gevent's hub of this thread: threads that make theirs at the same time, in their first
    requests, can lock each other out."""
    gevent = sys.modules.get("gevent")
    if gevent:
        gevent.get_hub()


class Native:
    """What there is of threading.Thread here, for when that is patched: threading knows such a
    thread once it runs."""

    def __init__(self, target, args, name, daemon=False):
        self.target, self.args, self.name, self.daemon = target, args, name, daemon
        self.over = _allocate()

    def start(self):
        self.over.acquire()
        begun = _allocate()
        begun.acquire()
        _start(self.run, (begun,))
        begun.acquire()

    def run(self, begun):
        try:
            try:
                me = threading.current_thread()
                me.name, me._daemonic = self.name, self.daemon
                hub()
            finally:
                begun.release()
            self.target(*self.args)
        finally:
            self.over.release()

    def join(self):
        with self.over:
            pass


def thread(target, args=(), name=None, daemon=False):
    """A thread that is to be started."""
    if patched():
        return Native(target, args, name, daemon)
    return threading.Thread(target=target, args=args, name=name, daemon=daemon)
