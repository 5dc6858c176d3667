"""Starts the loader, as ``<python> loader.py <libdir>``: uwsgi_loader.py. A script is compiled
whenever it runs, a module is not.

Any Python can read this file, the ones that cannot run the rest of it, too: it says so.
"""

import json
import os
import socket
import sys


def unfit():
    """Why this interpreter cannot run an application here; None if it can."""
    if sys.version_info < (3, 9):
        return "CPython 3.9 or newer is needed"
    if sys.implementation.name != "cpython":
        return "CPython is needed, and this is %s" % sys.implementation.name
    if "t" in sys.abiflags:
        return ("it is free-threaded: a build with the global interpreter lock is needed (python%d.%d, say)"
                % sys.version_info[:2])
    with open("/proc/self/maps") as f:
        maps = f.read()
    if "/ld-musl-" in maps and "/_uwsgi.abi3.so" not in maps:
        return "it is linked with musl: one that is linked with glibc is needed, or the musllinux wheel of this server"


def refuse(reason):
    """End this process, as the wire to the supervisor demands (internal/loader/doc.go)."""
    said = "%s, Python %s: %s (home names the virtualenv)" % (sys.executable, sys.version.split()[0], reason)
    # 5: SOCK_SEQPACKET
    socket.fromfd(3, socket.AF_UNIX, 5).send(json.dumps({"op": "failed", "error": said, "code": 1}).encode())
    os._exit(1)


if __name__ == "__main__":
    why = unfit()
    if why:
        refuse(why)

# What follows is ours whatever the environment says of sys.path and whatever a sitecustomize has
# imported already.
HERE = os.path.dirname(os.path.abspath(__file__))
OURS = [name[:-3] for name in os.listdir(HERE) if name.endswith(".py") and name.startswith("uwsgi")]
for module in OURS:
    sys.modules.pop(module, None)
sys.path.insert(0, HERE)

import uwsgi_loader

if __name__ == "__main__":
    uwsgi_loader.main(os.path.abspath(sys.argv[1]), OURS)
