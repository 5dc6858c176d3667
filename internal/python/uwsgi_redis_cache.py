"""uwsgi.cache_* of caches in Redis: arguments and answers are those of the caches in shared memory
(cmd/uwsgi-shared/pycache.c), which the same functions serve beside them."""

from uwsgi_redis import RedisError, ask

WORDS = {"inc": 1, "dec": 1, "mul": 2, "div": 2}  # and what they count by unasked


class Cache:
    """A cache in Redis. Where that is away nothing is there, and nothing can be put."""

    def __init__(self, cache):
        self.name, self.url = cache["Name"], cache["URL"]
        # as they are rounded in shared memory
        self.key_size, self.value_size = (cache["KeySize"] + 7) & ~7, (cache["BlockSize"] + 7) & ~7

    def ask(self, op, *args):
        try:
            return ask(op, self.url, self.name, *args, largest=self.value_size if op == "get" else 0)
        except RedisError:
            return []

    def do(self, op, key, *args):
        if not 0 < len(key) <= self.key_size or op in ("set", "update") and not 0 < len(args[0]) <= self.value_size:
            return None
        return True if self.ask(op, key, *args) else None


def text(function, number, value):
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value)
    raise TypeError("%s() argument %d must be str or read-only bytes-like object" % (function, number))


def whole(args, at, default=0):
    if at >= len(args):
        return default
    if not isinstance(args[at], int):
        raise TypeError("an integer is required")
    if not -1 << 63 <= args[at] < 1 << 63:
        raise OverflowError("int too big to convert")
    return int(args[at])  # True is one


class Caches:
    """The functions, of ``caches`` as the settings have them and, by name, those of shared memory."""

    def __init__(self, caches, local):
        self.local = local  # {}: there are none
        self.caches = {cache["Name"]: Cache(cache) for cache in caches if cache["URL"]}
        self.first = self.caches.get(caches[0]["Name"])  # what no name stands for; None: a local one

    def chosen(self, function, args, least, at):
        """The cache that is meant, None if it is none in Redis."""
        if not least <= len(args) <= at + 1:
            few = len(args) < least
            n = least if few else at + 1
            raise TypeError("%s() takes at %s %d argument%s (%d given)" % (
                function, "least" if few else "most", n, "" if n == 1 else "s", len(args)))
        if at >= len(args):
            return self.first
        name = args[at]
        if not isinstance(name, str):
            raise TypeError("%s() argument %d must be str" % (function, at + 1))
        if "\0" in name:
            raise ValueError("embedded null character")
        return self.caches.get(name) if name else self.first

    def other(self, function, args, otherwise=None):
        """What those in shared memory answer."""
        return self.local[function](*args) if self.local else otherwise

    def functions(self):
        found = {"cache_" + name: getattr(self, name) for name in
            ("get", "set", "update", "exists", "clear", "keys", "num")}
        found["cache_del"] = self.delete
        for word, by in WORDS.items():
            found["cache_" + word] = self.calculation("cache_" + word, word, by)
        return found

    def get(self, *args):
        cache = self.chosen("cache_get", args, 1, 1)
        key = text("cache_get", 1, args[0])
        if cache is None:
            return self.other("cache_get", args)
        found = cache.ask("get", key)
        return found[0] if found else None

    def put(self, function, op, args):
        cache = self.chosen(function, args, 2, 3)
        key, value, seconds = text(function, 1, args[0]), text(function, 2, args[1]), whole(args, 2)
        return self.other(function, args) if cache is None else cache.do(op, key, value, seconds)

    def set(self, *args):
        return self.put("cache_set", "set", args)

    def update(self, *args):
        return self.put("cache_update", "update", args)

    def exists(self, *args):
        cache = self.chosen("cache_exists", args, 1, 1)
        key = text("cache_exists", 1, args[0])
        return self.other("cache_exists", args) if cache is None else cache.do("exists", key)

    def delete(self, *args):
        cache = self.chosen("cache_del", args, 1, 1)
        key = text("cache_del", 1, args[0])
        return self.other("cache_del", args) if cache is None else cache.do("del", key)

    def clear(self, *args):
        cache = self.chosen("cache_clear", args, 0, 0)
        return self.other("cache_clear", args) if cache is None else True if cache.ask("clear") else None

    def keys(self, *args):
        cache = self.chosen("cache_keys", args, 0, 0)
        if cache is not None:
            return cache.ask("keys")
        if not self.local:
            raise ValueError("no local uWSGI cache available")
        return self.local["cache_keys"](*args)

    def num(self, *args):
        cache = self.chosen("cache_num", args, 1, 1)
        key = text("cache_num", 1, args[0])
        if cache is None:
            return self.other("cache_num", args, 0)
        found = cache.ask("num", key)
        return int.from_bytes(found[0], "little", signed=True) if found and len(found[0]) == 8 else 0

    def calculation(self, function, word, by):
        def calculate(*args):
            cache = self.chosen(function, args, 1, 3)
            key, number, seconds = text(function, 1, args[0]), whole(args, 1, by), whole(args, 2)
            return self.other(function, args) if cache is None else cache.do("arith", key, word, number, seconds)

        calculate.__name__ = calculate.__qualname__ = function
        return calculate
