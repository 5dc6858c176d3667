"""Starts the loader, as ``<python> loader.py <libdir>``: uwsgi_loader.py. A script is compiled
whenever it runs, a module is not.

Any Python can read this file and uwsgi_unfit.py, the ones that cannot run the rest, too: it says
so.
"""

import json
import os
import socket
import sys


def refuse(reason):
    """End this process, as the wire to the supervisor demands (internal/loader/doc.go)."""
    said = "%s, Python %s: %s (home names the virtualenv)" % (sys.executable, sys.version.split()[0], reason)
    # 5: SOCK_SEQPACKET
    socket.fromfd(3, socket.AF_UNIX, 5).send(json.dumps({"op": "failed", "error": said, "code": 1}).encode())
    os._exit(1)


# What follows is ours whatever the environment says of sys.path and whatever a sitecustomize has
# imported already.
HERE = os.path.dirname(os.path.abspath(__file__))
OURS = [name[:-3] for name in os.listdir(HERE) if name.endswith(".py") and name.startswith("uwsgi")]
for module in OURS:
    sys.modules.pop(module, None)
sys.path.insert(0, HERE)

import uwsgi_unfit

if __name__ == "__main__":
    why = uwsgi_unfit.unfit()
    if why:
        refuse(why)

import uwsgi_loader

if __name__ == "__main__":
    uwsgi_loader.main(os.path.abspath(sys.argv[1]), OURS)
