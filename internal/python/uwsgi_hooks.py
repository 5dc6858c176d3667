"""The hooks that run in a worker: hook-post-fork, hook-accepting, hook-accepting1 and their -once forms.

The supervisor runs the hooks of all earlier phases (internal/control/hooks.go).
"""

import os
import sys


def _shell(command):
    code = _call(command)
    if code:
        raise OSError('command "%s" exited with non-zero code: %d' % (command, code))


def _safe(command):
    _call(command)


def _call(command):
    import subprocess  # few configurations need it, and it takes a while

    return subprocess.call(["/bin/sh", "-c", command])


def _put(mode, end=""):
    def write(arg):
        path, _, text = arg.partition(" ")
        with open(path, mode) as f:
            f.write(text + end)

    return write


def _putenv(arg):
    name, _, value = arg.partition("=")
    os.environ[name] = value


def _chmod(arg):
    path, mode = arg.split()
    os.chmod(path, int(mode, 8))


def _say(text):
    sys.stderr.write(text + "\n")


_actions = {
    "exec": _shell, "safeexec": _safe, "cd": os.chdir, "chdir": os.chdir, "mkdir": os.mkdir, "putenv": _putenv, "chmod": _chmod,
    "create": _put("w"), "creat": _put("w"), "write": _put("w"), "writen": _put("w", "\n"), "append": _put("a"), "appendn": _put("a", "\n"),
    "unlink": os.unlink, "print": _say, "log": _say, "exit": lambda arg: os._exit(int(arg or 0)),
}


def run(settings, slot, *phases):
    """Run the worker's hooks of these phases in the order they were written; OSError or ValueError from the first that fails.

    accepting1 and accepting1-once are for worker 1 alone.
    """
    for hook in settings["Hooks"] or ():
        if hook["Phase"] not in phases or ("accepting1" in hook["Phase"] and slot != 1):
            continue
        shown = "--- PRIVATE HOOK ---" if hook["Private"] else '"%s:%s"' % (hook["Action"], hook["Arg"])
        _say("running %s (%s)..." % (shown, hook["Phase"]))
        action = _actions.get(hook["Action"])
        if action is None:
            raise ValueError("hook action not found in a worker: %s" % hook["Action"])
        action(hook["Arg"])
