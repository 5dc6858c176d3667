"""The script of pyrun: worker 1 to itself, without a data plane, with the terminal and the streams of
who has called it. The instance ends with it."""

import os
import runpy
import signal
import sys
import threading

import uwsgi
import uwsgi_threads
from uwsgi_application import load_all
from uwsgi_attendant import Attendant
from uwsgi_interpreter import imports
from uwsgi_signals import ignore


streams = None  # the interpreter's own standard output and error


class Script(Attendant):
    kind = "worker"
    hooks = ("post-fork",)

    def __init__(self, parent, order, fds):
        super().__init__(parent, order, fds)
        uwsgi._worker(self.number)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = streams
        for signum, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL),
                (signal.SIGTSTP, signal.SIG_DFL)):
            if signal.getsignal(signum) is ignore:
                signal.signal(signum, usual)

    def load(self):
        """The application may have jobs and handlers; the script runs without it, too."""
        imports(self.settings)
        if self.settings["Apps"]:
            self.loaded = load_all(self.settings, False)
            self.loaded.tell()

    def work(self):
        path = self.settings["Pyrun"]
        try:
            run(path)
        except SystemExit:
            raise
        except BaseException as exc:
            self.ending = True  # what is told of it is not interrupted
            ours = exc.__traceback__.tb_next
            exc.__traceback__ = ours and ours.tb_next
            sys.excepthook(type(exc), exc, exc.__traceback__)
            return 128 + signal.SIGINT if isinstance(exc, KeyboardInterrupt) else 1
        return 0

    def returned(self):
        """A process that the script has forked ends as the script does."""

    def depart(self, code):
        if not uwsgi_threads.patched():  # greenlets of other threads would never end
            threading._shutdown()  # waits for threads that are not daemons


def run(path):
    """Run a file as an interpreter does: in the module __main__."""
    if os.path.isdir(path) or not path.endswith(".py"):  # it may be a zip file
        runpy.run_path(path, run_name="__main__")
        return
    main = sys.modules["__main__"]
    main.__file__, main.__builtins__ = path, __builtins__
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as exc:
        raise SystemExit("can't open file %r: [Errno %d] %s" % (path, exc.errno, exc.strerror))
    exec(compile(text, path, "exec", dont_inherit=True), main.__dict__)
