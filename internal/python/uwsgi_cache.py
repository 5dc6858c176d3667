"""uwsgi.cache_*: the functions of C as they are, and what the configuration puts into a cache."""

import gzip

from uwsgi_report import WARNING, placed, say

NAMES = ["cache_" + name for name in ("get", "set", "update", "del", "exists", "clear", "keys", "inc", "dec", "mul",
    "div", "num")]


remote = None  # uwsgi_redis_cache.Caches, where one is in Redis


def functions(shared):
    """The functions by name."""
    return {name: getattr(shared, name) for name in NAMES}


def complete(found, settings):
    """Add the caches in Redis to those functions, and what is in all of them from the start."""
    if remote:
        local = {name: found[name] for name in NAMES if name in found}
        found.update(remote(settings["Caches"], local).functions())
    if "cache_update" in found:
        fill(found["cache_update"], settings)


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
            option = "load-file-in-cache-gzip" if file["Gzip"] else "load-file-in-cache"
            say("%s: %s" % (placed(settings, option, file["Text"]), exc), WARNING)
            continue
        put(update, path, gzip.compress(content) if file["Gzip"] else content, cache)


def put(update, key, value, cache):
    if not update(key, value, 0, cache):
        say("[cache] unable to store %s in the cache%s: it is too large, or the cache full" % (key,
            cache and " " + cache),
            WARNING)
