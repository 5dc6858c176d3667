"""Which interface an application's callable has: WSGI (PEP 3333) or ASGI 3 (asgi.readthedocs.io).

Nothing is called for that. What the signs leave open is WSGI, as it always was.
"""

import functools
import sys
import types

WSGI, ASGI = "wsgi", "asgi"
NOT_PLAIN = 0x04 | 0x08 | 0x80  # inspect.CO_VARARGS, CO_VARKEYWORDS, CO_COROUTINE

# Objects of these classes take whatever they are called with, and are no applications.
COMPLIANT = {"click.core.BaseCommand", "click.core.Command", "typer._click.core.Command", "typer.main.Typer",
    "gradio.blocks.Blocks"}


class Mismatch(Exception):
    """The callable cannot be served, or as another ``interface`` than the configuration says."""

    def __init__(self, text, interface=None, call=None):
        super().__init__(text)
        self.interface = interface
        self.call = call  # where it is no application at all


def find(call, wanted=None):
    """(interface, callable to serve, why) of a callable.

    ``wanted`` is the interface that the configuration names, if any. An application of ASGI 2 is
    given as one of ASGI 3. Why is None where no sign says so.
    """
    interface, why, served = judge(call)
    if wanted and why and interface != wanted:
        raise Mismatch("is no %s application: %s" % (wanted.upper(), why), interface)
    if wanted and interface != wanted:
        return wanted, call, None
    return interface, served, why


def judge(call):
    if type(call) is types.FunctionType and not hasattr(call, "__wrapped__") and plain(call) == 2:
        return WSGI, "it takes two arguments", call  # without inspect, which takes a while to import
    import inspect

    what = name_of(call)
    if inspect.isclass(call):
        if marked(getattr(call, "__call__", None)) and takes(call, 1) and not takes(call, 2):
            return ASGI, "objects of the class %s are called with receive and send (ASGI 2)" % what, Single(call)
        if hasattr(call, "__await__") and takes(call, 3):
            return ASGI, "objects of the class %s are awaited" % what, call
        if whole(call) and not (takes(call, 2) and gives_blocks(call)):
            raise Mismatch("is no application", call=call)
        return WSGI, None, call
    if is_coroutine_function(call):
        if not takes(call, 3):
            raise Mismatch("cannot be served: %s is a coroutine function, but does not take "
                           "scope, receive and send, as ASGI 3 asks" % what)
        return ASGI, "%s is a coroutine function" % what, call
    if known(call, COMPLIANT):
        raise Mismatch("is no application", call=call)
    if takes(call, 2):
        inner = inspect.unwrap(call)
        if takes(call, 3) and inner is not call and is_coroutine_function(inner) and takes(inner, 3):
            return ASGI, "%s is wrapped around a coroutine function" % what, call
        return WSGI, None if takes(call, 3) else "it takes two arguments", call
    if takes(call, 3):
        return ASGI, "%s takes three arguments" % what, call
    if takes(call, 1) and first_name(call) == "scope":
        return ASGI, "%s takes scope alone (ASGI 2)" % what, Single(call)
    unbound = inspect.getattr_static(type(call), "__call__", None)
    if hasattr(call, "__signature__") or isinstance(unbound, (staticmethod, classmethod)):
        return WSGI, None, call  # the signature may be another's, or lack an argument
    raise Mismatch("is no application", call=call)


def known(value, table):
    """The name, in ``table``, of a value's class or of one above it; None: it has none."""
    classes = value.__mro__ if isinstance(value, type) else type(value).__mro__
    names = ("%s.%s" % (one.__module__, one.__qualname__) for one in classes)
    return next((name for name in names if name in table), None)


def whole(cls):
    """Whether calling the class gives an object of it, with what its __init__ takes."""
    return type(cls).__call__ is type.__call__ and cls.__new__ is object.__new__ and not hasattr(cls, "__signature__")


def gives_blocks(cls):
    """Whether an object of the class can be a response of WSGI's."""
    return hasattr(cls, "__iter__") or hasattr(cls, "__getitem__")


def plain(function):
    """How many arguments a function takes; -1: that is not so simple, or it is a coroutine's."""
    code = function.__code__
    if code.co_flags & NOT_PLAIN or code.co_kwonlyargcount or function.__defaults__:
        return -1
    return code.co_argcount


def is_coroutine_function(call):
    """Whether it, what a partial holds, or its __call__ is ``async def``, or marked as such."""
    while isinstance(call, functools.partial):
        call = call.func
    return marked(call) or marked(getattr(call, "__call__", None))


def marked(call):
    import inspect

    if inspect.iscoroutinefunction(call):
        return True
    mark = getattr(sys.modules.get("asyncio.coroutines"), "_is_coroutine", None)  # asgiref's, before Python 3.12
    return mark is not None and getattr(call, "_is_coroutine", None) is mark


def signature(call):
    import inspect

    for one in (call, getattr(call, "__call__", None)):  # inspect sees none in a slot of the object
        try:
            return inspect.signature(one, follow_wrapped=False)
        except (TypeError, ValueError):  # of C, mostly
            pass
    return None


def takes(call, count):
    """Whether it can be called with so many arguments; what does not say takes two."""
    found = signature(call)
    if found is None:
        return count == 2
    try:
        found.bind(*[None] * count)
    except TypeError:
        return False
    return True


def first_name(call):
    return next(iter(signature(call).parameters), None)


def name_of(call):
    while isinstance(call, functools.partial):
        call = call.func
    if isinstance(getattr(call, "__qualname__", None), str):
        return "%s.%s" % (getattr(call, "__module__", None), call.__qualname__)
    return "%s.%s.__call__" % (type(call).__module__, type(call).__qualname__)


class Single:
    """An application of ASGI 2, which is called twice, as one of ASGI 3."""

    def __init__(self, call):
        self.call = call

    async def __call__(self, scope, receive, send):
        await self.call(scope)(receive, send)
