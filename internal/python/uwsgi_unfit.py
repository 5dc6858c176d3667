"""Says why an interpreter cannot run an application here, and which libraries are for it. Any Python
can read this file."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FREE_THREADED = "t" in getattr(sys, "abiflags", "")
# The ABI of the libraries for this interpreter, as the tags of wheels say it.
ABI = "cp%d%dt" % sys.version_info[:2] if FREE_THREADED else "abi3"


def library(name, folder=HERE):
    """The file of an extension module of this server, ``_uwsgi`` or ``_uwsgi_shared``."""
    return os.path.join(folder, "%s.%s.so" % (name, ABI))


def unfit(preloaded=True):
    """Why this interpreter cannot run an application here; None if it can. Whether it was linked with
    the right libc shows where the worker library is ``preloaded``."""
    if sys.version_info < (3, 9):
        return "CPython 3.9 or newer is needed"
    if sys.implementation.name != "cpython":
        return "CPython is needed, and this is %s" % sys.implementation.name
    with open("/proc/self/maps") as f:
        maps = f.read()
    if FREE_THREADED and "/ld-musl-" in maps:
        return ("it is free-threaded and linked with musl, for which there is no library yet: a build with the global "
                "interpreter lock is needed")
    missing = "" if os.path.exists(library("_uwsgi")) else os.path.basename(library("_uwsgi"))
    if missing and FREE_THREADED:
        return ("it is free-threaded, and the library for that, %s, is not in %s: install this server's %s "
                "wheel, or use a build with the global interpreter lock (python%d.%d, say)" % (
                    (missing, HERE, ABI) + sys.version_info[:2]))
    if missing:
        return ("it has the global interpreter lock, and the library for that, %s, is not in %s, but one for "
                "free-threaded builds: install this server's abi3 wheel" % (missing, HERE))
    if preloaded and "/ld-musl-" in maps and "/_uwsgi.abi3.so" not in maps:
        return "it is linked with musl: one that is linked with glibc is needed, or the musllinux wheel of this server"
