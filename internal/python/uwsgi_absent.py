"""What uWSGI's module has and this server has not.

What needs an option in uWSGI too (caches, metrics …) gives what it gives there without the
option, and says once in the log what to use instead. What would silently never happen (the spooler,
RPC …) is not there at all: hasattr() is false, and whoever asks reads why.
"""

import sys

_cache = "no cache is configured: write cache2 = name=main,items=1000"
_metrics = "there are no metrics: write metric = NAME"
_legion = "no cluster is configured: write cluster = redis://HOST:PORT/DB"
_scrolls = "there are no scrolls: share data in a cache, cache2 = name=main,url=redis://HOST:PORT/DB"
_spooler = "no spooler is configured: write spooler = FOLDER"
_queue = "no queue is configured: write queue = 100"
_memory = "no shared area is configured: write sharedarea = 1"

# name → (why, what it gives or the error that it raises)
without = {
    "cache_keys": (_cache, ValueError("no local uWSGI cache available")),
    "cache_num": (_cache, 0),
    "i_am_the_lord": (_legion, False),
    "lord_scroll": (_scrolls, None),
    "metric_get": (_metrics, 0),
    "scrolls": (_scrolls, None),
}
without.update(dict.fromkeys(("cache_" + n for n in ("get", "set", "update", "del", "exists", "clear", "inc", "dec",
    "mul", "div")), (_cache, None)))
without.update(dict.fromkeys(("metric_" + n for n in ("inc", "dec", "mul", "div", "set", "set_max", "set_min")),
    (_metrics, None)))

absent = {
    "send_to_spooler": _spooler, "set_spooler_frequency": _spooler, "spool": _spooler, "spooler_get_task": _spooler,
    "spooler_jobs": _spooler, "spooler_pid": _spooler, "spooler_pids": _spooler,
    "embedded_data": "use open()", "route": "there is no internal routing",
    "SymbolsImporter": "install the modules", "SymbolsZipImporter": "install the modules",
    "ZipImporter": "use zipimport, which sys.path does by itself",
}
_families = {"queue_": _queue, "sharedarea_": _memory, "snmp_": "there is no SNMP agent: use stats"}

_said = set()


def _say(name, text):
    if name not in _said:
        _said.add(name)
        try:
            sys.stderr.write(text + "\n")
        except Exception:
            pass


def _function(name, why, gives):
    def call(*args):
        _say(name, "uwsgi.%s: %s; until then it does nothing" % (name, why))
        if isinstance(gives, Exception):
            raise gives
        return gives

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Does what uWSGI's does where none is configured: %s." % why
    return call


functions = {name: _function(name, *what) for name, what in without.items()}


def _asker():
    """Who asks for an attribute, as "in FILE:LINE"; the import system's own frames are passed
    over."""
    frame = sys._getframe(3)
    while frame is not None and frame.f_code.co_filename.startswith("<frozen"):
        frame = frame.f_back
    return "in %s:%d" % (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ""


def why(name):
    """Why the module has no attribute of that name, in words for an AttributeError; what uWSGI has
    is told to the log, too."""
    reason = absent.get(name) or next((r for family, r in _families.items() if name.startswith(family)), None)
    if reason is None:
        return "module 'uwsgi' has no attribute '%s'" % name
    text = "uwsgi.%s is not part of this server: %s" % (name, reason)
    _say(name, "%s (%s)" % (text, _asker()))  # from uwsgi import … makes an ImportError without a reason of it
    return text
