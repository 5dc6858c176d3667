"""What an application imports at its top, and what its own modules import there, looked for as an
import would; files are parsed, nothing of them runs."""

import ast
import difflib
import importlib.util
import os
import sys
import sysconfig

from uwsgi_find import Problem, bound, find, parse, plain

OURS = ("uwsgi", "uwsgidecorators")  # which only the server has
MANY = 300  # files of an application that are read
STANDARD = tuple(os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
INSTALLED = {"site-packages", "dist-packages"}
# A file with one of these words leads imports to where reading does not see.
LEADING = (b"sys.path", b"addsitedir", b"activate_this", b"sys.modules", b"meta_path", b"path_hooks", b"__path__")


class Hidden(Exception):
    """What is imported from here on cannot be known by reading."""


def follow(file, module, app, settings):
    """Problem where a file, or one of the application's own that it imports, would end the import of
    the application. ``module`` is the file's name as a module, None for a file that has none."""
    try:
        Walk(app, settings).read(file, module)
    except Hidden:
        pass


class Walk:
    """The imports of an application in the order they are made. ``sure``: nothing ran so far that
    could bring modules along."""

    def __init__(self, app, settings):
        self.app, self.settings, self.seen, self.sure = app, settings, set(), True
        self.given = set()  # names of attributes that the files set, of modules maybe

    def read(self, file, module):
        """Goes through a file of the application's own."""
        self.seen.add(file)
        if len(self.seen) > MANY:
            raise Hidden
        tree = parse(file)
        if leading(file):
            raise Hidden
        self.given.update(node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
        for statement in tree.body:
            for name, parts in wanted(statement, module if package(file) else (module or "").rpartition(".")[0]):
                try:
                    self.look(name, parts)
                except Problem as exc:
                    sure = exc.sure and not isinstance(statement, ast.Assign)  # Django imports it later, if at all
                    where = "" if exc.placed else "%s, line %d: " % (file, statement.lineno)
                    raise Problem(where + str(exc), exc.hint, sure and (exc.placed or self.sure), placed=True)
            self.sure = self.sure and harmless(statement)

    def look(self, name, parts):
        """Finds a module that is imported, and goes on in it where it is the application's own."""
        top = name.partition(".")[0]
        if top in OURS or top in sys.builtin_module_names:
            return
        if not own(find(self.app, top, self.settings)):
            self.foreign(name, parts)
            self.sure = self.sure and top in getattr(sys, "stdlib_module_names", ())
            return
        at = ""
        for part in name.split("."):
            at = at + "." + part if at else part
            self.enter(at)
        file = find(self.app, name, self.settings)
        for part in self.unbound(file, parts):
            if self.missing(file, name, part):
                raise self.nameless(file, part)
            self.enter(name + "." + part)

    def foreign(self, name, parts):
        """Looks for what is taken from an installed package, which may have more than one can read."""
        try:
            file = find(self.app, name, self.settings)
            unbound = [] if file is None or leading(file) else self.unbound(file, parts)
        except Problem:
            return
        for part in unbound:
            if self.missing(file, name, part):
                exc = self.nameless(file, part)
                exc.sure = False
                raise exc

    def unbound(self, file, parts):
        """Those of the names taken from a module that are none of its own, as far as one can read."""
        names = bound(parse(file)) if parts and (own(file) or installed(file)) else None
        return [part for part in parts if names is not None and part not in names and not part.startswith("__")
            and part not in self.given]

    def missing(self, file, name, part):
        """Whether a name that a module does not bind is no module below it either."""
        try:
            if package(file):
                find(self.app, name + "." + part, self.settings)
                return False
        except Problem:
            pass
        return True

    def nameless(self, file, part):
        """The Problem of a name that a module does not have."""
        names = bound(parse(file))
        near = next(iter(difflib.get_close_matches(part, sorted(names), 1, 0.7)), None)
        return Problem('there is no "%s" in %s' % (part, file), near and "It has %s" % near or "", plain(file))

    def enter(self, name):
        file = find(self.app, name, self.settings)
        if own(file) and file not in self.seen:
            self.read(file, name)


def package(file):
    """Whether a file is a package's."""
    return file is not None and os.path.basename(file) == "__init__.py"


def installed(file):
    """Whether a file is an installed package's and can be read."""
    return file is not None and file.endswith(".py") and bool(INSTALLED & set(file.split(os.sep)))


def own(file):
    """Whether a file is the application's, not the library's and not an installed package's."""
    return (file is not None and file.endswith(".py") and not os.path.realpath(file).startswith(STANDARD)
        and not installed(file))


def leading(file):
    """Whether a file leads imports to where reading does not see."""
    with open(file, "rb") as f:
        text = f.read()
    return any(word in text for word in LEADING)


def wanted(statement, base):
    """The modules that a statement in the package base imports, each with the names taken from
    it."""
    if isinstance(statement, ast.Import):
        return [(alias.name, ()) for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        names = [alias.name for alias in statement.names if alias.name != "*"]
        if not statement.level:
            return [(statement.module, names)]
        try:
            return [(importlib.util.resolve_name("." * statement.level + (statement.module or ""), base), names)]
        except (ImportError, ValueError):
            return []
    named = django(statement)
    return [(named, ())] if named else [(name, ()) for name in later(statement)]


def later(statement):
    """The modules that Django imports for what a module of settings, or of URLs, assigns."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return []
    nodes = list(ast.walk(statement.value))
    texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    target = statement.targets[0].id
    if target == "INSTALLED_APPS":
        return [text.partition(".")[0] for text in texts]
    if target == "ROOT_URLCONF":
        return texts
    if target == "urlpatterns":
        calls = [n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            and n.func.id == "include"]
        named = [c.args[0].value for c in calls if c.args and isinstance(c.args[0], ast.Constant)]
        return [name for name in named if isinstance(name, str)]
    return []


def django(statement):
    """The settings that a statement names for Django, unless the environment does."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if (isinstance(call, ast.Call) and len(call.args) == 2 and isinstance(call.func, ast.Attribute)
            and call.func.attr == "setdefault" and all(isinstance(a, ast.Constant) for a in call.args)
            and call.args[0].value == "DJANGO_SETTINGS_MODULE"):
        return os.environ.get("DJANGO_SETTINGS_MODULE") or str(call.args[1].value)
    return ""


def harmless(statement):
    """Whether a statement leaves alone where modules are found."""
    if isinstance(statement, ast.FunctionDef):
        return not statement.decorator_list
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr)):
        return bool(django(statement)) or not any(isinstance(node, ast.Call) for node in ast.walk(statement))
    return isinstance(statement, (ast.Import, ast.ImportFrom))
