"""A worker: the data plane, started after the fork, and the threads that run the application."""

import faulthandler
import functools
import importlib.util
import io
import os
import random
import signal
import sys
import threading

import uwsgi
import uwsgi_asgi
import uwsgi_gevent
import uwsgi_hooks
import uwsgi_limits
import uwsgi_threads
import uwsgi_unfit
import uwsgi_warmup
import uwsgi_websocket
from uwsgi_application import is_exclusive, load_all
from uwsgi_autoreload import watch_modules
from uwsgi_children import guard_forks, returned
from uwsgi_interpreter import at_exit, imports, set_title, title
from uwsgi_report import ERROR, WARNING, emit, placed, report, reporter, say
from uwsgi_signals import STACKS, Signals, wakeup
from uwsgi_wire import BOOT, Belongings, Wire


LONGEST_TRACE = 9000  # characters of a traceback: a packet has room for so many, of any kind
NO_APP = 22  # the exit status of who has no application that can serve


class Worker:
    def __init__(self, parent, order, fds):
        self.boot, self.settings, self.libdir = parent.boot, parent.settings, parent.libdir
        self.loaded, self.library = parent.loaded, parent.library
        self.slot, self.row, self.first, self.again = order["slot"], order["row"], order.get(
            "first"), order.get("again")
        self.trial = order.get("trial")
        self.sigchld = parent.sigchld
        self.control = fds[0]
        uwsgi._wire = None
        parent.wire.sock.close()
        if len(fds) > 1:
            os.dup2(fds[1], 2)
            if not os.isatty(1):
                os.dup2(fds[1], 1)
            os.close(fds[1])

    def incapable(self, why, code=1, exclusive=False, trace=""):
        """Tell the supervisor why this worker cannot serve; what to exit with. It writes trace into
        the log, once for all workers."""
        Wire(os.dup(self.control)).send({"op": "failed", "error": why, "exclusive": exclusive, "code": code,
            "trace": trace[-LONGEST_TRACE:]})
        return code

    def run(self):
        settings = self.settings
        if self.sigchld is not signal.SIG_DFL:
            signal.signal(signal.SIGCHLD, self.sigchld)
        faulthandler.register(STACKS, file=2, all_threads=True)
        random.seed()
        uwsgi_gevent.renew()
        threads = settings["Threads"] or 1
        if self.imports_as_first():
            uwsgi._import_here()
        else:
            uwsgi._worker(self.slot)
        name = title(settings, "uWSGI worker %d" % self.slot)
        if name:
            set_title(name)
        threading.current_thread().name = "uWSGIWorker%dCore0" % self.slot
        if self.boot["Lazy"]:
            # now: the application may leave no descriptor
            belongings, wire = Belongings(self.boot, self.control), Wire(os.dup(self.control))
            uwsgi_limits.tether(self.control)
            uwsgi._wire = wire.sock
            imports(settings)
            self.loaded = load_all(settings, self.again)
            uwsgi._worker(self.slot)
            if not belongings.complete():
                say(belongings.lost, ERROR)
                return self.loaded.code
            if not self.loaded.usable(settings):
                wire.send(self.loaded.failure())
                return self.loaded.code
            try:
                os.close(os.dup(self.control))
            except OSError:
                wire.send({"op": "failed", "error": "no descriptor is left for it: the application holds all that "
                    "max-fd allows", "exclusive": False, "code": 1})
                return 1
            uwsgi_limits.untether(self.control)
            wire.send({"op": "loaded", "apps": self.loaded.info})
            uwsgi._wire = None
            wire.sock.close()
        uwsgi_limits.raise_descriptors(settings)
        uwsgi_limits.make_room(self.control)
        self.place()
        for line in uwsgi_limits.cramped():
            say(line, WARNING)
        looped, cores, exchanges, kinds = self.loaded.looped, threads, 0, self.loaded.kinds
        if settings["Gevent"]:
            cores, exchanges, kinds = 1, settings["Gevent"], ["greenlet"] * len(kinds)
        elif looped:  # this thread has the loop, others what there is of WSGI
            cores, exchanges = threads + 1 if "wsgi" in kinds else 1, settings["AsgiConcurrency"]
        lacking = uwsgi_limits.crowded(cores)
        if lacking:
            return self.incapable(lacking)
        library = self.library or Library(self.libdir)
        _uwsgi = library.module
        before = uwsgi._statm()[1]
        base = self.base_environ(threads)
        # The data plane's own threads shall not take the application's signals.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        _uwsgi.start(BOOT, self.control, self.slot, self.row, cores, self.loaded.apps, self.loaded.mounts,
            reporter(settings, _uwsgi), FileWrapper if settings["FileWrapper"] else None, base, io.BytesIO, open_body,
            exchanges, kinds)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        overhead = library.size + uwsgi_limits.RESERVED + max(0, uwsgi._statm()[1] - before)
        _uwsgi.address_space(overhead)
        _uwsgi.offer_sockets(uwsgi_websocket.offerer(settings))
        uwsgi_limits.hold_address_space(settings, overhead)
        uwsgi._attach(_uwsgi, overhead, [id(app) for app in self.loaded.apps])
        os.close(BOOT)
        signalled, writer = wakeup()
        guard_forks(_uwsgi, _uwsgi.descriptors() + [signalled, writer])
        uwsgi._returned = functools.partial(returned, os.getpid(), "worker %d" % self.slot)
        self.hooks("post-fork")
        uwsgi._post_fork()
        if callable(getattr(uwsgi, "after_req_hook", None)):
            _uwsgi.after_request(uwsgi.after_req_hook)
        if settings["Chdir2"]:
            try:
                os.chdir(settings["Chdir2"])
            except OSError as exc:
                say("%s: %s" % (placed(settings, "chdir2", settings["Chdir2"]), exc.strerror), ERROR)
                os._exit(1)
        signals = Signals(self.slot, _uwsgi, lambda: at_exit(settings))
        signals.take()
        watch_modules(settings, _uwsgi)
        server = None
        if settings["Gevent"]:
            server = uwsgi_gevent.Server(settings, self.slot, _uwsgi)
        elif looped:
            server = uwsgi_asgi.Server(settings, self.loaded, _uwsgi)
            failed = server.startup()
            if failed:
                code = self.incapable("%s: %s" % (failed.label, failed.failure), failed.code,
                    is_exclusive(failed.exception))
                server.shutdown()
                return code
        if settings["Warmup"] and self.loaded.apps:
            failed = self.warm_up(server, base)
            if failed:
                if server:
                    server.shutdown()
                return failed
        if server:
            uwsgi.loop = server.name.encode()
            server.begin(signalled)
        # No daemons: the threads that a request starts inherit that, and shall be alike whichever
        # core it runs on.
        pool = [uwsgi_threads.thread(serve, (_uwsgi, i), "uWSGIWorker%dCore%d" % (self.slot, i))
            for i in range(1, cores)]
        uwsgi_threads.hub()
        for thread in pool:
            thread.start()
        self.hooks("accepting", "accepting1", *(("accepting-once", "accepting1-once") if self.first else ()))
        _uwsgi.ready()
        if server:
            server.serve()
        else:
            _uwsgi.watch_signals(signalled)
            _uwsgi.run(0)
        for thread in pool:
            thread.join()
        if server:
            server.shutdown()
        self.leave()
        return _uwsgi.exit_code() or signals.exit_code

    def warm_up(self, server, base):
        """Answer the requests of warmup; what to exit with where that has failed, else 0. What a
        generation in force cannot answer now, it could when it came: its worker serves."""
        def late(reason):
            os._exit(self.incapable(reason, NO_APP))

        def answered(line):
            if self.slot == 1 and self.trial:  # of the others it is the same
                say(line)

        warmup = uwsgi_warmup.Warmup(self.settings, self.loaded, base, uwsgi.version.decode())
        failed = warmup.run(server, answered, late)
        if failed and self.trial:
            return self.incapable(failed, NO_APP, trace=warmup.trace)
        if failed:
            emit(warmup.trace)
            say("%s; worker %d serves all the same" % (failed, self.slot), WARNING)
        return 0

    def imports_as_first(self):
        """Without a master the first worker is, as under uWSGI, what imports the application, and
        then gets its number."""
        return self.boot["Lazy"] and not self.settings["LazyApps"] and self.slot == 1

    def hooks(self, *phases):
        try:
            uwsgi_hooks.run(self.settings, self.slot, *phases)
        except ValueError as exc:
            say("FATAL hook failed in worker %d (%s): %s" % (self.slot, phases[0], exc), ERROR)
            os._exit(1)

    def place(self):
        """What cpu-affinity, thread-stacksize and never-swap ask for."""
        settings = self.settings
        if settings["CPUAffinity"]:
            cpus = sorted(os.sched_getaffinity(0))
            first = (self.slot - 1) * settings["CPUAffinity"]
            os.sched_setaffinity(0, {cpus[(first + i) % len(cpus)] for i in range(settings["CPUAffinity"])})
        if settings["ThreadStackSize"]:
            threading.stack_size(settings["ThreadStackSize"])
        if settings["NeverSwap"]:
            import ctypes

            if ctypes.CDLL(None, use_errno=True).mlockall(1 | 2):  # MCL_CURRENT | MCL_FUTURE
                say("never-swap: mlockall: %s" % os.strerror(ctypes.get_errno()), WARNING)

    def base_environ(self, threads):
        base = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr or sys.__stderr__,
            "wsgi.multithread": threads > 1,
            "wsgi.multiprocess": self.settings["Processes"] > 1,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "uwsgi.version": uwsgi.version,
            "uwsgi.node": uwsgi.hostname,
        }
        if self.settings["FileWrapper"]:
            base["wsgi.file_wrapper"] = FileWrapper
        return base

    def leave(self):
        """End as an interpreter does; the supervisor's mercy bounds how long threads may take."""
        # greenlets of other threads would never end
        join = None if uwsgi_threads.patched() else threading._shutdown  # waits for threads that are not daemons
        at_exit(self.settings, join)


class Library:
    """The data plane's library, loaded; nothing of it runs before ``module.start``. ``size`` is the
    address space it takes, in bytes.

    The loader does that after the application, whose signal handlers the library takes over, and
    before it forks: the workers share what the dynamic linker writes. With lazy-apps a worker does.
    """

    def __init__(self, libdir):
        before = uwsgi._statm()[1]
        spec = importlib.util.spec_from_file_location("_uwsgi", uwsgi_unfit.library("_uwsgi", libdir))
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.size = uwsgi._statm()[1] - before


class FileWrapper:
    """wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling").

    ``filelike`` needs a read(size) method; blocks are ``blksize`` bytes. The data plane recognises
    it and uses sendfile(2) where filelike.fileno() is a regular file.
    """

    def __init__(self, filelike, blksize=65536):
        if not hasattr(filelike, "read"):
            raise AttributeError("object has no attribute 'read'")
        self.filelike = filelike
        self.blksize = blksize if isinstance(blksize, int) and blksize > 0 else 65536
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.blksize)
        if data:
            return data
        raise StopIteration


def open_body(fd):
    """wsgi.input over the temporary file of a large body; it owns fd."""
    return open(fd, "rb")


def serve(_uwsgi, core):
    try:
        _uwsgi.run(core)
    except BaseException:
        report(*sys.exc_info())
