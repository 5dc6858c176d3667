"""Reading the file of a paste.deploy URI as paste.deploy would, without running what it names: for
``uwsgi check``."""

import configparser
import importlib.metadata
import os

import uwsgi_diagnose
from uwsgi_find import Problem, find

# How a section of an application begins, and what names a factory of one in it.
KINDS = ("app", "application", "composite", "composit", "pipeline", "filter-app")
FACTORIES = ("paste.app_factory", "paste.composite_factory", "paste.composit_factory")


def beside(path):
    """What there is where a file is not."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return "There is no folder %s" % folder
    there = [name for name in uwsgi_diagnose.names(folder) if name.endswith((".ini", ".conf"))]
    return "There is %s" % ", ".join(os.path.join(folder, name) for name in there[:3]) if there else ""


class Reader:
    """Looks at what an application of kind paste or ini-paste is made of; Problem at what is missing.
    ``names(module)`` gives those that a module binds, None where they cannot be known."""

    def __init__(self, app, settings, names):
        self.app, self.settings, self.names = app, settings, names
        self.files, self.seen = {}, set()

    def application(self):
        """The whole of it."""
        uri = self.app["Value"]
        if ":" not in uri.partition("/")[0]:
            uri = "config:" + os.path.abspath(uri)
        name = self.settings["PasteName"] or uri.partition("#")[2] or "main"
        try:
            find(dict(self.app, Kind="module", Value="paste.deploy"), "paste.deploy", self.settings)
        except Problem:
            raise Problem("paste.deploy is not there, which reads %s" % uri, uwsgi_diagnose.join(
                uwsgi_diagnose.interpreter(self.settings), "pip install PasteDeploy, into that Python")) from None
        scheme, _, path = uri.partition("#")[0].partition(":")
        if scheme == "config" and not os.path.isabs(path):
            raise Problem("paste.deploy takes no relative path after config:",
                "write %s" % uwsgi_diagnose.written(self.app, "config:" + os.path.abspath(path)))
        if scheme == "config" and self.settings["PasteLogger"] and not self.read(path).has_section("loggers"):
            raise Problem("there is no [loggers] in %s" % path, "leave paste-logger out, or add the section")
        self.use("", uri.partition("#")[0] + "#" + name)

    def read(self, path):
        """The sections of a file."""
        if path not in self.files:
            closed = uwsgi_diagnose.barrier(path)
            if closed:
                raise Problem(closed, "")
            sections = configparser.RawConfigParser(strict=False)
            sections.optionxform = str
            try:
                with open(path, encoding="utf-8") as f:
                    sections.read_file(f)
            except FileNotFoundError:
                raise Problem("there is no file %s" % path, beside(path)) from None
            except OSError as exc:
                raise Problem("%s: %s" % (path, exc.strerror), "") from None
            except (configparser.Error, ValueError) as exc:
                raise Problem("%s is no file of paste.deploy: %s" % (path, " ".join(str(exc).split())), "") from None
            self.files[path] = sections
        return self.files[path]

    def use(self, path, what):
        """What ``use = `` and a URI may name, in the file at path: another section, another file, a
        distribution or a function."""
        if "%(" in what:
            what = what.replace("%(here)s", os.path.dirname(path))
        scheme, colon, rest = what.partition(":")
        rest, _, name = rest.partition("#")
        if "%(" in what or scheme in ("http", "https"):
            return
        if not colon:
            self.section(path, what)
        elif scheme == "config":
            self.section(os.path.join(os.path.dirname(path), rest), name or "main")
        elif scheme == "call":
            self.function(path, rest)
        elif scheme == "egg":
            try:
                importlib.metadata.distribution(rest)
            except importlib.metadata.PackageNotFoundError:
                raise Problem("%sthere is no distribution %s" % (path and path + ": ", rest), uwsgi_diagnose.join(
                    uwsgi_diagnose.interpreter(self.settings), "pip install %s, into that Python" % rest)) from None

    def section(self, path, name):
        """The application of a name."""
        if (path, name) in self.seen:
            return
        self.seen.add((path, name))
        sections = self.read(path)
        found = next((s for s in sections.sections() for kind in KINDS
            if s == kind + ":" + name or name == "main" and s == kind), None)
        if found is None:
            there = [s.partition(":")[2] for s in sections.sections() if s.partition(":")[0] in KINDS]
            hint = ""
            if there and len(self.seen) == 1:
                hint = "It has %s: write paste-name = %s" % (", ".join(there), there[0])
            raise Problem("there is no [app:%s] in %s" % (name, path), hint)
        values = dict(sections.items(found))
        for factory in FACTORIES:
            if factory in values:
                self.function(path, values[factory])
        if "use" in values:
            self.use(path, values["use"])
        kind = found.partition(":")[0]
        if kind == "pipeline" and values.get("pipeline", "").split():
            self.use(path, values["pipeline"].split()[-1])
        elif kind == "filter-app" and "next" in values:
            self.use(path, values["next"])
        elif kind in ("composite", "composit") and values.get("use", "").endswith("#urlmap"):
            for key, value in values.items():
                if key.startswith(("/", "http:")) and key not in sections.defaults():
                    self.use(path, value)

    def function(self, path, what):
        """MODULE:NAME of a factory."""
        module, _, name = what.partition(":")
        if "%(" in what or not name:
            return
        try:
            names = self.names(module.strip())
        except Problem as exc:
            raise Problem("%s: %s: %s" % (path, what, exc), exc.hint) from None
        first = name.strip().partition(".")[0]
        if names is not None and first not in names:
            raise Problem('%s: there is no "%s" in %s' % (path, first, module), "")
