"""Importing the applications that the configuration names."""

import errno
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import time
import types

import uwsgi
import uwsgi_asgi
import uwsgi_diagnose
import uwsgi_interface
import uwsgi_mistaken
import uwsgi_mounts
from uwsgi_report import ERROR, WARNING, report, say, text_of


class NoApplication(Exception):
    """An application source that gives no application, and what to do about it."""

    def __init__(self, reason, advice=""):
        super().__init__(reason)
        self.advice = advice


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
    """Import a module by name, or by path when it looks like one, under the name that uWSGI makes of
    the path. Another module that happens to have that name is no reason to leave it out."""
    if "/" not in what and not what.endswith(".py"):
        return importlib.import_module(what)
    name = what.removesuffix(".py").replace(".", "_").replace("/", "_")
    there = sys.modules.get(name)
    if there is not None and os.path.realpath(getattr(there, "__file__", None) or "") == os.path.realpath(what):
        return there
    return import_path(what, name)


def pick(module, name, app, settings):
    """The callable of that name; ``name()`` is called once and gives it (an application
    factory)."""
    factory = name.endswith(")")
    if factory:
        value = eval(compile(name, "<callable>", "eval"), dict(vars(module)))
    else:
        value = module
        for part in name.split("."):
            if not hasattr(value, part):
                raise NoApplication('unable to find "%s" callable in %s' % (name,
                    getattr(module, "__file__", None) or module.__name__),
                    value is module and uwsgi_diagnose.of_callable(module, name, app, settings) or "")
            value = getattr(value, part)
    if not callable(value):
        raise NoApplication('"%s" of %s is no application: %s' % (name, module.__name__,
            uwsgi_mistaken.of(value, name)))
    return value


def several(module, default):
    """The applications of a module with a dict ``applications`` of them, by mount point; {} when it
    has none.

    uWSGI takes keys of bytes only; texts, which its documentation has, count where the module has
    no application otherwise.
    """
    for found in (getattr(module, "applications", None), uwsgi.applications):
        if isinstance(found, dict) and found and all(isinstance(k, (bytes, str)) and callable(v) for k,
                v in found.items()):
            if not hasattr(module, default) or all(isinstance(k, bytes) for k in found):
                return {os.fsdecode(k): v for k, v in found.items()}
    return {}


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
    """The callable that one option.App names, or a dict of several by mount point."""
    default = settings["Callable"] or "application"
    kind, value = app["Kind"], app["Value"]
    if kind == "module":
        name, _, call = value.partition(":")
        unfit = uwsgi_diagnose.of_name(name, app)
        if unfit:
            raise NoApplication(*unfit)
        module = importlib.import_module(name)
        return not (call or app["Mount"]) and several(module, default) or pick(module, call or default,
            app, settings)
    if kind == "file":
        path, _, call = value, "", ""
        if not os.path.exists(path) and ":" in path:
            path, _, call = path.rpartition(":")
        stem = path[:-3] if path.endswith(".py") else path
        name = "uwsgi_file_" + stem.replace("/", "_").replace(".", "_")
        if not os.path.exists(os.path.join(path, "__init__.py") if os.path.isdir(path) else path):
            raise NoApplication("failed to open python file %s%s" % (path, uwsgi_diagnose.a_folder(path)),
                uwsgi_diagnose.of_file(path, app))
        return pick(import_path(path, name), call or default, app, settings)
    if kind in ("paste", "ini-paste"):
        return paste_app(value, settings)
    if kind == "eval":
        module = types.ModuleType("uwsgi_eval_config")
        exec(compile(value, "<eval>", "exec"), vars(module))
        return pick(module, default, app, settings)
    raise NoApplication("unknown kind of application %r" % kind)


def interfaces(app, calls, settings):
    """What uwsgi_interface.find says of each callable, by mount point; NoApplication where it
    cannot be served as the configuration has it."""
    out = {}
    for mount, call in calls.items():
        try:
            out[mount] = uwsgi_interface.find(call, app.get("Interface"))
        except uwsgi_interface.Mismatch as exc:
            if exc.call is not None:
                name = app["Value"].rpartition(":")[2] if ":" in app["Value"] else settings["Callable"] or "application"
                raise NoApplication("%s is no application: %s" % (app["Value"],
                    uwsgi_mistaken.of(exc.call, name))) from None
            name = (exc.interface or "") + {"file": "-file"}.get(app["Kind"], "")
            hint = " (write %s = %s)" % (name, app["Value"]) if exc.interface else ""
            raise NoApplication("%s %s%s" % (app["Value"], exc, hint)) from None
        if out[mount][0] == uwsgi_interface.ASGI:
            lacking = uwsgi_asgi.prepare(settings)
            if lacking:
                raise NoApplication("%s is an ASGI application (%s): %s" % (app["Value"], out[mount][2], lacking))
    return out


def report_loading():
    """Print the exception of a failed load without the frames of the loader and of the import
    system above the application's. False: there are no others, and it says no more than its
    text."""
    kind, value, tb = sys.exc_info()
    shown = tb
    while shown is not None and (not_theirs(shown.tb_frame.f_code.co_filename)):
        shown = shown.tb_next
    if shown is None and isinstance(value, ModuleNotFoundError):
        return False
    report(kind, value.with_traceback(shown), shown)
    return True


def not_theirs(filename):
    return "importlib" in filename or os.path.dirname(filename) == os.path.dirname(__file__)


def is_exclusive(exc):
    """Whether loading failed on something that only one process can hold at a time: a lock, an
    address, a port."""
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
        self.apps, self.mounts, self.kinds, self.info, self.error, self.exclusive, self.code = [], [
            ], [], [], "", False, 22
        self.again = False  # it is loaded once more otherwise
        self.shared = False  # two cannot live in one interpreter
        self.brief = ""  # what is left to say of error where the log has the exception already
        self.untold = False  # nobody has been told of error yet: the supervisor is, or the log

    def add(self, mount, found, seconds, source):
        """Take in what uwsgi_interface.find gave of a callable."""
        kind, call, why = found
        index = len(self.apps)
        self.apps.append(call)
        self.mounts.append(mount)
        self.kinds.append(kind)
        self.info.append({"mount": mount, "seconds": round(seconds, 3), "source": source, "interface": kind})
        say("%s app %d (mountpoint='%s') ready in %d seconds on interpreter 0x%x pid: %d%s%s"
            % (kind.upper(), index, mount, int(seconds), id(sys.modules), os.getpid(),
            " (default app)" if index == 0 else "",
               ": " + why if why and kind == uwsgi_interface.ASGI else ""))

    @property
    def looped(self):
        """Whether the workers serve with an event loop."""
        return uwsgi_interface.ASGI in self.kinds

    def failed(self, app, reason, advice, printed=False):
        """Take in why an application cannot be had, and what to do about it. ``printed``: the log
        has the reason already."""
        where, self.untold = uwsgi_diagnose.named(app), True
        self.error = uwsgi_diagnose.join("%s: %s" % (where, reason), advice)
        self.brief = printed and uwsgi_diagnose.join(where + ": it cannot be imported, see above", advice) or ""
        say("unable to load app %d (mountpoint='%s') (callable not found or import error)" % (len(self.apps),
            app["Mount"]), ERROR)

    def tell(self):
        """Put what has failed into the log, where something is done in spite of it."""
        if self.untold:
            say(self.brief or self.error, ERROR)
            self.untold = False

    def usable(self, settings):
        """Whether a worker can serve with what there is; says so where it cannot. The reason is
        left to the supervisor then, whose last word it is."""
        if self.again or self.shared:
            return False
        missing = any(app["Mount"] not in self.mounts for app in settings["Apps"] or ())
        if self.apps and not (self.error and missing):
            self.tell()
            return True
        if not settings["NeedApp"]:
            self.tell()
            if not self.apps:
                say("*** no app loaded. going in full dynamic mode ***")
            return True
        say("*** no app loaded. GAME OVER ***" if not self.apps else "*** an application could not be loaded ***",
            ERROR)
        return False

    def failure(self):
        """The message that there is no application."""
        return {"op": "failed", "error": self.error or "no application is configured (module, wsgi-file or mount)",
            "message": self.brief, "exclusive": self.exclusive, "code": self.code}


def load_all(settings, again):
    """Load every application; several without a mount point are tried in turn until one gives an
    application.

    Where ``again`` is true, one that fails on what only one process can have is tried once more
    otherwise: that is no error yet.
    """
    done = Loaded()
    sources = settings["Apps"] or []
    tenants = uwsgi_mounts.Tenants(settings)
    for app in sources:
        done.tell()
        mount = app["Mount"]
        if mount in done.mounts:
            if mount:
                say("mountpoint %s already configured. skip." % mount)
            continue
        if mount:
            say("mounting %s on %s" % (app["Value"], mount))
        start = time.monotonic()
        try:
            with tenants:
                call = load(app, settings)
                found = interfaces(app, call if type(call) is dict else {mount: call}, settings)
            tenants.add(app)
        except SystemExit as exc:
            report_loading()
            done.error, done.brief = "%s called exit(%s) while it was imported" % (app["Value"], exc.code), ""
            if isinstance(exc.code, int) and exc.code:
                done.code = exc.code
        except uwsgi_mounts.Shared as exc:
            done.error, done.shared = str(exc), True
            return done
        except NoApplication as exc:
            done.failed(app, str(exc), exc.advice)
        except BaseException as exc:
            error = "%s: %s" % (type(exc).__name__, text_of(exc))
            if is_exclusive(exc):
                done.exclusive = True
                if again:
                    say("%s cannot be loaded beside another one (%s)" % (app["Value"], error), WARNING)
                    done.error, done.again = error, True
                    return done
            done.failed(app, error, uwsgi_diagnose.of_import(exc, app, settings), report_loading())
        else:
            seconds = time.monotonic() - start
            for at, one in found.items():
                done.add(at, one, seconds, app["Value"])
    return done
