"""Several applications in one interpreter: none may get what is another's.

uWSGI gives each mount an interpreter of its own. Here they share one, and with it the modules: of
two that have the same name the one that is imported first would answer for both. So what each
application finds on its own sys.path is compared with what it got.
"""

import collections
import importlib.machinery
import os
import sys

from uwsgi_report import ERROR, say

DJANGO = "DJANGO_SETTINGS_MODULE"
WAY_OUT = ("all mounts live in one interpreter, where one would answer with what is the other's: start an "
           "instance for each of them (the emperor does), or set single-interpreter where they are to share it")


class Shared(Exception):
    """Two applications cannot live in one interpreter."""


class Tenant:
    """An application that was loaded: its sys.path, and the top-level modules it brought along."""

    def __init__(self, app, path, added, brought, settings):
        self.label = "%s (%s)" % (app["Mount"] or "/", app["Value"])
        self.path, self.added, self.brought, self.settings = path, added, brought, settings


class Tenants:
    def __init__(self, settings):
        self.all = []
        self.share = settings["SingleInterpreter"] or len(settings["Apps"] or ()) < 2
        self.given = DJANGO in os.environ  # for all of them

    def __enter__(self):
        """Before an application is loaded."""
        self.path, self.modules, self.wanted = collections.Counter(sys.path), set(sys.modules), []
        if not self.share:
            os.environ.setdefault = self.setdefault
        return self

    def __exit__(self, *exc):
        vars(os.environ).pop("setdefault", None)

    def setdefault(self, name, value):
        """os.environ.setdefault, by which wsgi.py of a Django project names its settings: what an
        earlier one has set stays, and is not its own."""
        if name == DJANGO and not self.given:
            self.wanted.append(value)
        return type(os.environ).setdefault(os.environ, name, value)

    def add(self, app):
        """Take in the application that was loaded; Shared where it cannot live with one before
        it."""
        if self.share:
            return
        added = collections.Counter(sys.path) - self.path
        brought = {name: file_of(module) for name, module in list(sys.modules.items())
                   if name not in self.modules and "." not in name and not name.startswith("uwsgi_file_")}
        new = Tenant(app, own_path(self.all, added), set(added), brought, settings_of(self.wanted))
        for old in self.all:
            compare(old, new)
        self.all.append(new)
        if len(self.all) == 2:
            sys.meta_path.insert(0, Late(self.all))


def own_path(others, added):
    """sys.path as it would be without what the others have added."""
    theirs = set().union(*(other.added for other in others)) if others else set()
    return [entry for entry in sys.path if entry not in theirs or entry in added]


def compare(old, new):
    if new.settings and old.settings and new.settings != old.settings:
        raise Shared("%s wants the Django settings %s, and %s has set up %s: %s" % (new.label, new.settings,
            old.label, old.settings, WAY_OUT))
    for name, file in old.brought.items():
        differ(name, old, file, new, find(name, new.path))
    for name, file in new.brought.items():
        differ(name, old, find(name, old.path), new, file)


def differ(name, old, of_old, new, of_new):
    if of_old and of_new and of_old != of_new:
        raise Shared("%s and %s both have a module %s, %s and %s: %s" % (old.label, new.label, name,
            of_old, of_new, WAY_OUT))


def settings_of(wanted):
    """The Django settings that an application which was loaded just now wants, None where there are
    none."""
    return wanted[-1] if wanted else os.environ.get(DJANGO)


def find(name, path):
    """The file of a top-level module on a path, None where there is none."""
    try:
        spec = importlib.machinery.PathFinder.find_spec(name, path)
    except Exception:
        return None
    return place(spec)


def file_of(module):
    try:
        return place(module.__spec__)
    except Exception:  # not all that is in sys.modules is a module
        return None


def place(spec):
    """The file that a module comes from; the first folder of a package without one (PEP 420)."""
    if spec is None:
        return None
    if spec.has_location:
        return os.path.realpath(spec.origin)
    for folder in spec.submodule_search_locations or ():
        return os.path.realpath(folder)
    return None


class Late:
    """Finds, before anybody else, the top-level modules that an application imports later on, in a
    request: one that means something else to another application is not imported."""

    def __init__(self, tenants):
        self.tenants, self.said = tenants, set()

    def find_spec(self, name, path=None, target=None):
        if path is None:
            first = self.tenants[0]
            for other in self.tenants[1:]:
                try:
                    differ(name, first, find(name, first.path), other, find(name, other.path))
                except Shared as exc:
                    if name not in self.said:
                        say(str(exc), ERROR)
                    self.said.add(name)
                    raise ImportError(str(exc), name=name) from None
        return None
