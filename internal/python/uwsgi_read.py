"""Finding an application by reading: modules are looked for as an import would, files are parsed,
nothing of the application runs."""

import os

import uwsgi_diagnose
import uwsgi_imports
import uwsgi_paste
from uwsgi_diagnose import READ
from uwsgi_find import Problem, bound, find, parse
from uwsgi_interpreter import set_path


def problems(settings):
    """What is wrong, as a list of Problems of internal/doctor."""
    set_path(settings)
    out = []
    runs = bool(settings["Imports"] or settings["SharedImports"] or settings["PyModuleAlias"])
    for i, app in enumerate(settings["Apps"] or ()):
        try:
            look(app, settings)
        except Problem as exc:
            out.append({"App": i, "Error": str(exc), "Hint": exc.hint, "Sure": exc.sure and not runs})
    for what in (settings["Imports"] or []) + (settings["SharedImports"] or []):
        app = {"Kind": "file" if "/" in what or what.endswith(".py") else "module", "Value": what, "Mount": "import"}
        try:
            names_of(app, what, settings)
        except Problem as exc:
            out.append({"App": -1, "Import": what, "Error": str(exc), "Hint": "", "Sure": False})
    return out


def look(app, settings):
    """Problem where an application is not there."""
    kind, value = app["Kind"], app["Value"]
    if kind in ("paste", "ini-paste"):
        uwsgi_paste.Reader(app, settings,
            lambda name: names_of(dict(app, Kind="module", Value=name), name, settings)[0]).application()
    if kind not in ("module", "file"):
        return
    path, _, call = value.partition(":") if kind == "module" else (value, "", "")
    if kind == "file" and not os.path.exists(path) and ":" in path:
        path, _, call = path.rpartition(":")
    call = call or settings["Callable"] or "application"
    names, file = names_of(app, path, settings)
    first = call.partition("(")[0].partition(".")[0]
    if names is None or first in names or "applications" in names or not first.isidentifier():
        if file is not None and file.endswith(READ):
            uwsgi_imports.follow(file, path if kind == "module" else None, app, settings)
        return
    near = [n for n, kind in names.items() if kind != "class"]
    raise Problem('there is no "%s" in %s' % (first, file),
        uwsgi_diagnose.of_names(names, [n for n in near if names[n] == "function"], first, app, settings))


def names_of(app, path, settings):
    """The names that a module binds, or None where they cannot be known by reading; and its file."""
    if app["Kind"] == "module":
        unfit = uwsgi_diagnose.of_name(path, app)
        if unfit:
            raise Problem(*unfit)
        file = find(app, path, settings)
    else:
        file = os.path.join(path, "__init__.py") if os.path.isdir(path) else path
        if not os.path.exists(file):
            raise Problem("there is no file %s%s" % (os.path.abspath(path), uwsgi_diagnose.a_folder(path)),
                uwsgi_diagnose.of_file(path, app))
    if file is None or not file.endswith(READ):
        return None, file
    return bound(parse(file)), file
