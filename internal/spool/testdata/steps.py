"""Puts or runs jobs of a folder and dies by SIGKILL before its Nth step on the disk:
steps.py put|run|fail|die FOLDER N (0: it does not die). "fail" has jobs fail, "die" die while they
run; a job that runs adds a line to FOLDER.ran."""

import os
import signal
import sys

import uwsgi
import uwsgi_spool
import uwsgi_spooler

what, folder, deadly = sys.argv[1], sys.argv[2], int(sys.argv[3])
steps = 0


def counted(do):
    def step(*args, **kwargs):
        global steps
        steps += 1
        if steps == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*args, **kwargs)

    return step


def job(given):
    fd = do["open"](folder + ".ran", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    do["write"](fd, b"%s %s\n" % (given[b"n"], given["body"]))
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "fail":
        raise ValueError("this job fails")
    return uwsgi.SPOOL_OK


def settle(fd, seconds):
    global done
    done = True


done = False
do = {name: getattr(os, name) for name in ("open", "write", "fsync", "rename", "unlink", "utime", "mkdir", "close")}
for name in do:
    setattr(os, name, counted(do[name]))
if what == "put":
    print(uwsgi_spool.Folder(folder).put({b"n": b"1"}, b"body").decode())
else:
    uwsgi.spooler = job
    uwsgi_spooler.LONGEST = 0  # no job is put off
    settings = {"Spoolers": [{"Dir": folder, "Processes": 1, "External": False}], "SpoolerFrequency": 10**9, "SpoolerQuiet": False,
        "SpoolerAttempts": int(sys.argv[4]) if len(sys.argv) > 4 else 25, "SpoolerMaxTasks": 0, "SpoolerHarakiri": 0,
        "SpoolerChdir": ""}
    uwsgi_spooler.Spooler(settings, uwsgi_spool.Spoolers(settings), 1, lambda: done, lambda seconds: None, settle).run()
print("ended")
