"""The interpreter, as the application expects to find it."""

import atexit
import glob
import importlib.machinery
import importlib.util
import io
import os
import sys
import types

import uwsgi
from uwsgi_application import import_any
from uwsgi_report import ERROR, placed, report, say


def set_environment(boot):
    for name in boot.get("Unsetenv") or ():
        os.environ.pop(name, None)
    for name, value in (boot.get("Setenv") or {}).items():
        os.environ[name] = value
    os.environ["UWSGI_RELOADS"] = str(boot["Reloads"])


def set_path(settings):
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]
    sys.path.insert(0, ".")
    for pattern in settings["PythonPath"] or ():
        hits = sorted(glob.glob(pattern)) or [pattern]
        for hit in hits:
            sys.path.insert(0, hit)
            say("added %s to pythonpath." % hit)
    script = settings.get("Pyrun") or ""
    if script.endswith(".py") and not os.path.isdir(script):
        sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    sys.path_importer_cache.clear()


class Decorators:
    """Finds uwsgidecorators where no file of the application's own has that name, and nothing else of
    ours. One that a package has brought, PyPI's or Debian's of uWSGI, was written for that server."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "uwsgidecorators":
            return None
        own = importlib.machinery.PathFinder.find_spec(name, path)
        if own and own.origin and os.path.basename(os.path.dirname(own.origin)) not in (
                "site-packages", "dist-packages"):
            return own
        return importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), name + ".py"))


def set_main(settings):
    """An empty __main__: the application must not see the loader's names, nor multiprocessing
    import the loader again."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = [settings["Pyrun"] or "uwsgi"] + list(settings["PyArgv"] or ())
    if settings.get("PyExecutable"):
        sys.executable = settings["PyExecutable"]


def set_output():
    """print() goes where uWSGI's goes, a line in one write, and no character of the application's
    can make it fail.

    There is no BufferedWriter below: it refuses a signal handler's print() while another one is at
    it.
    """

    def stream():
        return io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8",
            errors="backslashreplace", line_buffering=True)

    sys.stderr = sys.__stderr__ = stream()
    if os.isatty(1):
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    else:
        sys.stdout = stream()
    sys.__stdout__ = sys.stdout


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


def prepare(boot, settings):
    uwsgi._boot(boot)
    for spec in settings["PyModuleAlias"] or ():
        name, _, target = spec.partition("=")
        module = import_told(settings, "pymodule-alias", spec, target)
        if module is not None:
            sys.modules[name] = module
    for what in settings["SharedImports"] or ():
        import_told(settings, "shared-import", what, what)


def imports(settings):
    for what in settings["Imports"] or ():
        import_told(settings, "import", what, what)


def import_told(settings, option, value, what):
    """The module or file that an option with that value names; None, and said, where it fails."""
    try:
        return import_any(what)
    except Exception:
        report(*sys.exc_info())
        say("%s: it cannot be imported, see above" % placed(settings, option, value), ERROR)


def at_exit(settings, join=None):
    """End as an interpreter does: run uwsgi.atexit, ``join`` and what the application has
    registered with atexit. The supervisor's mercy bounds how long that may take."""
    if settings["SkipAtexit"]:
        return
    for step in (getattr(uwsgi, "atexit", None), join, atexit._run_exitfuncs):
        try:
            if callable(step):
                step()
        except BaseException:
            report(*sys.exc_info())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
