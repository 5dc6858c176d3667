"""Puts and runs jobs of folders in processes that die by SIGKILL. A line of standard input is one
process: [what, folder, step, attempts], JSON. It dies before that step on the disk (0: it does not)
and is answered by {"killed": whether it did, "code": its exit status, "out": what it wrote}.

What: put, puts (until it cannot), run, fail (jobs fail), die (jobs kill their process), gone (jobs
remove their file), stay (nothing can be removed), back (the clock is set back an hour meanwhile: prints
for how long it would have slept then, in seconds).
A job that runs adds a line to FOLDER.ran: where it runs beside itself it is "twice", where its
attempt is not on the disk "uncounted", where more than one wait for the disk was needed for that
"slow"."""

import contextlib
import errno
import json
import os
import signal
import sys
import time
import traceback

import uwsgi
import uwsgi_spool
import uwsgi_spoolers
import uwsgi_spooler

STEPS = "open", "write", "fsync", "symlink", "rename", "unlink", "utime", "mkdir", "close"
plain = {name: getattr(os, name) for name in STEPS}


class Process:
    def __init__(self, what, folder, deadly, attempts):
        self.what, self.folder, self.deadly, self.steps, self.rounds = what, folder, deadly, 0, 0
        self.synced = self.waits = 0
        self.settings = {"Spoolers": [{"Dir": folder, "Processes": 1, "External": False}], "SpoolerQuiet": True,
            "SpoolerFrequency": 10**9, "SpoolerAttempts": attempts, "SpoolerMaxTasks": 0, "SpoolerHarakiri": 0,
            "SpoolerChdir": "", "SpoolerSync": True}
        for name in STEPS:
            setattr(os, name, self.counted(name, plain[name]))

    def counted(self, name, do):
        def step(*args, **kwargs):
            self.steps += 1
            self.synced += name == "fsync"
            self.waits += name == "fsync"
            if name == "symlink":  # it is on the disk with its folder, which is what is synced next
                self.synced = 1
            if self.steps == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            return do(*args, **kwargs)

        return step

    def run(self):
        spoolers = uwsgi_spoolers.Spoolers(self.settings)
        if self.what == "put":
            print(spoolers.first.put({b"n": b"1"}, b"body", 1, "3").decode())
        elif self.what == "puts":
            while True:
                print(spoolers.spool({b"n": b"1", b"body": b"body" + b" " * 5000}).decode(), flush=True)
        else:
            uwsgi.spooler = self.job
            uwsgi_spooler.LONGEST = 0  # no job is put off
            uwsgi_spool.TORN = 0  # nobody writes
            if self.what == "stay":
                os.unlink = self.refuse
            uwsgi_spooler.Spooler(self.settings, spoolers, 1, self).run()

    def handle(self):
        pass

    def refuse(self, path):
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    def leaves(self):
        return self.rounds >= (2 if self.what == "back" else 1)

    def wait(self, fd, seconds):
        self.rounds += 1
        if self.what == "back" and self.rounds == 1:
            now = time.time
            time.time = lambda: now() - 3600
        elif self.what == "back":
            print(int(seconds))

    def begin(self):
        pass

    end = returned = begin

    def job(self, given):
        mark = self.folder + "." + given["spooler_task_name"].decode()
        try:
            plain["close"](plain["open"](mark, os.O_CREAT | os.O_EXCL))
            how = b""
        except FileExistsError:
            how = b"twice "
        if self.synced < 2:  # the count, and its name
            how += b"uncounted "
        if self.what == "run" and self.waits > 1:
            how += b"slow "
        self.synced = self.waits = 0
        fd = plain["open"](self.folder + ".ran", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        plain["write"](fd, how + b"%s %s\n" % (given[b"n"], given["body"].strip()))
        plain["close"](fd)
        plain["unlink"](mark)
        if self.what == "gone":
            plain["unlink"](os.path.join(self.folder, "3", given["spooler_task_name"].decode()))
        if self.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "fail":
            raise ValueError("this job fails")
        return uwsgi.SPOOL_OK


for line in sys.stdin:
    output = os.memfd_create("output", os.MFD_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.dup2(output, 1)
            os.dup2(output, 2)
            Process(*json.loads(line)).run()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    with open(output, "rb") as file:
        file.seek(0)
        out = file.read().decode()
    print(json.dumps({"killed": os.WIFSIGNALED(status), "code": os.waitstatus_to_exitcode(status), "out": out}),
        flush=True)
