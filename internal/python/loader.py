"""Starts the loader, as ``<python> loader.py <libdir>``: uwsgi_loader.py. A script is compiled whenever it runs, a module is not."""

import os
import sys

# What follows is ours whatever the environment says of sys.path and whatever a sitecustomize has imported already.
HERE = os.path.dirname(os.path.abspath(__file__))
OURS = [name[:-3] for name in os.listdir(HERE) if name.endswith(".py") and name.startswith("uwsgi")]
for module in OURS:
    sys.modules.pop(module, None)
sys.path.insert(0, HERE)

import uwsgi_loader

if __name__ == "__main__":
    uwsgi_loader.main(os.path.abspath(sys.argv[1]), OURS)
