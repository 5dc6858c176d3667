"""The loader: imports the application once, unless each worker shall, and forks a worker when the
supervisor asks.

The wire is described in internal/loader/doc.go. Nothing of Go runs in this process: a Go runtime
does not survive fork(), so each worker starts the data plane after it.
"""

import errno
import faulthandler
import gc
import importlib.machinery
import os
import select
import signal
import sys
from posix import waitpid  # not what takes its place in os for greenlets

import uwsgi
import uwsgi_foreign
import uwsgi_gevent
import uwsgi_limits
import uwsgi_report
import uwsgi_threads
import uwsgi_unfit
from uwsgi_application import Loaded, load_all
from uwsgi_autoreload import note_imports
from uwsgi_interpreter import (Decorators, imports, prepare, set_comm, set_environment, set_main, set_output,
                               set_path, set_title, title)
from uwsgi_report import ERROR, WARNING, report, say
from uwsgi_signals import STACKS, hold
from uwsgi_wire import CONTROL, Belongings, Wire, read_boot
from uwsgi_worker import Library, Worker


class LoaderProcess:
    def __init__(self, boot, libdir):
        self.boot, self.settings, self.libdir = boot, boot["Settings"], libdir
        self.wire, self.pid = Wire(CONTROL), os.getpid()
        self.children = {}  # pid -> slot
        self.loaded, self.library = Loaded(), None
        self.quitting = False
        self.mules, self.kinds = None, {"": Worker}
        self.sigchld = signal.SIG_DFL  # the application's, for the workers
        self.locks = uwsgi_foreign.Locks()
        self.belongings = Belongings(boot, CONTROL)

    def boot_up(self):
        settings = self.settings
        uwsgi._wire, uwsgi._report = self.wire.sock, report
        lacking = uwsgi_gevent.prepare(settings)
        if lacking:
            self.loaded.error = lacking
            self.wire.send(self.loaded.failure())
            os._exit(self.loaded.code)
        try:
            prepare(self.boot, settings)
        except (OSError, ValueError) as exc:  # a file of sharedarea
            self.loaded.error = str(exc)
            self.wire.send(self.loaded.failure())
            os._exit(self.loaded.code)
        if self.boot["Lazy"]:
            self.ready([])
            return
        imports(settings)
        self.loaded = load_all(settings, self.boot["Again"])
        if not self.belongings.complete():
            say(self.belongings.lost, ERROR)
            os._exit(self.loaded.code)
        if not self.loaded.usable(settings):
            self.wire.send(self.loaded.failure())
            os._exit(self.loaded.code)
        self.ready(self.loaded.info)

    def ready(self, apps):
        for line in uwsgi_limits.short(self.settings):
            say(line, WARNING)
        uwsgi_limits.lift_address_space(self.settings)
        if not self.boot["Lazy"]:
            try:
                self.library = Library(self.libdir)
            except (OSError, ImportError):
                # the application has left no descriptor, say: a worker tries again, and tells
                pass
            gc.collect()
            if uwsgi_unfit.FREE_THREADED:
                uwsgi_threads.have_had_one()
            self.locks.freeze()
            gc.freeze()  # what is shared with the workers shall not be written to by their collectors
        uwsgi_limits.untether(CONTROL)  # orders come from here on
        threads = uwsgi_foreign.told(os.getpid())
        if threads:
            self.wire.send({"op": "log", "level": "warning", "message": threads})
        self.wire.send({"op": "loaded", "apps": apps, "python": sys.version.split()[0]})

    def run(self):
        self.sigchld = signal.getsignal(signal.SIGCHLD) or signal.SIG_DFL
        if self.sigchld is not signal.SIG_DFL:  # it would take the statuses of workers
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while not (self.quitting and not self.children):
            self.obey()
        os._exit(0)

    def obey(self):
        message, fds = self.wire.receive()
        if message is None:
            os._exit(0)
        if message["op"] == "fork":
            self.fork(message, fds)
            return
        if message["op"] == "quit":
            self.quitting = True
        if message["op"] == "reap":
            self.reap()
        for fd in fds:  # nothing else takes any
            os.close(fd)

    def fork(self, message, fds):
        slot, row = message["slot"], message["row"]
        try:
            sys.stdout.flush()
        except Exception:  # what the application has put in its place may be None, or have no flush()
            pass
        try:
            if not fds:
                raise OSError(errno.EMFILE, "no descriptor is left for it: the application holds "
                    "all that max-fd allows")
            pid = self.locks.fork()
        except OSError as exc:
            for fd in fds:
                os.close(fd)
            error = "fork: %s" % exc.strerror
            if exc.errno == errno.EAGAIN:
                error = uwsgi_limits.why_no_more("fork", self.boot["Settings"]["Threads"] or 1)
            self.wire.send({"op": "forkfailed", "slot": slot, "row": row, "error": error})
            return
        if pid == 0:
            code = 1
            try:
                code = self.kinds[message.get("kind", "")](self, message, fds).run()
            except BaseException:
                report(*sys.exc_info())
            finally:
                os._exit(code)
        self.children[pid] = slot
        for fd in fds:
            os.close(fd)
        self.wire.send({"op": "forked", "slot": slot, "row": row, "pid": pid})

    def reap(self):
        while self.children:
            try:
                pid, status = waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            slot = self.children.pop(pid, None)
            if uwsgi._spoolers:
                uwsgi._spoolers.board.depart(pid)
            if slot is not None:
                self.wire.send({"op": "exited", "slot": slot, "pid": pid, "status": status})


def close_on_exec(boot):
    for fd in range(CONTROL, 3 + 5 + len(boot["Listeners"] or ()) + 4 + len(boot["Areas"] or ())
            + 1 + 2 * len(boot["Queues"] or ()) + len(boot["Hands"] or ())):
        try:
            os.set_inheritable(fd, False)
        except OSError:
            pass


def step_aside(ours):
    """Leave sys.modules to the application: a module of its own may have the name of one of ours,
    which live on in one another."""
    for name in ours:
        if name != "uwsgi":
            sys.modules.pop(name, None)
    finders = sys.meta_path
    paths = (n for n, finder in enumerate(finders) if finder is importlib.machinery.PathFinder)
    finders.insert(next(paths, len(finders)), Decorators)


def main(libdir, ours):
    """Run the loader: ``libdir`` is where the worker library is, ``ours`` are the names of this
    program's modules."""
    boot = read_boot()
    settings = boot["Settings"]
    uwsgi_report.marked = boot["Marked"]
    close_on_exec(boot)
    hold()
    faulthandler.register(STACKS, file=2, all_threads=True)
    faulthandler.enable(file=2)  # before the data plane is loaded: cmd/uwsgi-worker/crash.c tells why
    set_comm()
    set_environment(boot)
    if settings["Pyrun"]:
        import uwsgi_script  # while it can be found

        uwsgi_script.streams = sys.stdout, sys.stderr
    set_output()
    uwsgi_limits.tether(CONTROL)
    uwsgi_limits.hold(settings)
    if boot["RedisFD"] >= 0:
        import uwsgi_redis  # while it can be found, and before select is patched

        uwsgi_redis.Connection.door = boot["RedisFD"]
    if settings["Cluster"]:
        import uwsgi_redis_cluster

        uwsgi._cluster = uwsgi_redis_cluster.Cluster(settings["Cluster"])
    remote = any(cache["URL"] for cache in settings["Caches"] or ())
    if settings["Spoolers"]:
        import uwsgi_spoolers  # while they can be found
        import uwsgi_spooler

        uwsgi._spoolers = uwsgi_spoolers.Spoolers(settings)
    if boot["Areas"] or remote:  # now: later no module of ours can be found
        import uwsgi_shared

        uwsgi._areas = uwsgi_shared.functions
        if remote:
            import uwsgi_cache
            import uwsgi_redis_cache

            uwsgi_cache.remote = uwsgi_redis_cache.Caches
    if settings["Mules"]:
        import uwsgi_mule  # while it can be found
    set_path(settings)
    step_aside(ours)
    set_main(settings)
    note_imports(settings)
    name = title(settings, "uWSGI loader")
    if name:
        set_title(name)
    say("Python version: %s" % sys.version.replace("\n", " "))
    loader = LoaderProcess(boot, libdir)
    if settings["Spoolers"]:
        uwsgi._spoolers.install()
        loader.kinds["spooler"] = uwsgi_spooler.Process
    if settings["Mules"]:
        loader.mules = uwsgi._mules = uwsgi_mule.Mules(boot)
        loader.kinds["mule"] = uwsgi_mule.Mule
    if settings["Pyrun"]:
        loader.kinds["script"] = uwsgi_script.Script
    loader.boot_up()
    loader.run()
