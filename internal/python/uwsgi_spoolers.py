"""What every process of an instance knows of its spoolers: where they are, and the functions of the
uwsgi module that put jobs and ask about them."""

import mmap
import os

import uwsgi
from uwsgi_report import say
from uwsgi_spool import Folder, pack


def backend(where, settings):
    """The Backend of what the option spooler names."""
    if "://" in where:
        import uwsgi_redis_spool

        return uwsgi_redis_spool.Stream(where, settings["SpoolerFrequency"] // 1000000000)
    return Folder(where, settings["SpoolerSync"])


class Board:
    """What the spooler's processes and all others of a generation share: a page, made before the
    fork. A word each: the frequency that set_spooler_frequency() asks for, then the processes'
    ids."""

    def __init__(self, count):
        self.memory = memoryview(mmap.mmap(-1, 4 * (1 + count))).cast("I")

    frequency = property(lambda self: self.memory[0])

    def set_frequency(self, seconds):
        self.memory[0] = seconds

    def arrive(self, number, pid):
        self.memory[number] = pid

    def depart(self, pid):
        """That process is gone, perhaps one of these."""
        for number, there in enumerate(self.pids(), 1):
            if there == pid:
                self.memory[number] = 0

    def pids(self):
        return list(self.memory[1:])


class Spoolers:
    """The spoolers of this instance, and the functions of the uwsgi module that they bring."""

    def __init__(self, settings):
        self.settings = settings["Spoolers"]
        self.quiet = settings["SpoolerQuiet"]
        self.backends = {s["Dir"]: backend(s["Dir"], settings)
            for s in self.settings}
        # uWSGI counts a spooler for each process, one without processes (external) as so many
        self.dirs = [s["Dir"] for s in self.settings for _ in range(s["Processes"])]
        # those that run here, counted from 1, in the order of the supervisor's numbers for them
        external = {s["Dir"] for s in self.settings if s["External"]}
        self.numbers = [i + 1 for i, d in enumerate(self.dirs) if d not in external]
        self.board = Board(len(self.dirs))
        self.first = self.backends[self.settings[0]["Dir"]]

    def install(self):
        uwsgi.spoolers = tuple(os.fsencode(d) for d in self.dirs)
        for name in ("spool", "spooler_jobs", "spooler_get_task", "spooler_pid", "spooler_pids",
                "set_spooler_frequency"):
            setattr(uwsgi, name, getattr(self, name))
        uwsgi.send_to_spooler = self.spool

    def spool(self, *args, **kwargs):
        """Put a job: a dict of bytes, or keywords. Its name, bytes. Of the keys b"spooler" names
        the folder, b"at" when it may run (seconds since the epoch), b"priority" a number, lower
        ones are first, and b"body" is apart from the 64 KiB that the others may have together; it
        is taken out of the dict. ValueError: it is not put."""
        variables = args[0] if args else kwargs
        if not isinstance(variables, dict) or not args and not kwargs:
            raise ValueError("The argument of spooler callable must be a dictionary")
        body = variables.get(b"body")
        if body is not None and not isinstance(body, bytes):
            raise ValueError("spooler callable dictionary must contains only bytes")
        rest = {key: value for key, value in variables.items() if key != b"body"}
        pack(rest)
        at = moment(rest.get(b"at"))
        priority = rest.get(b"priority", b"")
        if priority and not priority.isdigit():
            raise ValueError("unable to spool job: a priority is a number, not %r" % priority)
        where = self.first
        if rest.get(b"spooler"):
            where = self.backends.get(os.fsdecode(rest[b"spooler"]))
            if where is None:
                raise ValueError("unable to spool job: there is no spooler %r" % rest[b"spooler"])
        name = where.put(rest, body, at, priority.decode())
        variables.pop(b"body", None)
        if not self.quiet:
            say("[spooler] written %d bytes to file %s" % (
                4 + sum(4 + len(k) + len(v) for k, v in rest.items()) + len(body or b""), os.fsdecode(name)))
        return name

    def spooler_jobs(self):
        """The jobs of the first spooler, a list of their names, bytes."""
        return self.first.jobs()

    def spooler_get_task(self, name):
        """A job as the spooler function gets it, None if it is not there."""
        return self.first.get(os.fsdecode(name))

    def spooler_pid(self):
        """The process id of the first spooler process, 0 while there is none."""
        return self.board.pids()[0]

    def spooler_pids(self):
        """Those of all, 0 for folders that another instance serves."""
        return self.board.pids()

    def set_spooler_frequency(self, seconds):
        """How often the spoolers look for jobs, in seconds, until the next reload; True."""
        if not isinstance(seconds, int):
            raise TypeError("'%s' object cannot be interpreted as an integer" % type(seconds).__name__)
        self.board.set_frequency(max(0, min(seconds, 0xFFFFFFFF)))
        return True


def moment(at):
    """What b"at" says, seconds since the epoch; 0: at once."""
    if not at:
        return 0
    try:
        seconds = float(at)
        if not 0 <= seconds < 1 << 33:
            raise ValueError
    except ValueError:
        raise ValueError("unable to spool job: at is seconds since the epoch, not %r" % at) from None
    return seconds
