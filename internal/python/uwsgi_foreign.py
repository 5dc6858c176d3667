"""Threads that the application has started in the loader, while it was imported.

They live there alone, for fork() copies no thread but the one that calls it, and a lock that one of
them holds at that moment would stay locked in the worker for ever: a queue's, a logger's, a
module's that is being imported. So the loader looks for all locks there are, waits for those that
are held and holds them itself while it forks. What the new process finds held nevertheless was
taken in between: it ends, and another one is forked. A lock that never comes free counts as free in
the worker, where its holder does not exist.
"""

import _thread
import errno
import faulthandler
import gc
import importlib._bootstrap
import io
import os
import sys
import threading
import time
import weakref
from posix import fork, waitpid  # not what takes their place in os for greenlets

import uwsgi_threads
from uwsgi_report import report

PATIENCE = 2.0  # seconds that a fork waits for locks
GIVE_UP = 10.0  # and for a moment in which none writes to a stream
STEP, BRIEF = 0.2, 0.05  # for one lock at a time, and for one more
# a lock that was waited for that long in vain counts as held for ever: whoever takes it again at
# once is always faster
STUCK = 1.0
WRITABLE = 0.1  # seconds in which a stream that nobody writes to takes nothing

_LOCK, _RLOCK = _thread.LockType, _thread.RLock


def others():
    """The threads beside this one that run Python code, by identity."""
    return [ident for ident in sys._current_frames() if ident != _thread.get_ident()]


def names():
    """What to call them."""
    known = {ident: thread.name for ident, thread in list(threading._active.items())}
    return sorted(known.get(ident, "thread %d" % ident) for ident in others())


def told(pid):
    """What to say of them, "" where there are none."""
    if uwsgi_threads.patched() or not others():
        return ""
    return ("threads that the application has started while it was imported live in the loader (pid: %d) alone, "
            "no worker has them: %s. Where workers need them, start them in a function with "
            "@uwsgidecorators.postfork, or set lazy-apps" % (pid, ", ".join('"%s"' % name for name in names())))


class Locks:
    """The locks and what else one thread can keep another one from, as far as they can be found."""

    def __init__(self):
        self.frozen = []  # weak references to what gc.freeze() hides
        self.waited = {}  # address of a lock -> seconds that it was waited for in vain

    def freeze(self):
        """Remember what there is: call it before gc.freeze()."""
        if others():
            self.frozen = [reference(thing) for things in self.look() for thing in things]

    def look(self):
        """All there is beyond what is frozen: (locks, conditions, writers)."""
        locks, conditions, writers = {}, [], []
        kinds = {}
        objects = gc.get_objects()
        for start in range(0, len(objects), 1000):
            some = objects[start : start + 1000]
            for thing in some:
                kind = type(thing)
                if kind not in kinds:
                    kinds[kind] = (threading.Condition in kind.__mro__, kind is io.BufferedWriter)
                if kinds[kind][0]:
                    conditions.append(thing)
                elif kinds[kind][1]:
                    writers.append(thing)
            for thing in gc.get_referents(*some):
                if type(thing) is _LOCK or type(thing) is _RLOCK:
                    locks[id(thing)] = thing
        return list(locks.values()), conditions, writers

    def all(self):
        locks, conditions, writers = self.look()
        known = {id(lock) for lock in locks}
        for ref in self.frozen:
            thing = ref()
            if type(thing) is _LOCK or type(thing) is _RLOCK:
                if id(thing) not in known:
                    locks.append(thing)
            elif isinstance(thing, threading.Condition):
                conditions.append(thing)
            elif thing is not None:
                writers.append(thing)
        return locks, conditions, writers

    def held(self, locks, conditions):
        """Those locks that another thread holds, but for what threads use to wait for one
        another."""
        waits = {id(waiter) for condition in conditions for waiter in getattr(condition, "_waiters", ())}
        waits.update(id(lock) for lock in getattr(threading, "_shutdown_locks", ()))
        waits.update(id(getattr(thread, "_tstate_lock", None)) for thread in list(threading._active.values()))
        # it is taken by os.fork() itself
        waits.add(id(getattr(sys.modules.get("concurrent.futures.thread"), "_global_shutdown_lock", None)))
        return [lock for lock in locks if id(lock) not in waits and locked(lock)]

    def take(self, until):
        """Hold what others would hold; the locks that are ours now."""
        mine, waited = [], self.waited
        while time.monotonic() < until:
            locks, conditions, _ = self.all()
            held = [lock for lock in self.held(locks, conditions) if waited.get(id(lock), 0) < STUCK
                and not any(lock is own for own in mine)]
            if not held and not importing():
                return mine
            if held:
                lock = min(held, key=lambda lock: waited.get(id(lock), 0))
                began = time.monotonic()
                if lock.acquire(timeout=BRIEF if mine else STEP):
                    mine.append(lock)
                    waited.pop(id(lock), None)
                    continue
                if not mine:
                    waited[id(lock)] = waited.get(id(lock), 0) + time.monotonic() - began
            give(mine)  # whoever has it may wait for one of ours
            mine = []
            time.sleep(0.001)
        return mine

    def fork(self):
        """fork(2), where this process may have other threads."""
        if uwsgi_threads.patched() or not others():
            return fork()
        until = time.monotonic() + PATIENCE
        while True:
            sound, says = os.pipe()
            mine = self.take(until)
            last = time.monotonic() >= until
            try:
                pid = fork()
            except OSError:
                give(mine)
                os.close(sound)
                os.close(says)
                raise
            if pid == 0:
                try:
                    self.settle(mine, last)
                    os.write(says, b"y")
                except BaseException:  # the loader goes on in its own process only
                    report(*sys.exc_info())
                    os._exit(1)
            else:
                give(mine)
            os.close(says)
            good = pid == 0 or os.read(sound, 1)
            os.close(sound)
            if good:
                return pid
            waitpid(pid, 0)
            if time.monotonic() > until - PATIENCE + GIVE_UP:
                raise OSError(errno.EBUSY, "a thread that the application has started never stops writing to "
                    "a file: " + ", ".join(names()))

    def settle(self, mine, last):
        """In the new process, which has one thread: what is held now was held by a thread that does
        not exist here."""
        for lock in mine:
            lock._at_fork_reinit()  # os.register_at_fork() may have had it done already
        locks, conditions, writers = self.all()
        held = self.held(locks, conditions)
        for condition in conditions:
            if getattr(condition, "_waiters", None):
                condition._waiters.clear()  # a notify() would wake one of them, not one of this process
        if not last and (importing() or any(self.waited.get(id(lock), 0) < STUCK for lock in held)):
            os._exit(0)
        end_unless_writable(writers)
        for lock in held:
            lock._at_fork_reinit()
        for name in importing():
            importlib._bootstrap._module_locks.pop(name, None)
            sys.modules.pop(name, None)


def reference(thing):
    try:
        return weakref.ref(thing)
    except TypeError:  # of a class with __slots__
        return lambda: thing


def locked(lock):
    """Whether another thread has it."""
    if type(lock) is _LOCK:
        return lock.locked()
    if lock.acquire(blocking=False):
        lock.release()
        return False
    return True


def give(locks):
    for lock in locks:
        lock.release()


def importing():
    """The modules that another thread is importing."""
    me = _thread.get_ident()
    out = []
    for name, ref in list(importlib._bootstrap._module_locks.items()):
        lock = ref()
        if lock is not None and getattr(lock, "owner", None) not in (None, me):
            out.append(name)
    return out


def end_unless_writable(writers):
    """End this process if a thread was writing to a stream: that lock can neither be asked for
    without waiting nor be freed."""
    if not writers:
        return
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(WRITABLE, exit=True, file=nowhere)
        for writer in writers:
            try:
                writer.write(b"")
            except (OSError, ValueError, RuntimeError):  # closed, say
                pass
        faulthandler.cancel_dump_traceback_later()
