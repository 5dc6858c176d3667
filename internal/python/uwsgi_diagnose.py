"""Why an application could not be loaded, in words that say what to change.

Everything here only looks: at sys.path, at folders and at what a module has. It runs once something
has failed, so what it needs of the standard library is imported then.
"""

import os
import stat
import sys

from uwsgi_report import place

EXECUTABLE = sys.executable  # the application may be told of another one
VENV = "pyvenv.cfg"
READ = (".py", ".wsgi")  # how the files end that are read
MANY = 500  # entries of a folder that are looked at
USUAL = ("application", "app", "wsgi", "asgi", "wsgi_app", "asgi_app", "api", "server")
FACTORIES = ("create_app", "make_app", "build_app", "get_app", "create_application", "get_application",
             "make_application", "app_factory", "get_wsgi_application", "get_asgi_application")

OLD_DJANGO, DJANGO = "django.core.handlers.wsgi:WSGIHandler", "django.core.wsgi:get_wsgi_application()"


def written(app, value=None):
    """How the configuration writes an application; ``value`` in place of what it names now."""
    value = value or app["Value"]
    if app["Mount"]:
        return "mount = %s=%s" % (app["Mount"], value)
    options = (("module", "wsgi-file"), ("asgi", "asgi-file"))[app.get("Interface") == "asgi"]
    option = dict(zip(("module", "file"), options)).get(app["Kind"], app["Kind"])
    return "%s = %s" % (option, value)


def named(app):
    """An application after the place that names it, as in every other message about an option."""
    return place(app["Origin"]) + written(app)


def join(*sentences):
    return ". ".join(s for s in sentences if s)


def of_import(exc, app, settings):
    """What to say, beside the exception, of a module that could not be imported; "" for nothing."""
    try:
        if isinstance(exc, ModuleNotFoundError) and exc.name:
            return of_missing(exc.name, app, settings)
        if isinstance(exc, PermissionError) and isinstance(exc.filename, (str, bytes)):
            return barrier(os.fsdecode(exc.filename)) or ""
        if type(exc).__name__ == "AppRegistryNotReady" and app["Value"].startswith(OLD_DJANGO):
            return "Since Django 1.7: write " + written(dict(app, Kind="module"), DJANGO)
    except Exception:  # to fail here would hide what has failed before
        pass
    return ""


def of_missing(name, app, settings, parent=None):
    """What to say of a module that was not found. ``parent`` has the __path__ that it was looked for
    on; None = the package above it, which is imported."""
    top, _, rest = name.partition(".")
    ours = app["Kind"] == "module" and (app["Value"].partition(":")[0] + ".").startswith(name + ".")
    parent = parent or rest and sys.modules.get(name.rpartition(".")[0]) or None
    if parent is not None and not hasattr(parent, "__path__"):
        text = "%s is a file, %s, and no package" % (parent.__name__, getattr(parent, "__file__", "?"))
        if ours and name == parent.__name__ + ".py":
            text += ": write " + written(app, parent.__name__ + app["Value"][len(name):])
        return text
    path = list(parent.__path__) if parent is not None else search_path()
    closed = [why for why in map(barrier, path) if why]
    advice = closed[0] if closed else elsewhere(top, ours, app, settings) if parent is None else ""
    if not advice:
        near = nearest(name.rpartition(".")[2], path)
        if near:
            near = name.rpartition(".")[0] + "." + near if parent is not None else near
            advice = "The nearest is %s" % near
            if ours:
                advice += ": write " + written(app, near + app["Value"][len(name):])
    return join("%s looked in %s" % (interpreter(settings), ", ".join(path)), advice)


def search_path():
    """sys.path without the standard library."""
    import sysconfig

    standard = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    standard |= {os.path.join(p, "lib-dynload") for p in standard}
    out = []
    for entry in sys.path:
        entry = os.path.abspath(entry or ".")
        if os.path.realpath(entry) not in standard and not entry.endswith(".zip") and entry not in out:
            out.append(entry)
    return out


def interpreter(settings):
    """Which Python runs, of which virtualenv."""
    version = "%d.%d" % sys.version_info[:2]
    what = "%s (Python %s" % (EXECUTABLE, sys.version.split()[0])
    if sys.prefix == sys.base_prefix:
        return what + (", home = %s" % settings["Home"] if settings["Home"]
            else ", no virtualenv: home= is not set") + ")"
    others = [d for d in names(os.path.join(sys.prefix, "lib")) if d.startswith("python3") and d != "python" + version]
    if others and not os.path.isdir(os.path.join(sys.prefix, "lib", "python" + version, "site-packages")):
        return what + ") of the virtualenv %s, whose packages are for another Python, %s: make it anew," % (
            sys.prefix, others[0])
    return what + ") of the virtualenv %s" % sys.prefix


def elsewhere(top, ours, app, settings):
    """Where a top-level module is that sys.path does not lead to: what to write."""
    here = os.getcwd()
    for folder in [os.path.dirname(here)] + below(here) if ours else above(app):
        if holds(folder, top):
            return "It is in %s: write %s = %s" % (folder, "chdir" if ours else "pythonpath", folder)
    if sys.prefix != sys.base_prefix:
        return in_python(top, settings)
    active = os.environ.get("VIRTUAL_ENV")
    for env in ([active] if active else []) + below(here) + below(os.path.dirname(here)):
        if os.path.exists(os.path.join(env, VENV)):
            for version in names(os.path.join(env, "lib")):
                if holds(os.path.join(env, "lib", version, "site-packages"), top):
                    return "The virtualenv %s has it: write home = %s" % (env, env)
    return in_python(top, settings)


def above(app):
    """The folders that the file of an application lies in, from its own upwards: one is the project's."""
    if app["Kind"] != "file":
        return
    folder = os.path.dirname(os.path.abspath(app["Value"].partition(":")[0]))
    while len(folder) > 1:
        yield folder
        folder = os.path.dirname(folder)


def in_python(top, settings):
    """Which other Python of this machine has a top-level module, and what to do about that."""
    for python, version in pythons():
        prefix = os.path.dirname(os.path.dirname(python))
        folders = [os.path.join(prefix, "lib", "python" + version, part) for part in ("site-packages", "dist-packages")]
        if prefix == "/usr":  # Debian's, which has further places
            folders += ["/usr/lib/python3/dist-packages", "/usr/local/lib/python%s/dist-packages" % version]
        if any(holds(folder, top) for folder in folders):
            text = "%s (Python %s) has it: install it for this one, too (%s -m pip install)" % (
                python, version, EXECUTABLE)
            return text if settings["Home"] or sys.prefix != sys.base_prefix else (
                text + ", or write py-programname = " + python)
    return ""


def pythons():
    """The other interpreters of this machine, (path, "3.12") each, in the order of PATH."""
    import glob
    import re

    seen = {os.path.realpath(EXECUTABLE)}
    for folder in filter(os.path.isabs, os.environ.get("PATH", "").split(":") + ["/usr/local/bin", "/usr/bin"]):
        for python in map(os.path.realpath, sorted(glob.glob(os.path.join(glob.escape(folder), "python3*")))):
            version = re.fullmatch(r"python(3\.\d+)", os.path.basename(python))
            if version and python not in seen:
                seen.add(python)
                yield python, version[1]


def names(folder):
    """What is in a folder, hidden or not; nothing where it cannot be read."""
    try:
        return sorted(os.listdir(folder))[:MANY]
    except OSError:
        return []


def below(folder):
    return [path for path in (os.path.join(folder, name) for name in names(folder)) if os.path.isdir(path)]


def holds(folder, module):
    """Whether a folder has a module of that name, as a file or as a package with something in it."""
    path = os.path.join(folder, module)
    return os.path.isfile(path + ".py") or any(name.endswith(".py") for name in names(path))


def modules(folder):
    """The names of the modules in a folder."""
    for name in names(folder):
        path = os.path.join(folder, name)
        stem = name[:-3] if name.endswith(".py") else name
        if stem.isidentifier() and (stem != name or os.path.isdir(path)):
            yield stem


def nearest(name, path):
    """The name of a module in the folders of path that is most like name, None where none is. Of
    those that are alike it is the first folder's, which is the project."""
    import difflib

    found = list(dict.fromkeys(module for folder in path for module in modules(folder) if module != name))
    close = difflib.get_close_matches(name, found, len(found) or 1, 0.7)
    close.sort(key=found.index)
    return max(close, key=lambda module: difflib.SequenceMatcher(None, module, name).ratio(), default=None)


def barrier(path):
    """Says which folder on the way to path, or path itself, this process may not enter or read;
    None where it may."""
    path = os.path.abspath(path)
    at = "/"
    for step in path.split("/")[1:] + [""]:
        try:
            st = os.stat(at)
        except OSError:
            return None
        folder = stat.S_ISDIR(st.st_mode)
        if not os.access(at, os.X_OK if folder and at != path else os.R_OK | (os.X_OK if folder else 0)):
            may = ("r" if at == path else "") + ("x" if folder else "")
            return "uid %d may not %s %s (mode %04o, of uid %d): chmod o+%s %s" % (os.geteuid(),
                "enter" if folder else "read", at, stat.S_IMODE(st.st_mode), st.st_uid, may, at)
        at = os.path.join(at, step)
    return None


def of_name(name, app):
    """Why a text cannot be the name of a module, and what to write; None where it can."""
    if name and not name.startswith(".") and "/" not in name:
        return None
    why = '"%s" is no name of a module' % name
    file = name if name.endswith(READ) else name.strip("." if "/" not in name else "").rstrip("/") + READ[0]
    if not os.path.isfile(file):
        return why, of_folder(name, "module", app) if os.path.isdir(name or ".") else ""
    return why, "Write " + of_kind("module", file, app)


def of_kind(kind, file, app):
    """How to name a file, as a module where that is wanted and can be, in place of what the
    configuration names."""
    _, colon, call = app["Value"].partition(":")
    stem = os.path.normpath(file[:-len(READ[0])])
    if kind == "module" and file.endswith(READ[0]) and all(map(str.isidentifier, stem.split("/"))):
        return written(dict(app, Kind="module"), stem.replace("/", ".") + colon + call)
    if app["Mount"] or not colon:
        return written(dict(app, Kind="file"), file + colon + call)
    return "%s and callable = %s" % (written(dict(app, Kind="file"), file), call)


def of_folder(folder, kind, app):
    """Which file in a folder, or one below, is the application most likely, and how to write it."""
    usual = [(at, n) for at in [folder or "."] + below(folder or ".") for n in USUAL + ("main",)
        if os.path.isfile(os.path.join(at, n + ".py"))]
    here = [(folder, n[:-3]) for n in names(folder or ".") if n.endswith(".py")]
    found = usual[:1] if usual and (usual[0][0] == (folder or ".") or len({at for at, _ in usual}) == 1) else here
    if len(found) != 1:
        return ""
    return "Write " + of_kind(kind, os.path.normpath(os.path.join(*found[0])) + ".py", app)


def a_folder(path):
    """What to add to a file that is not there where it is a folder."""
    return ": it is a folder, without an __init__.py" if os.path.isdir(path) else ""


def of_file(path, app):
    """What to say of a file that is not there, or is a folder."""
    given, path = path, os.path.abspath(path)
    closed = barrier(path)
    if closed:
        return closed
    if os.path.isdir(path):
        return of_folder(given, "file", app)
    if os.path.isfile(path + ".py"):
        return "Write " + of_kind("file", given + ".py", app)
    here = os.getcwd()
    if not os.path.isabs(given):
        steps = os.path.normpath(given).split("/")
        for folder, steps in [(here, steps[n:]) for n in range(1, len(steps))] + [
                (folder, steps) for folder in [os.path.dirname(here)] + below(here)]:
            if os.path.isfile(os.path.join(folder, *steps)):
                near = os.path.join("" if folder == here else folder, *steps)
                return "It was looked for in %s: write %s" % (here, of_kind("file", near, app))
        if holds(here, given.partition(".")[0]) and "/" not in given and os.path.isfile(
                given.partition(":")[0].replace(".", "/") + ".py"):
            return "%s is a module: write %s" % (given, written(dict(app, Kind="module")))
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        return "There is no folder %s" % folder
    near = nearest(name[:-3] if name.endswith(".py") else name, [folder])
    return "The nearest is %s.py" % os.path.join(folder, near) if near else ""


def of_callable(module, name, app, settings):
    """What to say of a module that has no application of that name."""
    has = {n: value for n, value in vars(module).items() if not n.startswith("_") and callable(value)}
    own = [n for n, value in has.items()
           if not isinstance(value, type) and getattr(value, "__module__", module.__name__) == module.__name__]
    return of_names(has, own, name, app, settings)


def of_names(has, own, name, app, settings):
    """The same of the names of what could be called, and of those that are the module's own."""
    import difflib

    near = ([n for n in USUAL if n in has] or difflib.get_close_matches(name, sorted(has), 1, 0.7)
            or [n + "()" for n in FACTORIES if n in has] or (own if len(own) == 1 else []))
    if not near:
        return ""
    return "It has %s: write %s" % (near[0], called(near[0], app, settings))


def called(name, app, settings):
    """How to name another callable of an application's module."""
    if not app["Mount"] and (settings["Callable"] or app["Kind"] != "module"):
        return "callable = " + name
    value = app["Value"]
    base, _, old = value.rpartition(":")
    return written(app, (base if old and base else value) + ":" + name)
