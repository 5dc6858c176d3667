"""Runs bjoern or fastwsgi with several workers: python many.py SERVER HOST PORT WORKERS APP."""

import importlib
import os
import sys

server, host, port, workers, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
sys.path.insert(0, os.getcwd())
application = importlib.import_module(name).application
if server == "bjoern":
    import bjoern

    bjoern.listen(application, host, port, reuse_port=True)
    children = []
    for _ in range(workers - 1):
        pid = os.fork()
        if pid == 0:
            break
        children.append(pid)
    bjoern.run()
else:
    import fastwsgi

    fastwsgi.run(application, host, port, loglevel=1, workers=workers)
