"""A process beside the workers: forked from the loader, with the application and without a data
plane. It hears the supervisor on its wire, in a thread, and ends with it."""

import faulthandler
import json
import os
import random
import signal
import sys
import threading
import time
from collections import deque
from _thread import start_new_thread  # now, before an application patches them
from select import POLLIN, poll  # now: what patches select for greenlets leaves none of this kind
from time import sleep

import uwsgi
import uwsgi_gevent
import uwsgi_hooks
import uwsgi_limits
from uwsgi_application import load_all
from uwsgi_children import returned
from uwsgi_inbox import Inbox
from uwsgi_interpreter import at_exit, imports, set_title, title
from uwsgi_report import ERROR, report, say
from uwsgi_signals import STACKS, ignore, wakeup

LAST = 1.0  # seconds that it may take to end when the supervisor is gone


class Attendant:
    """``kind`` is what it is called, ``number`` which of its kind it is. A subclass has work()."""

    kind = ""
    hooks = ()  # the phases of those that it runs

    def __init__(self, parent, order, fds):
        self.boot, self.settings = parent.boot, parent.settings
        self.loaded, self.sigchld = parent.loaded, parent.sigchld
        self.number, self.control = order["slot"], fds[0]
        self.arriving = True  # nothing of its own is begun
        self.leaving = False  # it was told to end
        self.holding = False  # it has something in hand that it ends first
        self.ending = False  # its work is over: what is told of that is not interrupted
        self.pid = os.getpid()
        self.until = None  # when what it does has to be over
        self.watching = False  # the supervisor knows that it does something
        uwsgi._attendant, uwsgi._returned = self, self.returned
        self.signals = deque()  # of uWSGI's
        self.inbox = Inbox(self.next_signal, self.rest, lambda: self.leaving and not self.holding)
        self.signalled, self.waker = wakeup()
        parent.wire.sock.close()
        uwsgi._wire = self
        for fd in (self.boot["HandoffFD"], self.boot["HandoffInFD"], self.boot["RequestLog"]["FD"],
                *(listener["FD"] for listener in self.boot["Listeners"] or ())):
            if fd > 2:
                try:
                    os.close(fd)
                except OSError:  # the application has
                    pass

    def run(self):
        """Its life; the exit status."""
        if self.sigchld is not signal.SIG_DFL:
            signal.signal(signal.SIGCHLD, self.sigchld)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(signum) is ignore:
                signal.signal(signum, self.leave)
        faulthandler.register(STACKS, file=2, all_threads=True)
        random.seed()
        uwsgi_gevent.renew()
        start_new_thread(self.listen, ())
        name = title(self.settings, "uWSGI %s %d" % (self.kind, self.number))
        if name:
            set_title(name)
        threading.current_thread().name = "uWSGI%s%d" % (self.kind.capitalize(), self.number)
        code = 1
        try:
            try:
                self.arrive()
                code = self.work() or 0
            finally:
                self.ending = True
                self.returned()
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
            if exc.code is not None and not isinstance(exc.code, int):
                say(str(exc.code), ERROR)
        except BaseException:
            report(*sys.exc_info())
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, ignore)  # once is enough: what ends now is not interrupted
        self.depart(code)
        at_exit(self.settings)
        return code & 0xFF

    def arrive(self):
        """What comes before its work: the application, where it is not there yet, and the hooks of a
        process that was forked."""
        settings = self.settings
        self.load()
        uwsgi_limits.raise_descriptors(settings)
        try:
            uwsgi_hooks.run(settings, uwsgi.mule_id(), *self.hooks)
        except ValueError as exc:
            say("FATAL hook failed in %s %d: %s" % (self.kind, self.number, exc), ERROR)
            raise SystemExit(1)
        self.returned()
        self.arriving = False
        self.tell("ready")
        uwsgi._post_fork()  # which may stay there: @muleloop
        self.returned()

    def load(self):
        """Import the application, where it is not there yet."""
        if not self.boot["Lazy"]:
            return
        imports(self.settings)
        self.loaded = load_all(self.settings, False)
        if not self.loaded.usable(self.settings):
            self.tell("failed", error=self.loaded.failure()["error"], code=self.loaded.code)
            raise SystemExit(self.loaded.code)

    def work(self):
        """What it is there for, until it is told to leave; the exit status."""
        raise NotImplementedError

    def returned(self):
        """See uwsgi_children.returned."""
        returned(self.pid, "%s %d" % (self.kind, self.number))

    def depart(self, code):
        """What comes after its work."""

    def leave(self, signum, frame):
        """End, but for what it has in hand."""
        self.leaving = True
        if self.arriving:  # an exception in the middle of an import would be told as its failure
            os._exit(0)
        if not self.holding and not self.inbox.handling and not self.ending:
            raise SystemExit(0)

    def finish(self):
        """Have the main thread end, by the program's own handler where it has one: uWSGI's mules are sent
        SIGINT at a stop, SIGHUP at a reload."""
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            handler = signal.getsignal(signum)
            if callable(handler) and handler not in (self.leave, ignore, signal.default_int_handler):
                self.leaving = True
                break
        else:
            signum = signal.SIGTERM
        os.kill(os.getpid(), signum)

    def tell(self, op, **fields):
        """One message to the supervisor."""
        self.send(json.dumps({"op": op, **fields}).encode())

    def send(self, message):
        """The same, as bytes."""
        try:
            os.write(self.control, message)
        except OSError:  # it is gone: listen() hears so
            pass

    def busy(self, seconds):
        """The supervisor shall know that it does something, which has to be over in that time (0: at
        some time)."""
        self.until = time.monotonic() + seconds if seconds else None
        self.watched(seconds)

    def idle(self, **fields):
        """It is over."""
        if self.watching:
            self.tell("busy", within=0, **fields)
        self.until, self.watching = None, False

    def set_user_harakiri(self, seconds):
        """The application's own deadline for what it does now; 0 clears it."""
        left = [seconds] if seconds > 0 else []
        if self.until is not None:
            left.append(self.until - time.monotonic())
        if left or self.holding:
            self.watched(max(min(left), 0.001) if left else 0)
        else:
            self.idle()

    def watched(self, seconds):
        self.watching = True
        self.tell("busy", within=int(seconds * 1000) or -1)
    def next_signal(self):
        """The number of the next of uWSGI's signals, None where there is none."""
        try:
            return self.signals.popleft()
        except IndexError:
            return None

    def rest(self):
        """Until one may be there, or a signal(7) has come."""
        waiting = poll()
        waiting.register(self.signalled, POLLIN)
        waiting.poll()
        self.wake()

    def wake(self):
        """Take what has woken it."""
        try:
            os.read(self.signalled, 4096)
        except BlockingIOError:
            pass

    def obey(self, order):
        """What the supervisor says, in listen()'s thread."""
        op = order["op"]
        if op == "drain":
            self.finish()
        elif op == "signal":
            self.signals.append(order.get("signal", 0))
            try:
                os.write(self.waker, b"\0")
            except BlockingIOError:  # it is awake
                pass
        elif op == "withdraw":
            number = order.get("signal", 0)
            try:
                self.signals.remove(number)
            except ValueError:  # it has begun
                return
            self.tell("withdrawn", message=json.dumps({"signal": number}))

    def listen(self):
        """Hear the supervisor, which says when to leave: a signal of its own could come before there is
        a handler. Its silence is the end."""
        while True:
            try:
                order = os.read(self.control, 65536)
                if not order:
                    break
                self.obey(json.loads(order))
            except InterruptedError:
                continue
            except OSError:
                break
        self.finish()
        sleep(LAST)
        os._exit(0)
