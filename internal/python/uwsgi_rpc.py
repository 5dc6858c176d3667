"""Functions that are called by name: uwsgi.register_rpc, rpc, call and rpc_list.

They belong to the process: what is registered while the application is imported is every worker's,
what a request registers is its worker's alone, as in uWSGI. A call runs in the process that makes
it; other machines are not called.
"""

import sys
import traceback

ASYNC = 0x80 | 0x200  # inspect.CO_COROUTINE, CO_ASYNC_GENERATOR
LONGEST = 254  # bytes of a name

_functions = {}  # name in bytes → function


def register(name, function, worker):
    """Give function a name; worker is the number of the process, 0 while the application is
    imported."""
    if not isinstance(name, str):
        raise TypeError("register_rpc() argument 1 must be str, not %s" % type(name).__name__)
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & ASYNC:
        raise TypeError("register_rpc(): %s is async, and whoever calls it does not wait: give a plain function" % name)
    if len(name.encode()) > LONGEST:
        raise ValueError("unable to register rpc function")
    _functions[name.encode()] = function
    where = 'registered RPC function "%s" on worker %d' % (name, worker) if worker else \
        'registered shared/inherited RPC function "%s"' % name
    sys.stderr.write(where + "\n")
    return True


def call(words):
    """What the function gives that words[0] names, called with the others; None where there is
    none, it fails, or what it gives is no bytes."""
    if not words or not all(isinstance(word, bytes) for word in words):
        raise ValueError("unable to call rpc function")
    function = _functions.get(words[0])
    if function is None:
        return None
    try:
        answer = function(*words[1:])
    except Exception:
        traceback.print_exc()
        return None
    return answer if isinstance(answer, bytes) and answer else None


def remote(node):
    """Whether node names another machine."""
    return isinstance(node, (str, bytes)) and len(node) > 0


def names():
    """The names of all functions, in the order of their registration."""
    return tuple(_functions)
