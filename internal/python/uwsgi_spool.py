"""Jobs of the spooler: uWSGI's folder and file format, so that both servers drain one folder.

A job is a file: a packet of the uwsgi protocol (modifier1 17) with the job's variables, then its
body. It may run once its time of modification has come, and whoever runs or writes it has a lock on
it (fcntl(2)), which goes with the process. Beside those files, under names that uWSGI passes over:

- ``.uwsgi_spooling_…``: a job that is being written. It gets its name when it is on the disk.
- ``.uwsgi_spoolfile_….attempts``: how often a job was begun, and how that ended (JSON); without the
  latter, and on a full disk, a link that leads nowhere, whose target is that text: it needs no
  block of its own.
- ``failed/``: jobs that are given up, and to each its ``.traceback``.
"""

import errno
import fcntl
import itertools
import json
import mmap
import os
import re
import stat
import struct
import time

import uwsgi
from uwsgi_inotify import Inotify
from uwsgi_report import WARNING, say

PREFIX, TEMPORARY, ATTEMPTS, FAILED, TRACEBACK = (
    "uwsgi_spoolfile_on_", ".uwsgi_spooling_", ".attempts", "failed", ".traceback")
MODIFIER, LARGEST = 17, 0xFFFF
TORN = 60  # seconds after which a file that is no whole job is not one that is still being written
DEEPEST = 8  # folders of priorities in one another
LARGE = 1 << 30  # bytes of a job that there may be no memory for
RECORD = 1 << 20  # bytes that are read of what is kept beside a job
STALE = 3600  # … after which what was being written is left from a process that has died
_flock = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux


class SpoolError(OSError, ValueError):
    """A job could not be put: it is not there, and will not run. uWSGI raises ValueError."""


class Backend:
    """Where the jobs of one spooler are: a folder, or what else knows these.

    The first methods are for whoever has work, the others for a process that does it.
    """

    def put(self, variables, body=None, at=0, priority=""):
        """Keep a job for good; its name, bytes. ``variables`` and ``body`` are bytes, ``at`` is when
        it may run (seconds since the epoch), ``priority`` digits: lower ones are first.
        SpoolError: it is not kept."""
        raise NotImplementedError

    def jobs(self):
        """The names of the jobs that wait or run, bytes."""
        raise NotImplementedError

    def get(self, name):
        """A job as spooler functions get it, None if there is none of that name."""
        raise NotImplementedError

    def open(self):
        """Begin to take jobs in this process. A descriptor that is readable when there may be a new
        one, or -1: who waits then asks every second."""
        raise NotImplementedError

    def rest(self):
        """Read what made the descriptor readable; whether there may be a new job."""
        raise NotImplementedError

    def due(self):
        """Yield each Job that may run now; it is this process's until its end is told."""
        raise NotImplementedError

    def next(self):
        """When the next job that due() passed over may run, seconds since the epoch; None."""
        raise NotImplementedError


class Job:
    """A job in hand. One of the last five methods ends that."""

    name = ""  # as logs show it, and the function gets it
    folder = None  # where the function shall run, None: anywhere
    variables, body = {}, b""
    attempts = 0  # how often it was begun before
    died = False  # the last of them did not end: its process died, or the machine

    def begin(self):
        """Count an attempt. It counts if this process dies, too."""
        raise NotImplementedError

    def done(self):
        """It is done: forget it."""
        raise NotImplementedError

    def leave(self):
        """Nobody has tried it: as before begin(), which was not called."""
        raise NotImplementedError

    def again(self):
        """It asks to be run again; that is no failure, and the next round's."""
        raise NotImplementedError

    def later(self, delay, why):
        """It failed: not before ``delay`` seconds again."""
        raise NotImplementedError

    def bury(self, why):
        """Give it up, and keep it beside the others for people to look at."""
        raise NotImplementedError

    def disown(self):
        """In a child that the process has forked: let go of what that has for it."""


def pack(variables):
    """The variables as the uwsgi protocol has them. ValueError: they are no bytes, or too long."""
    out = []
    for pair in variables.items():
        for part in pair:
            if not isinstance(part, bytes):
                raise ValueError("spooler callable dictionary must contains only bytes")
            if len(part) > LARGEST:
                raise ValueError("a spooler's arguments are limited to 64k: use body for what is larger")
            out += (struct.pack("<H", len(part)), part)
    data = b"".join(out)
    if len(data) > LARGEST:
        raise ValueError("a spooler's arguments are limited to 64k: use body for what is larger")
    return data


def unpack(data):
    """What pack() made. ValueError: it is something else."""
    variables, parts, at = {}, [], 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("a length is cut off")
        size = int.from_bytes(data[at:at + 2], "little")
        if at + 2 + size > len(data):
            raise ValueError("a string is cut off")
        parts.append(data[at + 2:at + 2 + size])
        at += 2 + size
    if len(parts) % 2:
        raise ValueError("a name has no value")
    variables.update(zip(parts[::2], parts[1::2]))
    return variables


def check(head):
    """ValueError: a file that begins with these bytes is no job."""
    if len(head) < 4:
        raise ValueError("the header is cut off")
    if head[0] != MODIFIER:
        raise ValueError("its header is not a job's: modifier1 is %d, not %d" % (head[0], MODIFIER))


def parse(data):
    """(variables, body) of a job's file. ValueError: it is no whole job."""
    check(data)
    end = 4 + int.from_bytes(data[1:3], "little")
    if end > len(data):
        raise ValueError("%d bytes of variables are announced, %d are there" % (end - 4, len(data) - 4))
    return unpack(data[4:end]), data[end:]


def arguments(variables, name, body):
    """What a spooler function is called with: two keys of it are str, as under uWSGI."""
    given = dict(variables)
    given["spooler_task_name"] = os.fsencode(name)
    if body:
        given["body"] = body
    return given


def lock(fd):
    """Lock a job's file for this open file, which others of this process can be opened and closed
    beside; False: somebody has it. uWSGI's lock is against this one, and this one against it."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def unlock(fd):
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))


def read_job(fd):
    """(variables, body) of an open file. ValueError: it is no whole job."""
    check(os.pread(fd, 4, 0))  # first: what is none may be of any size
    size = os.fstat(fd).st_size
    try:
        if size > LARGE:
            mmap.mmap(-1, size).close()  # the kernel says so before it has to end a process
        return parse(read_all(fd))
    except (MemoryError, OverflowError):
        pass
    except OSError as exc:
        if exc.errno != errno.ENOMEM:
            raise
    raise ValueError("there is no memory for its %d bytes" % size)


def read_all(fd):
    parts = []
    while True:
        part = os.read(fd, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def by_number(name):
    """Sorts names as versionsort(3): 9 before 10."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", name))]


def is_number(name):
    return name.isascii() and name.isdigit()


class Folder(Backend):
    counter = itertools.count(1)

    def __init__(self, path, sync=True):
        """``sync``: what is put outlives the machine, not only the processes."""
        self.path, self.sync = path, sync
        self.inotify = None
        self.soonest = None
        self.refused = set()  # names that were complained of

    def put(self, variables, body=None, at=0, priority=""):
        data = pack(variables)
        header = bytes((MODIFIER,)) + struct.pack("<H", len(data)) + b"\0"
        folder = os.path.join(self.path, priority) if priority else self.path
        now = time.time_ns() // 1000
        tail = "%s_%d_%d_%d_%d_%d" % (uwsgi.hostname.decode(errors="replace").replace("/", "_"), os.getpid(),
            next(self.counter), int.from_bytes(os.urandom(4), "little") >> 1, now // 1000000, now % 1000000)
        temporary, name = os.path.join(folder, TEMPORARY + tail), os.path.join(folder, PREFIX + tail)
        try:
            if priority:
                self._make(folder)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                lock(fd)
                write_all(fd, header + data + (body or b""))
                if at:
                    os.utime(fd, (at, at))
                if self.sync:
                    os.fsync(fd)
                unlock(fd)  # first: a spooler that is told of the name takes it at once
                os.rename(temporary, name)
                try:
                    if self.sync:
                        sync_folder(folder)
                except OSError:
                    if take_back(fd, name):
                        raise
            except BaseException:
                remove(temporary)
                raise
            finally:
                os.close(fd)
        except OSError as exc:
            raise SpoolError(exc.errno, "unable to spool job: %s" % exc.strerror, folder) from exc
        return os.fsencode(name)

    def _make(self, folder):
        try:
            os.mkdir(folder, 0o777)
        except FileExistsError:
            return
        if self.sync:
            sync_folder(self.path)

    def jobs(self):
        with os.scandir(self.path) as entries:
            return [os.fsencode(e.path) for e in entries if e.name.startswith(PREFIX) and os.access(e.path,
                os.R_OK | os.W_OK, follow_symlinks=False) and e.is_file(follow_symlinks=False)]

    def get(self, name):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            variables, body = read_job(fd)
            return arguments(variables, name, body)
        except (OSError, ValueError):
            return None
        finally:
            os.close(fd)

    def open(self):
        try:
            self.inotify = Inotify()
            self.inotify.watch(self.path)
        except OSError as exc:
            say("spooler %s: jobs are looked for every second: inotify: %s" % (self.path, exc.strerror), WARNING)
            self.inotify = None
            return -1
        return self.inotify.fd

    def rest(self):
        # no name: the kernel could not keep them all
        return any(not name or name.startswith(PREFIX) or is_number(name) for name in self.inotify.names())

    def due(self):
        self.soonest = None
        yield from self._round(self.path, DEEPEST)

    def next(self):
        return self.soonest

    def _round(self, folder, depth):
        try:
            if self.inotify:  # each time: it may be another folder of that name; and before the look
                self.inotify.watch(folder)
        except OSError as exc:
            self._soon(time.time() + 1)
            self._refuse(folder, exc, "what comes into %s is seen later: %s")
        try:
            names = os.listdir(folder)
        except OSError as exc:
            self._refuse(folder, exc, "cannot look into %s: %s")
            return
        for name in sorted(names, key=by_number):
            path = os.path.join(folder, name)
            if name.startswith(PREFIX):
                job = self._claim(folder, name)
                if job:
                    yield job
            elif is_number(name):
                if depth > 0 and is_folder(path):
                    yield from self._round(path, depth - 1)
            elif name.startswith(TEMPORARY):
                sweep(path)
            elif name.startswith("." + PREFIX):
                of = os.path.join(folder, name[1:].partition(ATTEMPTS)[0])
                if not os.path.lexists(of):  # another server has done it
                    remove(path)

    def _soon(self, when):
        if self.soonest is None or when < self.soonest:
            self.soonest = when

    def _claim(self, folder, name):
        """The job of that name, if it is one, may run and is nobody's."""
        path = os.path.join(folder, name)
        try:
            seen = os.lstat(path)
            if not stat.S_ISREG(seen.st_mode):
                return None
            if seen.st_mtime > time.time():
                self._soon(seen.st_mtime)
                return None
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            self._refuse(path, exc)
            return None
        job = None
        try:
            job = self._take(folder, name, fd)
        except OSError as exc:
            self._refuse(path, exc)
        finally:
            if job is None:
                os.close(fd)
        return job

    def _refuse(self, path, exc, what="cannot take %s: %s"):
        if path in self.refused or exc.errno == errno.ENOENT and path != self.path:  # another process has done it
            return
        self.refused.add(path)
        say("spooler: " + what % (path, exc.strerror), WARNING)

    def _take(self, folder, name, fd):
        path, now = os.path.join(folder, name), time.time()
        if not lock(fd):
            if os.fstat(fd).st_ctime > now - TORN:  # perhaps by an uWSGI that is writing it
                self._soon(now + 1)
            return None
        here, there = os.lstat(path), os.fstat(fd)
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino) or there.st_mtime > now:
            return None  # another process had it between our look and our lock
        try:
            variables, body = read_job(fd)
        except ValueError as exc:
            if there.st_ctime > now - TORN:  # an uWSGI that has not locked it yet
                self._soon(there.st_ctime + TORN)
                return None
            self.refused.discard(path)
            say("spooler: %s is no whole job (%s): it goes to %s/" % (path, exc, FAILED), WARNING)
            torn = Task(folder, name, os.dup(fd), {}, b"")
            try:
                torn.bury("It is no whole job: %s.\n" % exc)
            finally:
                torn.leave()
            return None
        return Task(folder, name, fd, variables, body)


class Task(Job):
    """A job in hand: its file, open and locked."""

    def __init__(self, folder, name, fd, variables, body):
        self.folder, self.name, self.fd = folder, name, fd
        self.path = os.path.join(folder, name)
        self.variables, self.body = variables, body
        self.record = os.path.join(folder, "." + name + ATTEMPTS)
        kept = read_record(self.record)
        self.attempts, self.died, self.why = kept["attempts"], kept["running"], kept["why"]

    def begin(self):
        self.attempts += 1
        self._note(True)

    def done(self):
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        except OSError:
            os.ftruncate(self.fd, 0)  # what is done does not run again
            raise
        remove(self.record)
        self._close()

    def leave(self):
        self._close()

    def again(self):
        remove(self.record)
        self._close()

    def later(self, delay, why):
        self.why = why
        self._note(False)
        when = time.time() + delay
        try:
            os.utime(self.fd, (when, when))
        except PermissionError:  # somebody else's file: the next round's, then
            pass
        self._close()

    def bury(self, why):
        failed = os.path.join(self.folder, FAILED)
        try:
            os.mkdir(failed, 0o700)
        except FileExistsError:
            pass
        there = os.open(failed, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fd = os.open(self.name + TRACEBACK, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o600, dir_fd=there)
            try:
                write_all(fd, why.encode(errors="replace"))
                os.fsync(fd)
            except OSError as exc:
                say("spooler: why %s is given up is kept in this log only: %s" % (self.path, exc.strerror), WARNING)
            finally:
                os.close(fd)
            os.rename(self.path, self.name, dst_dir_fd=there)
            os.fsync(there)
        finally:
            os.close(there)
        sync_folder(self.folder)
        remove(self.record)
        self._close()

    def _note(self, running):
        """Keep the count, whatever becomes of the machine. On a full disk, too: the job may be what
        makes room. Without a reason to keep it is a link, which is on the disk with its folder: to
        wait for the disk is most of what a short job takes."""
        kept = {"attempts": self.attempts, "running": running, "when": int(time.time()), "why": self.why[-16384:]}
        for write in (self._write, self._link) if self.why else (self._link, self._write):
            try:
                write(kept)
                os.rename(self.record + "~", self.record)
                sync_folder(self.folder)
                return
            except OSError as exc:
                remove(self.record + "~")
                failure = exc.strerror
        say("spooler: attempts of %s are not counted: %s" % (self.path, failure), WARNING)

    def _write(self, kept):
        fd = os.open(self.record + "~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, json.dumps(kept).encode())
            os.fsync(fd)
        finally:
            os.close(fd)

    def _link(self, kept):
        # short: ext4 keeps what has less than 60 bytes in the inode
        text = json.dumps(dict(kept, when=0, why=""), separators=(",", ":"))
        try:
            os.symlink(text, self.record + "~")
        except FileExistsError:  # a process that was writing it has died
            os.unlink(self.record + "~")
            os.symlink(text, self.record + "~")

    def disown(self):
        """In a child of the process that runs it: the lock is that process's alone."""
        self._close()

    def _close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def read_record(path):
    kept = {"attempts": 0, "running": False, "why": ""}
    try:
        read = json.loads(read_text(path))
        return {key: type(default)(read[key]) for key, default in kept.items()}
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):  # none, or somebody else's
        return kept


def read_text(path):
    """The text of a record: a file's, or where a link leads."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        return os.readlink(path)
    try:
        return os.read(fd, RECORD)
    finally:
        os.close(fd)


def take_back(fd, path):
    """Remove the job that fd is, which has its name; False: a spooler has it."""
    if not lock(fd):
        return False
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def is_folder(path):
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def sweep(path):
    """Remove what a process that has died was writing."""
    try:
        if os.lstat(path).st_ctime > time.time() - STALE:
            return
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if lock(fd):
            remove(path)
    except OSError:
        pass
    finally:
        os.close(fd)
