"""The server from Python, as PyPI's pyuwsgi offers it."""

import os
import sys
import sysconfig


def program():
    """The path of the program uwsgi that was installed with this module. FileNotFoundError: it is
    not where this interpreter's programs are."""
    here = os.path.dirname(os.path.abspath(__file__))
    schemes = [sysconfig.get_path("scripts")]
    if hasattr(sysconfig, "get_preferred_scheme"):
        schemes.append(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
    schemes.append(os.path.join(here, "bin"))  # pip install --target
    for folder in schemes:
        path = os.path.join(folder, "uwsgi")
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError("the program uwsgi is in none of " + ", ".join(schemes))


def run(*args):
    """Become the server; it takes this process's place and does not return. ``args`` are those of
    the command line: strings, or lists of strings."""
    argv = []
    for arg in args:
        argv.extend([arg] if isinstance(arg, str) else arg)
    sys.stdout.flush()
    sys.stderr.flush()
    path = program()
    os.execv(path, [path] + argv)
