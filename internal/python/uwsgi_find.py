"""Modules and files, found and parsed without running them."""

import ast
import importlib.machinery
import importlib.util
import os
import types

import uwsgi_diagnose
from uwsgi_diagnose import READ

# What binds names that reading does not see.
DYNAMIC = {"locals", "vars", "setattr", "__import__"}


class Problem(Exception):
    """Something that an import would fail on. ``sure``: whatever runs before. ``placed``: the text
    says in which file."""

    def __init__(self, error, hint="", sure=True, placed=False):
        super().__init__(error)
        self.hint, self.sure, self.placed = hint, sure, placed


def parse(file):
    """A file's syntax tree."""
    closed = uwsgi_diagnose.barrier(file)
    if closed:
        raise Problem(closed, placed=True)
    try:
        with open(file, "rb") as f:
            return ast.parse(f.read(), file)
    except (SyntaxError, ValueError) as exc:
        raise Problem("%s, line %s: %s: %s" % (file, getattr(exc, "lineno", "?"), type(exc).__name__,
            getattr(exc, "msg", exc)), placed=True)
    except OSError as exc:
        raise Problem("%s: %s" % (file, exc.strerror), placed=True)


def find(app, name, settings):
    """The file of a module, None where it has none that can be read."""
    path, at, parent = None, "", None
    for part in name.split("."):
        at = at + "." + part if at else part
        try:
            spec = (importlib.util.find_spec(at) if path is None
                else importlib.machinery.PathFinder.find_spec(at, path))
        except KeyError:  # a folder without __init__.py asks for its package, which is not imported
            spec = importlib.machinery.ModuleSpec(at, None, is_package=True)
            spec.submodule_search_locations.extend(
                folder for folder in (os.path.join(above, part) for above in path) if os.path.isdir(folder))
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
        elif isinstance(node, ast.Attribute) and node.attr in ("modules", "f_globals"):
            return None
    todo = list(tree.body)
    for node in todo:  # it grows
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names[node.name] = "class" if isinstance(node, ast.ClassDef) else "function"
            todo.extend(child for child in ast.iter_child_nodes(node) if child not in node.body)
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
        elif type(node).__name__ in ("ExceptHandler", "MatchAs", "MatchStar"):
            names[node.name] = ""
        elif type(node).__name__ == "MatchMapping":
            names[node.rest] = ""
        elif isinstance(node, ast.Lambda):
            continue
        todo.extend(ast.iter_child_nodes(node))
    names.pop(None, None)
    return None if "__getattr__" in names else names
