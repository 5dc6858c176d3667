"""Mules: what sends them messages, and what one does.

A queue is a SOCK_SEQPACKET pair that the supervisor keeps, so that what waits there outlives
senders, receivers and reloads. A packet is an identity and the message, or, for a long one, a memfd
beside the identity.

Nothing is lost on the way to a mule that is killed: its hand, a memfd that the supervisor keeps,
has the message before the queue has it no more, and until the mule is done with it. The next
process of that number is given it first, and gives up a message that has ended three of them.

Who takes a message locks the queue: a byte of the first hand (fcntl(2)), which the kernel unlocks
when its holder dies. In between, the hand says TAKING: whether the queue had the message still is
seen by who takes next, from the identity of what comes first there.
"""

import _socket
import array
import errno
import fcntl
import importlib
import itertools
import os
import runpy
import struct
import sys
import time
import zlib
from select import POLLIN, POLLOUT, poll  # now: what patches select for greenlets leaves none of this kind

import uwsgi
from uwsgi_attendant import Attendant
from uwsgi_report import ERROR, WARNING, place, report, say

INLINE = 32 << 10  # a longer message goes beside its packet
ID = 16
EMPTY, TAKING, HELD = range(3)
HEAD = struct.Struct("=IIIIQ16s")  # state, tries, queue, 0, length, identity
BODY = 4096  # where the message is in a hand
TRIES = 3
_flock = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux


class Queue:
    def __init__(self, described):
        self.name = described["Name"]
        self.key = zlib.crc32(self.name.encode())
        self.into, self.out = described["In"], described["Out"]
        self.sender = None

    def send(self, identity, message):
        """False: it is full."""
        if self.sender is None:
            self.sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, self.into)
        flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL
        try:
            if len(message) <= INLINE:
                try:
                    self.sender.sendmsg([identity, message], [], flags)
                    return True
                except OSError as exc:
                    if exc.errno != errno.EMSGSIZE:  # mule-msg-size is that small
                        raise
            fd = os.memfd_create("uwsgi-message", os.MFD_CLOEXEC)
            try:
                write(fd, message, 0)
                beside = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [fd]))]
                self.sender.sendmsg([identity], beside, flags)
            finally:
                os.close(fd)
            return True
        except BlockingIOError:
            return False
        except OSError as exc:
            if exc.errno in (errno.ENOBUFS, errno.ETOOMANYREFS):  # the latter: too many descriptors under way
                return False
            raise


class Mules:
    """What every process has of them. ``mine`` is the mule that this process is, None elsewhere."""

    def __init__(self, boot):
        self.boot, self.settings = boot, boot["Settings"]
        self.count = len(self.settings["Mules"])
        self.queues = {q["Name"]: Queue(q) for q in boot["Queues"]}
        self.farms = {farm["Name"]: farm["Mules"] for farm in self.settings["Farms"] or ()}
        self.mine = None
        self.complained = 0.0
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self):
        self.prefix, self.counter = os.urandom(8), itertools.count()

    def queue_of(self, target):
        """The queue that a target of mule_msg means."""
        if isinstance(target, bytes):
            return self.farm(target.decode("utf-8", "surrogateescape"))
        if not isinstance(target, int):
            raise ValueError("invalid mule")
        if not 0 <= target <= self.count:
            raise ValueError("invalid mule number")
        return self.queues["mule %d" % target if target else "shared"]

    def farm(self, name):
        if name not in self.farms:
            raise ValueError("unknown farm")
        return self.queues["farm " + name]

    def send(self, message, queue, patience=0.0):
        """Put a message into a queue; False when it is full, for all of the patience."""
        if isinstance(message, str):
            message = message.encode()
        message = memoryview(message).cast("B")
        identity = self.prefix + struct.pack("=Q", next(self.counter))
        until = time.monotonic() + patience
        while not queue.send(identity, message):
            left = until - time.monotonic()
            if left <= 0:
                if time.monotonic() - self.complained > 1:
                    self.complained = time.monotonic()
                    say("the queue of messages (%s) is full: the message is refused" % queue.name, WARNING)
                return False
            wait_for_room(queue.into, left)
        return True


def wait_for_room(fd, seconds):
    """Until a queue has room, or a moment: it is one message that makes room, and a descriptor that
    may not be sent yet is none of the queue's business."""
    if "gevent" in sys.modules:
        time.sleep(min(seconds, 0.01))  # patched, it lets the others go on
        return
    room = poll()
    room.register(fd, POLLOUT)
    if room.poll(min(seconds, 0.2) * 1000):
        time.sleep(0.001)


def write(fd, data, at):
    while len(data):
        n = os.pwrite(fd, data, at)
        data, at = data[n:], at + n


def read(fd, size, at=0):
    parts = []
    while size > 0:
        part = os.pread(fd, min(size, 1 << 30), at)
        if not part:
            break
        parts.append(part)
        size, at = size - len(part), at + len(part)
    return b"".join(parts)


class Hand:
    """What one mule is at."""

    def __init__(self, fd):
        self.fd = fd

    def head(self):
        data = os.pread(self.fd, HEAD.size, 0)
        return HEAD.unpack(data) if len(data) == HEAD.size else (EMPTY, 0, 0, 0, 0, bytes(ID))

    def mark(self, state, tries, key, length, identity):
        os.pwrite(self.fd, HEAD.pack(state, tries, key, 0, length, identity), 0)  # in one page: whole or not at all

    def settle(self, key, first):
        """Decide what TAKING means, for who has the lock of that queue: ``first`` is the identity of
        what comes first there."""
        state, tries, queue, _, length, identity = self.head()
        if state == TAKING and queue == key:
            self.mark(EMPTY if identity == first else HELD, tries, queue, length, identity)

    def drop(self):
        self.mark(EMPTY, 0, 0, 0, bytes(ID))
        if os.fstat(self.fd).st_size > BODY + INLINE:
            os.ftruncate(self.fd, BODY)


class Mule(Attendant):
    """One process of a mule."""

    kind = "mule"
    hooks = ("post-fork", "as-mule")

    def __init__(self, parent, order, fds):
        super().__init__(parent, order, fds)
        self.mules = parent.mules
        self.mules.mine = self
        uwsgi._mule = self.number
        self.hands = [Hand(fd) for fd in self.boot["Hands"]]
        self.hand = self.hands[self.number - 1]
        self.locks = os.open("/proc/self/fd/%d" % self.hands[0].fd, os.O_RDWR | os.O_CLOEXEC)
        every = self.mules.queues
        self.own = [every["shared"], every["mule %d" % self.number]]
        self.farms = [every["farm " + name] for name, members in self.mules.farms.items() if self.number in members]
        self.receivers = {q.name: _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, q.out)
            for q in self.own + self.farms}
        self.left = None  # (queue's key, message) that the last process had in hand
        self.inherit()

    def inherit(self):
        """Take over what the last process of this number had in hand."""
        state, _, key, _, _, _ = self.hand.head()
        if state == TAKING:
            queue = next((q for q in self.own + self.farms if q.key == key), None)
            if queue is None:  # of a farm that it is in no more
                self.hand.settle(key, None)
            else:
                with Locked(self, queue):
                    packet = self.peek(queue)
                    self.hand.settle(key, packet and packet[0])
        state, tries, key, _, length, identity = self.hand.head()
        if state != HELD:
            return
        if tries >= TRIES:
            say("mule %d: a message of %d bytes has ended %d processes, and is given up" % (self.number, length,
                tries), ERROR)
            self.hand.drop()
            return
        self.left = key, read(self.hand.fd, length, BODY)

    def peek(self, queue):
        """(identity, message) of what comes first in a queue, None where there is nothing."""
        try:
            data, beside, flags, _ = self.receivers[queue.name].recvmsg(ID + INLINE, _socket.CMSG_SPACE(4),
                _socket.MSG_PEEK | _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        message = data[ID:]
        for _, _, numbers in beside:
            for fd in array.array("i", numbers[:len(numbers) - len(numbers) % 4]):
                try:
                    message = read(fd, os.fstat(fd).st_size)
                finally:
                    os.close(fd)
        return data[:ID], message

    def take(self, queue):
        """Take the first message of a queue in hand; None where there is none."""
        with Locked(self, queue):
            packet = self.peek(queue)
            if packet is None:
                return None
            identity, message = packet
            for hand in self.hands:
                hand.settle(queue.key, identity)
            write(self.hand.fd, memoryview(message), BODY)
            self.hand.mark(TAKING, 1, queue.key, len(message), identity)
            self.receivers[queue.name].recvmsg(ID, 0, _socket.MSG_DONTWAIT)  # what is beside it goes with it
            self.hand.mark(HELD, 1, queue.key, len(message), identity)
        return message

    def take_left(self, queues):
        if self.left is None or not any(q.key == self.left[0] for q in queues) and self.known(self.left[0]):
            return None
        message, self.left = self.left[1], None
        state, tries, key, _, length, identity = self.hand.head()
        self.hand.mark(HELD, tries + 1, key, length, identity)
        return message

    def known(self, key):
        return any(q.key == key for q in self.own + self.farms)

    def done(self):
        """What it has in hand is done."""
        if self.holding:
            self.hand.drop()
            self.idle()
            self.holding = False

    def get(self, queues, timeout, signals=True):
        """The next message of these queues, None when there is none for so many seconds (below 0: wait).
        The one before it counts as done. With signals, handlers of uWSGI's run meanwhile."""
        if os.getpid() != self.pid:
            raise RuntimeError("uwsgi: pid %d was forked by mule %d, which alone takes its messages" % (
                os.getpid(), self.number))
        self.done()
        if self.leaving:
            raise SystemExit(0)
        until = time.monotonic() + timeout
        waiting = poll()
        waiting.register(self.signalled, POLLIN)
        for queue in queues:
            waiting.register(queue.out, POLLIN)
        while True:
            if signals:
                self.inbox.run()
            self.holding = True  # a signal does not come between the queue and the hand
            message = self.take_left(queues)
            for queue in queues if message is None and self.left is None else ():
                message = self.take(queue)
                if message is not None:
                    break
            if message is not None:
                if self.settings["MuleHarakiri"]:
                    self.busy(self.settings["MuleHarakiri"] / 1e9)
                return message
            self.holding = False
            if self.leaving:
                raise SystemExit(0)
            left = until - time.monotonic() if timeout >= 0 else None
            if left is not None and left <= 0:
                return None
            if (self.signalled, POLLIN) in waiting.poll(None if left is None else left * 1000 + 1):
                self.wake()

    def work(self):
        mule = self.settings["Mules"][self.number - 1]
        program = mule["Program"]
        if program:
            try:
                start = find(program)
            except Unfit as exc:
                say("%smule %d: mule = %s: %s" % (place(mule["Origin"]), self.number, program, exc), ERROR)
                return 1
            start()
            return 0
        while True:
            message = self.get(self.own + self.farms, -1)
            hook = getattr(uwsgi, "mule_msg_hook", None)
            if not callable(hook):
                say("*** mule %d received a %d bytes message ***" % (self.number, len(message)))
                continue
            try:
                hook(message)
            except Exception:
                report(*sys.exc_info())
            self.returned()

    def depart(self, code):
        if code == 0:
            self.done()


class Locked:
    """A queue that nobody else takes from."""

    def __init__(self, mule, queue):
        self.file, self.at = mule.locks, queue.key

    def __enter__(self):
        fcntl.fcntl(self.file, fcntl.F_OFD_SETLKW, _flock.pack(fcntl.F_WRLCK, os.SEEK_SET, self.at, 1, 0))

    def __exit__(self, *exc):
        fcntl.fcntl(self.file, fcntl.F_OFD_SETLK, _flock.pack(fcntl.F_UNLCK, os.SEEK_SET, self.at, 1, 0))


class Unfit(Exception):
    """What a mule shall run is no program."""


def find(program):
    """What runs a mule's program: a file as __main__, or module:function(). Unfit: there is none."""
    module, colon, function = program.partition(":")
    if not colon or program.endswith(".py"):
        check(program)
        return lambda: run_file(program)
    try:
        target = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name and (module == exc.name or module.startswith(exc.name + ".")):
            raise Unfit("there is no module %s" % exc.name) from None
        raise
    for part in function.removesuffix("()").split("."):
        if not hasattr(target, part):
            raise Unfit("there is no %s in %s" % (part or "function", module))
        target = getattr(target, part)
    if not callable(target):
        raise Unfit("%s is no function" % function)
    return target


def check(path):
    """Unfit: a file cannot be read, or is no Python."""
    try:
        if not os.path.isdir(path):
            with open(path, "rb") as file:
                text = file.read()
            if path.endswith(".py"):  # else it may be a zip file
                compile(text, path, "exec", dont_inherit=True)
    except OSError as exc:
        raise Unfit(exc.strerror) from None
    except SyntaxError as exc:
        raise Unfit("line %s: %s" % (exc.lineno, exc.msg)) from None
    except ValueError as exc:  # null bytes
        raise Unfit(str(exc)) from None


def run_file(path):
    before = sys.modules["__main__"]
    runpy.run_path(path, run_name="__main__")
    sys.modules["__main__"] = before
