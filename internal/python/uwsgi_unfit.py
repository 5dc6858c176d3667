"""Says why an interpreter cannot run an application here. Any Python can read this file."""

import sys


def unfit(preloaded=True):
    """Why this interpreter cannot run an application here; None if it can. Whether it was linked with
    the right libc shows where the worker library is ``preloaded``."""
    if sys.version_info < (3, 9):
        return "CPython 3.9 or newer is needed"
    if sys.implementation.name != "cpython":
        return "CPython is needed, and this is %s" % sys.implementation.name
    if "t" in sys.abiflags:
        return ("it is free-threaded: a build with the global interpreter lock is needed (python%d.%d, say)"
                % sys.version_info[:2])
    with open("/proc/self/maps") as f:
        maps = f.read()
    if preloaded and "/ld-musl-" in maps and "/_uwsgi.abi3.so" not in maps:
        return "it is linked with musl: one that is linked with glibc is needed, or the musllinux wheel of this server"
