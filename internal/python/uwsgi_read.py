"""Finding an application by reading: modules are looked for as an import would, files are parsed,
nothing of the application runs."""

import ast
import importlib.machinery
import importlib.util
import os
import sys
import types

import uwsgi_diagnose
from uwsgi_interpreter import set_path

# What binds names that reading does not see.
DYNAMIC = {"locals", "vars", "setattr", "__import__"}


class Problem(Exception):
    """Something that an import would fail on. ``sure``: whatever runs before."""

    def __init__(self, error, hint="", sure=True):
        super().__init__(error)
        self.hint, self.sure = hint, sure


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
    if kind not in ("module", "file"):
        return
    path, _, call = value.partition(":") if kind == "module" else (value, "", "")
    if kind == "file" and not os.path.exists(path) and ":" in path:
        path, _, call = path.rpartition(":")
    call = call or settings["Callable"] or "application"
    names, file = names_of(app, path, settings)
    first = call.partition("(")[0].partition(".")[0]
    if names is None or first in names or "applications" in names or not first.isidentifier():
        return
    near = [n for n, kind in names.items() if kind != "class"]
    raise Problem('there is no "%s" in %s' % (first, file),
        uwsgi_diagnose.of_names(names, [n for n in near if names[n] == "function"], first, app, settings))


def names_of(app, path, settings):
    """The names that a module binds, or None where they cannot be known by reading; and its file."""
    if app["Kind"] == "module":
        file = find(app, path, settings)
    else:
        file = os.path.join(path, "__init__.py") if os.path.isdir(path) else path
        if not os.path.exists(file):
            raise Problem("there is no file %s" % os.path.abspath(file), uwsgi_diagnose.of_file(file))
    if file is None or not file.endswith((".py", ".wsgi")):
        return None, file
    closed = uwsgi_diagnose.barrier(file)
    if closed:
        raise Problem(closed)
    try:
        with open(file, "rb") as f:
            tree = ast.parse(f.read(), file)
    except (SyntaxError, ValueError) as exc:
        raise Problem("%s, line %s: %s: %s" % (file, getattr(exc, "lineno", "?"), type(exc).__name__,
            getattr(exc, "msg", exc)))
    except OSError as exc:
        raise Problem("%s: %s" % (file, exc.strerror))
    return bound(tree), file


def find(app, name, settings):
    """The file of a module, None where it has none that can be read."""
    path, at, parent = None, "", None
    for part in name.split("."):
        at = at + "." + part if at else part
        try:
            spec = (importlib.util.find_spec(at) if path is None
                else importlib.machinery.PathFinder.find_spec(at, path))
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is None:
            raise Problem("there is no module %s" % at, uwsgi_diagnose.of_missing(at, app, settings, parent),
                sure=parent is None or plain(parent.__file__))
        path = spec.submodule_search_locations
        parent = types.SimpleNamespace(__name__=at, __file__=spec.origin)
        if path is not None:
            path = parent.__path__ = list(path)
        elif at != name:
            raise Problem("there is no module %s" % name, "%s is a file, %s, and no package" % (at, spec.origin),
                sure=plain(spec.origin))
    return spec.origin if spec.has_location else None


def plain(file):
    """Whether a package's own code leaves its __path__ and sys.modules alone, as far as one can see."""
    try:
        with open(file) as f:
            text = f.read()
    except (OSError, TypeError, ValueError):
        return True
    return "__path__" not in text and "sys.modules" not in text


def bound(tree):
    """The names that a module binds at its top, with what to: "function", "class" or ""; None where
    they cannot be known by reading."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names.update(dict.fromkeys(node.names, ""))
        elif isinstance(node, ast.Name) and node.id in ("exec", "globals"):
            return None
    todo = list(tree.body)
    for node in todo:  # it grows
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name == "__getattr__":
                return None
            names[node.name] = "class" if isinstance(node, ast.ClassDef) else "function"
            todo.extend(node.decorator_list)
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                if alias.name == "*":
                    return None
                names[alias.asname or alias.name.partition(".")[0]] = ""
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                names[node.id] = ""
            elif node.id in DYNAMIC:
                return None
        elif isinstance(node, ast.ExceptHandler):
            names[node.name] = ""
        elif isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Attribute) and node.attr == "modules":
            return None
        todo.extend(ast.iter_child_nodes(node))
    names.pop(None, None)
    return names
