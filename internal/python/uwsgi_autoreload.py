"""py-autoreload."""

import os
import sys
import time
from importlib.machinery import SourceFileLoader

import uwsgi_threads
from uwsgi_report import say

_imported = {}  # path -> modification time, in ns, of what was imported of it


def note_imports(settings):
    """Remember what is imported: a file that is saved while the application still loads is newer
    than that."""
    if not settings["PyAutoreload"]:
        return
    theirs = SourceFileLoader.path_stats

    def path_stats(self, path):
        _imported[path] = modified(path)
        return theirs(self, path)

    SourceFileLoader.path_stats = path_stats


def modified(path):
    """When a file was changed last, in ns; 0 where it is not to be had, as for a moment while an
    editor saves it."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def files(skip):
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and name not in skip:
            yield path


def changed(skip):
    """The file of a loaded module that was changed last, and when; each change is told once."""
    found = {}
    for path in files(skip):
        now = modified(path)
        if now and _imported.setdefault(path, now) != now:
            _imported[path] = found[path] = now
    return max(found.items(), key=lambda item: item[::-1]) if found else None


def watch_modules(settings, _uwsgi):
    """py-autoreload: ask for a reload when the file of a loaded module changes, and go on looking:
    the reload may fail."""
    every = (settings["PyAutoreload"] or 0) / 1e9
    if every <= 0:
        return
    skip = set(settings["PyAutoreloadSkip"] or ())
    for path in files(skip):  # what was imported otherwise, extension modules say
        _imported.setdefault(path, modified(path))

    def watch():
        while True:
            time.sleep(every)
            change = changed(skip)
            if change:
                path, when = change
                say("[uwsgi-python-reloader] module/file %s has been modified" % path)
                # The time tells the supervisor one change that several workers see from another
                # one.
                _uwsgi.tell("reload", "py-autoreload: %s, saved %s.%09d" % (
                    path, time.strftime("%H:%M:%S", time.localtime(when // 10**9)), when % 10**9))

    uwsgi_threads.thread(watch, name="uWSGIAutoReloader", daemon=True).start()
