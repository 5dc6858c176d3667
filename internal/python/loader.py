"""The loader: imports the application once, single-threaded, and forks a worker when the supervisor asks.

Started by the supervisor as ``<python> loader.py <libdir>``; the wire is described in internal/loader/doc.go. Nothing of Go is in
this process: a Go runtime does not survive fork(), so the data plane is loaded in each worker, after it.
"""

import faulthandler
import gc
import importlib
import importlib.machinery
import importlib.util
import io
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
import types

CONTROL, BOOT = 3, 4
STACKS = signal.SIGRTMIN + 5  # the supervisor asks for every thread's stack with it


def read_boot():
    """The boot.Boot that the supervisor left in descriptor 4."""
    size = os.fstat(BOOT).st_size
    data = b""
    while len(data) < size:
        piece = os.pread(BOOT, size - len(data), len(data))
        if not piece:
            break
        data += piece
    return json.loads(data)


class Wire:
    """One end of a SOCK_SEQPACKET pair: a JSON object a packet, descriptors beside it."""

    def __init__(self, fd):
        self.sock = socket.socket(fileno=fd)
        self.sock.setblocking(True)

    def send(self, message, *fds):
        data = json.dumps(message).encode()
        if len(data) > 60000:
            message["error"] = message.get("error", "")[:20000]
            data = json.dumps(message).encode()
        try:
            if fds:
                socket.send_fds(self.sock, [data], fds)
            else:
                self.sock.send(data)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)

    def receive(self):
        """(message, descriptors), or (None, []) when the peer is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, 4)
        except ConnectionResetError:  # it went with messages of ours unread
            return None, []
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds passes no flags on, MSG_CMSG_CLOEXEC among them
        if not data:
            return None, []
        return json.loads(data), list(fds)


def ignore(signum, frame):
    """The supervisor decides when to end; a handler, unlike SIG_IGN, is gone after exec()."""


def set_comm(name="uwsgi"):
    """The process name that ps and pkill match."""
    try:
        with open("/proc/self/comm", "w") as f:
            f.write(name)
    except OSError:
        pass


def set_title(text):
    """Overwrite the argument area (proc(5)), which is what ps shows."""
    try:
        with open("/proc/self/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        data = text.encode()[: end - start - 1]
        with open("/proc/self/mem", "r+b", buffering=0) as mem:
            mem.seek(start)
            mem.write(data + b"\0" * (end - start - len(data)))
    except (OSError, ValueError, IndexError):
        pass


def title(settings, what):
    """The process title that the procname options ask for, None when they ask for none."""
    if not settings.get("ProcnameAuto"):
        return None
    return settings["ProcnamePrefix"] + (settings["Procname"] or what) + settings["ProcnameAppend"]


def report(kind, value, tb):
    """Print an exception in one write, so that neither a log nor a pipe tears it apart."""
    try:
        text = "".join(traceback.format_exception(kind, value, tb))
    except Exception:  # a broken __str__ or __repr__ of the application's own
        text = "Traceback (most recent call last):\n  (not printable)\n%s\n" % getattr(kind, "__name__", kind)
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:
        pass


def reporter(settings, _uwsgi):
    """report for exceptions in a request: with reload-on-exception and its kind the worker asks to be replaced, too."""
    names, values, reprs = (set(settings[k] or ()) for k in ("ReloadOnExceptionOf", "ReloadOnExceptionValue", "ReloadOnExceptionRepr"))
    if not (settings["ReloadOnException"] or names or values or reprs):
        return report

    def report_and_recycle(kind, value, tb):
        report(kind, value, tb)
        text = "%s: %s" % (kind.__name__, value)
        if settings["ReloadOnException"] or kind.__name__ in names or str(value) in values or text in reprs:
            say("... monitored exception detected, respawning worker (pid: %d)..." % os.getpid())
            _uwsgi.tell("recycle", "exception")

    return report_and_recycle


def say(text):
    """A line in the server's log."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except Exception:
        pass


class FileWrapper:
    """wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling").

    ``filelike`` needs a read(size) method; blocks are ``blksize`` bytes. The data plane recognises it and uses sendfile(2) where
    filelike.fileno() is a regular file.
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


# --- the application ---


class NoApplication(Exception):
    """An application source that gives no application."""


def import_path(path, name):
    """Run the Python file at path as module ``name``; the module."""
    if os.path.isdir(path):
        path = os.path.join(path, "__init__.py")
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def import_any(what):
    """Import a module by name, or by path when it looks like one."""
    if "/" in what or what.endswith(".py"):
        name = os.path.basename(what).rpartition(".")[0] or os.path.basename(what)
        return sys.modules.get(name) or import_path(what, name)
    return importlib.import_module(what)


def pick(module, name):
    """The callable of that name; ``name()`` is called once and gives it (an application factory)."""
    factory = name.endswith(")")
    if factory:
        value = eval(compile(name, "<callable>", "eval"), dict(vars(module)))
    else:
        value = module
        for part in name.split("."):
            if not hasattr(value, part):
                raise NoApplication('unable to find "%s" callable in %s' % (name, getattr(module, "__file__", None) or module.__name__))
            value = getattr(value, part)
    if not callable(value):
        raise NoApplication('"%s" of %s is no WSGI application: %r is not callable' % (name, module.__name__, type(value).__name__))
    return value


def paste_app(uri, settings):
    from paste.deploy import loadapp

    if ":" not in uri.partition("/")[0]:
        uri = "config:" + os.path.abspath(uri)
    if settings.get("PasteLogger"):
        from logging.config import fileConfig

        path = os.path.abspath(uri.partition(":")[2].partition("#")[0])
        fileConfig(path, {"__file__": path, "here": os.path.dirname(path)})
    return loadapp(uri, name=settings.get("PasteName") or None)


def load(app, settings):
    """The callable that one option.App names."""
    default = settings["Callable"] or "application"
    kind, value = app["Kind"], app["Value"]
    if kind == "module":
        name, _, call = value.partition(":")
        return pick(importlib.import_module(name), call or default)
    if kind == "file":
        path, _, call = value, "", ""
        if not os.path.exists(path) and ":" in path:
            path, _, call = path.rpartition(":")
        stem = path[:-3] if path.endswith(".py") else path
        name = "uwsgi_file_" + stem.replace("/", "_").replace(".", "_")
        if not os.path.exists(path):
            raise NoApplication("failed to open python file %s" % path)
        return pick(import_path(path, name), call or default)
    if kind in ("paste", "ini-paste"):
        return paste_app(value, settings)
    if kind == "eval":
        module = types.ModuleType("uwsgi_eval_config")
        exec(compile(value, "<eval>", "exec"), vars(module))
        return pick(module, default)
    raise NoApplication("unknown kind of application %r" % kind)


def report_loading():
    """Print the exception of a failed load without the frames of the loader and of the import system above the application's."""
    kind, value, tb = sys.exc_info()
    shown = tb
    while shown is not None and (shown.tb_frame.f_code.co_filename == __file__ or "importlib" in shown.tb_frame.f_code.co_filename):
        shown = shown.tb_next
    report(kind, value.with_traceback(shown), shown)


def is_exclusive(exc):
    """Whether loading failed on something that only one process can hold at a time: a lock, an address, a port."""
    import errno

    seen = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        if isinstance(exc, OSError) and exc.errno in (errno.EADDRINUSE, errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            if exc.errno != errno.EACCES or "lock" in str(exc).lower():
                return True
        if type(exc).__name__ in ("LockError", "LockTimeout", "AlreadyLocked", "LockFailed"):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


class Loaded:
    """The applications by index, with their mount points and how loading them went."""

    def __init__(self):
        self.apps, self.mounts, self.info, self.error, self.exclusive, self.code = [], [], [], "", False, 22


def load_all(settings):
    """Load every application; several without a mount point are tried in turn until one gives an application."""
    done = Loaded()
    sources = settings["Apps"] or []
    for app in sources:
        mount = app["Mount"]
        if mount in done.mounts:
            if mount:
                say("mountpoint %s already configured. skip." % mount)
            continue
        if mount:
            say("mounting %s on %s" % (app["Value"], mount))
        start = time.monotonic()
        try:
            call = load(app, settings)
        except SystemExit as exc:
            report_loading()
            done.error = "%s called exit(%s) while it was imported" % (app["Value"], exc.code)
            if isinstance(exc.code, int) and exc.code:
                done.code = exc.code
            continue
        except NoApplication as exc:
            say(str(exc))
            done.error = str(exc)
        except BaseException as exc:
            report_loading()
            done.error = "%s: %s" % (type(exc).__name__, exc)
            done.exclusive = done.exclusive or is_exclusive(exc)
        else:
            seconds = time.monotonic() - start
            index = len(done.apps)
            done.apps.append(call)
            done.mounts.append(mount)
            done.info.append({"mount": mount, "seconds": round(seconds, 3), "source": app["Value"]})
            say("WSGI app %d (mountpoint='%s') ready in %d seconds on interpreter 0x%x pid: %d%s"
                % (index, mount, int(seconds), id(sys.modules), os.getpid(), " (default app)" if index == 0 else ""))
            continue
        say("unable to load app %d (mountpoint='%s') (callable not found or import error)" % (len(done.apps), mount))
    return done


# --- the interpreter, as the application expects it ---


def set_environment(boot):
    for name in boot.get("Unsetenv") or ():
        os.environ.pop(name, None)
    for name, value in (boot.get("Setenv") or {}).items():
        os.environ[name] = value
    os.environ["UWSGI_RELOADS"] = str(boot["Reloads"])


def set_path(settings):
    import glob

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]
    sys.path.insert(0, ".")
    for pattern in settings["PythonPath"] or ():
        hits = sorted(glob.glob(pattern)) or [pattern]
        for hit in hits:
            sys.path.insert(0, hit)
            say("added %s to pythonpath." % hit)
    sys.path_importer_cache.clear()


def set_main(settings):
    """An empty __main__: the application must not see the loader's names, nor multiprocessing import the loader again."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = ["uwsgi"] + list(settings["PyArgv"] or ())
    if settings.get("PyExecutable"):
        sys.executable = settings["PyExecutable"]


def set_output():
    """print() goes where uWSGI's goes, a line in one write, and no character of the application's can make it fail.

    There is no BufferedWriter below: it refuses a signal handler's print() while another one is at it.
    """

    def stream():
        return io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True)

    sys.stderr = sys.__stderr__ = stream()
    if os.isatty(1):
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    else:
        sys.stdout = stream()
    sys.__stdout__ = sys.stdout


def prepare(boot, settings):
    import uwsgi

    uwsgi._boot(boot)
    for spec in settings["PyModuleAlias"] or ():
        name, _, target = spec.partition("=")
        try:
            sys.modules[name] = import_any(target)
        except Exception:
            report(*sys.exc_info())
    for what in list(settings["SharedImports"] or ()):
        try:
            import_any(what)
        except Exception:
            report(*sys.exc_info())


def imports(settings):
    for what in settings["Imports"] or ():
        try:
            import_any(what)
        except Exception:
            report(*sys.exc_info())


# --- the loader's loop ---


class LoaderProcess:
    def __init__(self, boot, libdir):
        self.boot, self.settings, self.libdir = boot, boot["Settings"], libdir
        self.wire = Wire(CONTROL)
        self.children = {}  # pid -> slot
        self.loaded = Loaded()
        self.quitting = False

    def boot_up(self):
        settings = self.settings
        prepare(self.boot, settings)
        if settings["LazyApps"]:
            self.ready([])
            return
        imports(settings)
        self.loaded = load_all(settings)
        if not self.usable(self.loaded):
            self.wire.send(self.failure(self.loaded))
            os._exit(self.loaded.code)
        gc.collect()
        gc.freeze()  # what is shared with the workers shall not be written to by their collectors
        self.ready(self.loaded.info)

    def ready(self, apps):
        import uwsgi_limits

        for line in uwsgi_limits.short(self.settings):
            say(line)
        uwsgi_limits.lift_address_space(self.settings)
        uwsgi_limits.untether(CONTROL)  # orders come from here on
        self.wire.send({"op": "loaded", "apps": apps, "python": sys.version.split()[0]})

    def usable(self, loaded):
        if loaded.apps and not (loaded.error and self.missing(loaded)):
            return True
        if not self.settings["NeedApp"]:
            if not loaded.apps:
                say("*** no app loaded. going in full dynamic mode ***")
            return True
        say("*** no app loaded. GAME OVER ***" if not loaded.apps else "*** an application could not be loaded ***")
        return False

    def missing(self, loaded):
        """Whether a mount point was asked for that has no application."""
        return any(app["Mount"] not in loaded.mounts for app in self.settings["Apps"] or ())

    @staticmethod
    def failure(loaded):
        return {"op": "failed", "error": loaded.error or "no application is configured (module, wsgi-file or mount)", "exclusive": loaded.exclusive, "code": loaded.code}

    def run(self):
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, ignore)
        self.wake = (reader, writer)
        poll = select.poll()
        poll.register(self.wire.sock, select.POLLIN)
        poll.register(reader, select.POLLIN)
        while not (self.quitting and not self.children):
            for fd, _ in poll.poll():
                if fd == reader:
                    try:
                        os.read(reader, 4096)
                    except BlockingIOError:
                        pass
                else:
                    self.obey()
            self.reap()
        os._exit(0)

    def obey(self):
        message, fds = self.wire.receive()
        if message is None:
            os._exit(0)
        if message["op"] == "fork":
            self.fork(message, fds)
        elif message["op"] == "quit":
            self.quitting = True

    def fork(self, message, fds):
        slot, row = message["slot"], message["row"]
        sys.stdout.flush()
        try:
            pid = os.fork()
        except OSError as exc:
            for fd in fds:
                os.close(fd)
            self.wire.send({"op": "forkfailed", "slot": slot, "row": row, "error": "fork: %s" % exc.strerror})
            return
        if pid == 0:
            code = 1
            try:
                code = Worker(self, slot, row, message.get("reason"), fds).run()
            except BaseException:
                report(*sys.exc_info())
            finally:
                os._exit(code)
        self.children[pid] = slot
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self.wire.send({"op": "forked", "slot": slot, "row": row, "pid": pid}, pidfd)
        os.close(pidfd)

    def reap(self):
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            slot = self.children.pop(pid, None)
            if slot is not None:
                self.wire.send({"op": "exited", "slot": slot, "pid": pid, "status": status})


# --- a worker ---


class Worker:
    def __init__(self, parent, slot, row, reason, fds):
        self.boot, self.settings, self.libdir = parent.boot, parent.settings, parent.libdir
        self.loaded = parent.loaded
        self.slot, self.row, self.reason = slot, row, reason
        self.control = fds[0]
        signal.set_wakeup_fd(-1)
        for fd in parent.wake:
            os.close(fd)
        parent.wire.sock.close()
        if len(fds) > 1:
            os.dup2(fds[1], 2)
            if not os.isatty(1):
                os.dup2(fds[1], 1)
            os.close(fds[1])

    def fail(self, loaded):
        Wire(os.dup(self.control)).send(LoaderProcess.failure(loaded))
        return loaded.code

    def run(self):
        import random
        import uwsgi
        import uwsgi_limits

        settings = self.settings
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        faulthandler.register(STACKS, file=2, all_threads=True)
        random.seed()
        threads = settings["Threads"] or 1
        uwsgi._worker(self.slot)
        name = title(settings, "uWSGI worker %d" % self.slot)
        if name:
            set_title(name)
        threading.current_thread().name = "uWSGIWorker%dCore0" % self.slot
        if settings["LazyApps"]:
            uwsgi_limits.tether(self.control)
            imports(settings)
            parent = LoaderProcess.__new__(LoaderProcess)
            parent.settings = settings
            self.loaded = load_all(settings)
            if not parent.usable(self.loaded):
                return self.fail(self.loaded)
            uwsgi_limits.untether(self.control)
        uwsgi_limits.raise_descriptors(settings)
        self.place()
        before = address_space()
        spec = importlib.util.spec_from_file_location("_uwsgi", os.path.join(self.libdir, "_uwsgi.abi3.so"))
        # The data plane's own threads shall not take the application's signals.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        _uwsgi = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(_uwsgi)
        base = self.base_environ(uwsgi, threads)
        _uwsgi.start(BOOT, self.control, self.slot, self.row, threads, self.loaded.apps, self.loaded.mounts, reporter(settings, _uwsgi),
                     FileWrapper if settings["FileWrapper"] else None, base, io.BytesIO, open_body)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        overhead = max(0, address_space() - before)
        _uwsgi.address_space(overhead)
        uwsgi_limits.hold_address_space(settings, overhead)
        uwsgi._attach(_uwsgi)
        os.close(BOOT)
        ours = _uwsgi.descriptors() + watch_signals(_uwsgi)
        guard_forks(_uwsgi, ours)
        self.hooks("post-fork")
        uwsgi._post_fork()
        if settings["Chdir2"]:
            os.chdir(settings["Chdir2"])
        drain = lambda signum, frame: _uwsgi.drain("signal %d" % signum)
        for signum in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is ignore:
                signal.signal(signum, drain)
        watch_modules(settings, _uwsgi)
        # No daemons: the threads that a request starts inherit that, and shall be alike whichever core it runs on.
        pool = [threading.Thread(target=serve, args=(_uwsgi, i), name="uWSGIWorker%dCore%d" % (self.slot, i)) for i in range(1, threads)]
        for thread in pool:
            thread.start()
        self.hooks("accepting", "accepting1", *(("accepting-once", "accepting1-once") if self.reason == "start" else ()))
        _uwsgi.ready()
        _uwsgi.run(0)
        for thread in pool:
            thread.join()
        return self.leave(uwsgi, _uwsgi)

    def hooks(self, *phases):
        if self.settings["Hooks"]:
            import uwsgi_hooks

            uwsgi_hooks.run(self.settings, self.slot, *phases)

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
                say("never-swap: mlockall: %s" % os.strerror(ctypes.get_errno()))

    def base_environ(self, uwsgi, threads):
        base = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
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

    def leave(self, uwsgi, _uwsgi):
        """Run uwsgi.atexit and what the interpreter runs at its end; the supervisor's mercy bounds how long threads may take."""
        import atexit

        if self.settings["SkipAtexit"]:
            return _uwsgi.exit_code()
        try:
            if callable(getattr(uwsgi, "atexit", None)):
                uwsgi.atexit()
        except BaseException:
            report(*sys.exc_info())
        try:
            threading._shutdown()  # waits for threads that are not daemons
        except BaseException:
            report(*sys.exc_info())
        try:
            atexit._run_exitfuncs()
        except BaseException:
            report(*sys.exc_info())
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        return _uwsgi.exit_code()


def open_body(fd):
    """wsgi.input over the temporary file of a large body; it owns fd."""
    return open(fd, "rb")


def address_space():
    """Bytes of address space of this process (proc(5), statm)."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def serve(_uwsgi, core):
    try:
        _uwsgi.run(core)
    except BaseException:
        report(*sys.exc_info())


def watch_signals(_uwsgi):
    """Have the worker's main thread look at signals though it waits for requests; the descriptors that this takes.

    A signal that comes just before the thread waits would else have its handler run at the next request only.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _uwsgi.watch_signals(reader)
    return [reader, writer]


def guard_forks(_uwsgi, descriptors):
    """In a child that the application forks: no server any more, and signals do what they do by default.

    They are held back meanwhile: one that is sent to a child at once, as Pool.terminate of multiprocessing does, would meet our handler
    there and be lost.
    """
    held = threading.local()

    def before():
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

    def in_parent():
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)
        _uwsgi.forked(False)

    def in_child():
        if _uwsgi.forked(True):
            leave_server(descriptors)
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def leave_server(descriptors):
    """Let go, in a child, of what is the server's."""
    for fd in descriptors:  # a child that outlives the server must not keep its sockets open
        try:
            os.close(fd)
        except OSError:
            pass
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL, signal.SIGPIPE: signal.SIG_IGN}
    for signum, handler in defaults.items():
        try:
            signal.signal(signum, handler)
        except (ValueError, OSError):
            pass


def watch_modules(settings, _uwsgi):
    """py-autoreload: ask for a reload when the file of a loaded module changes."""
    every = (settings["PyAutoreload"] or 0) / 1e9
    if every <= 0:
        return
    skip = set(settings["PyAutoreloadSkip"] or ())

    seen = {}

    def changed():
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if not path or name in skip:
                continue
            try:
                mtime = os.stat(path).st_mtime_ns
            except OSError:
                continue
            if seen.setdefault(path, mtime) != mtime:
                return path

    def watch():
        while True:
            time.sleep(every)
            path = changed()
            if path:
                say("[uwsgi-python-reloader] module/file %s has been modified" % path)
                _uwsgi.tell("reload", "py-autoreload: %s" % path)
                return

    changed()  # what is changed from here on is noticed, before the first interval is over too
    threading.Thread(target=watch, name="uWSGIAutoReloader", daemon=True).start()


def main():
    libdir = os.path.abspath(sys.argv[1])
    boot = read_boot()
    settings = boot["Settings"]
    for fd in range(CONTROL, 3 + 5 + len(boot["Listeners"] or ()) + 4):
        try:
            os.set_inheritable(fd, False)
        except OSError:
            pass
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, ignore)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    faulthandler.enable(file=2)  # before the data plane is loaded: cmd/uwsgi-worker/crash.c tells why
    set_comm()
    set_environment(boot)
    set_output()
    # Ours come first while sys.path still begins with their folder: the application may have a uwsgi.py of its own.
    import uwsgi
    import uwsgi_hooks  # noqa: F401
    import uwsgi_limits

    uwsgi_limits.tether(CONTROL)
    uwsgi_limits.hold(settings)
    set_path(settings)
    sys.path.append(libdir)  # last: nothing of ours hides a module of the application's
    set_main(settings)
    name = title(settings, "uWSGI loader")
    if name:
        set_title(name)
    loader = LoaderProcess(boot, libdir)
    loader.boot_up()
    loader.run()


if __name__ == "__main__":
    main()
