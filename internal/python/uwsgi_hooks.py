"""The hooks that run in a worker: hook-post-fork, hook-accepting, hook-accepting1 and their -once
forms.

The supervisor runs the hooks of all earlier phases (internal/hooks/hooks.go).
"""

import os
import socket
import sys
import time

from uwsgi_report import place


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


def _chown(user_of, group_of):
    def chown(arg):
        path, user, group = arg.split()
        os.chown(path, user_of(user), group_of(group))

    return chown


def _user(name):
    import pwd

    return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid


def _group(name):
    import grp

    return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid


def _write_fifo(arg):
    """Where somebody reads it: a FIFO without a reader is not waited for."""
    path, _, text = arg.partition(" ")
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _accepts(address):
    host, colon, port = address.rpartition(":")
    tcp = colon and not address.startswith("/")
    try:
        with socket.socket(socket.AF_INET if tcp else socket.AF_UNIX) as s:
            s.settimeout(1)
            s.connect((host, int(port)) if tcp else address)
        return True
    except OSError:
        return False


def _wait_for(there):
    """Look once a second, for a minute as uWSGI does."""
    def wait(arg):
        late = time.monotonic() + 60
        while not there(arg):
            if time.monotonic() > late:
                raise OSError("waiting for %s: it is not there after a minute" % arg)
            _say("waiting for %s ..." % arg)
            time.sleep(1)

    return wait


def _alarm(arg):
    import uwsgi

    name, found, message = arg.partition(" ")
    if not found:
        raise ValueError("alarm: %r is not NAME MESSAGE" % arg)
    uwsgi.alarm(name, message)


def _say(text):
    sys.stderr.write(text + "\n")


_actions = {
    "exec": _shell, "safeexec": _safe, "cd": os.chdir, "chdir": os.chdir, "mkdir": os.mkdir,
    "putenv": _putenv, "chmod": _chmod,
    "create": _put("w"), "creat": _put("w"), "write": _put("w"), "writen": _put("w", "\n"), "append": _put("a"),
    "appendn": _put("a", "\n"),
    "chown": _chown(_user, _group), "chown2": _chown(int, int), "sticky": lambda arg: os.chmod(arg, 0o1777),
    "writefifo": _write_fifo,
    "hostname": socket.sethostname, "wait_for_fs": _wait_for(os.path.exists),
    "wait_for_file": _wait_for(os.path.isfile),
    "wait_for_dir": _wait_for(os.path.isdir), "wait_for_socket": _wait_for(_accepts),
    "unlink": os.unlink, "print": _say, "log": _say, "alarm": _alarm, "exit": lambda arg: os._exit(int(arg or 0)),
}


def run(settings, slot, *phases):
    """Run the worker's hooks of these phases in the order they were written; ValueError from the first
    that fails, with the place where it was written.

    accepting1 and accepting1-once are for worker 1 alone.
    """
    for hook in settings["Hooks"] or ():
        if hook["Phase"] not in phases or ("accepting1" in hook["Phase"] and slot != 1):
            continue
        shown = "--- PRIVATE HOOK ---" if hook["Private"] else '"%s:%s"' % (hook["Action"], hook["Arg"])
        _say("running %s (%s)..." % (shown, hook["Phase"]))
        action = _actions.get(hook["Action"])
        try:
            if action is None:
                raise ValueError("hook action not found in a worker: %s" % hook["Action"])
            action(hook["Arg"])
        except (OSError, ValueError, LookupError) as exc:
            raise ValueError("%s%s: %s" % (place(hook["Origin"]), hook["Option"], exc)) from exc
