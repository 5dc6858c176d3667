"""py-autoreload."""

import os
import sys
import time

import uwsgi_threads
from uwsgi_report import say


def watch_modules(settings, _uwsgi):
    """py-autoreload: ask for a reload when the file of a loaded module changes."""
    every = (settings["PyAutoreload"] or 0) / 1e9
    if every <= 0:
        return
    skip = set(settings["PyAutoreloadSkip"] or ())

    seen = {}

    def changed():
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if not path or name in skip:
                continue
            try:
                mtime = os.stat(path).st_mtime_ns
            except OSError:
                continue
            if seen.setdefault(path, mtime) != mtime:
                return path

    def watch():
        while True:
            time.sleep(every)
            path = changed()
            if path:
                say("[uwsgi-python-reloader] module/file %s has been modified" % path)
                _uwsgi.tell("reload", "py-autoreload: %s" % path)
                return

    changed()  # what is changed from here on is noticed, before the first interval is over too
    uwsgi_threads.thread(watch, name="uWSGIAutoReloader", daemon=True).start()
