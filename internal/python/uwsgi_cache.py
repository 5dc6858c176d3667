"""uwsgi.cache_*: the functions of C as they are, and what the configuration puts into a cache."""

import gzip

from uwsgi_report import WARNING, say

NAMES = ["cache_" + name for name in ("get", "set", "update", "del", "exists", "clear", "keys", "inc", "dec", "mul",
    "div", "num")]


class Backend:
    """Where a cache is that is not in shared memory: the functions of NAMES without the prefix and
    without the argument that names the cache, with the answers of uWSGI's. ``name`` is the
    cache's."""

    def __init__(self, name):
        self.name = name


def functions(shared, settings, backends=()):
    """The functions by name; those of ``backends``, by the name that a call gives."""
    found = {name: getattr(shared, name) for name in NAMES}
    if backends:
        by_name = {backend.name: backend for backend in backends}
        found = {name: _chosen(name, local, by_name) for name, local in found.items()}
    fill(found["cache_update"], settings)
    return found


# Where the name of the cache stands among the arguments.
_PLACE = {"cache_set": 3, "cache_update": 3, "cache_inc": 3, "cache_dec": 3, "cache_mul": 3, "cache_div": 3,
          "cache_clear": 0, "cache_keys": 0}


def _chosen(name, local, backends):
    place, method = _PLACE.get(name, 1), name[len("cache_"):]

    def call(*args):
        backend = backends.get(args[place]) if len(args) == place + 1 else None
        return getattr(backend, method)(*args[:place]) if backend else local(*args)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = local.__doc__
    return call


def fill(update, settings):
    """What add-cache-item and load-file-in-cache ask for."""
    for text in settings["CacheItems"] or ():
        head, _, value = text.partition("=")
        cache, _, key = head.rpartition(" ")
        put(update, key, value, cache)
    for file in settings["CacheFiles"] or ():
        cache, _, path = file["Text"].rpartition(" ")
        try:
            with open(path, "rb") as f:
                content = f.read()
        except OSError as exc:
            say("load-file-in-cache: %s" % exc, WARNING)
            continue
        put(update, path, gzip.compress(content) if file["Gzip"] else content, cache)


def put(update, key, value, cache):
    if not update(key, value, 0, cache):
        say("[cache] unable to store %s in the cache%s: it is too large, or the cache full" % (key,
            cache and " " + cache),
            WARNING)
