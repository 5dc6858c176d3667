"""Processes that an application makes while it answers."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGCHLD", "SIGUSR1", "SIGUSR2")


def dispositions():
    """What the child finds: the kernel's word, which Python's own view need not match."""
    with open("/proc/self/status") as f:
        lines = {k: v for k, _, v in (line.partition(":") for line in f)}
    caught, ignored, blocked = (int(lines[k], 16) for k in ("SigCgt", "SigIgn", "SigBlk"))
    out = []
    for name in NAMES:
        bit = 1 << (getattr(signal, name) - 1)
        handler = signal.getsignal(getattr(signal, name))
        if blocked & bit:
            out.append(name + " blocked")
        if handler is signal.default_int_handler:
            continue  # what every Python has for SIGINT
        if ignored & bit:
            out.append(name + " ignored")
        elif callable(handler) or caught & bit and handler is not signal.SIG_DFL:
            out.append(name + " caught by %r" % (handler,))
    return ", ".join(out) or "default"


def fork(body):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, dispositions().encode())
        os._exit(7)
    os.close(writer)
    with open(reader) as f:
        text = f.read()
    return "%s, exit %d" % (text, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def fork_and_kill(body):
    """SIGTERM ends a child: that is how everybody ends one."""
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    return "exit %d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def square(n):
    return n * n


def look(_):
    return dispositions()


def pool(body):
    with multiprocessing.get_context("fork").Pool(3) as p:
        return "%s %s" % (sum(p.map(square, range(100))), p.map(look, [0])[0])


def terminate(body):
    p = multiprocessing.get_context("fork").Pool(2)
    p.map_async(time.sleep, [600, 600])
    p.terminate()
    p.join()
    return "terminated"


def process(body):
    q = multiprocessing.get_context("fork").Queue()
    p = multiprocessing.get_context("fork").Process(target=q.put, args=("from the child",))
    p.start()
    text = q.get(timeout=20)
    p.join()
    return "%s, exit %d" % (text, p.exitcode)


def run(body):
    done = subprocess.run(["sh", "-c", "cat; exit 3"], input=body, capture_output=True)
    return "%s, exit %d" % (done.stdout.decode(), done.returncode)


def inherited(body):
    """A program that is started holds none of the server's descriptors."""
    out = subprocess.run(["sh", "-c", "ls -l /proc/self/fd"], capture_output=True, text=True, close_fds=False).stdout
    return "\n".join(line.split(" ", 8)[-1] for line in out.splitlines() if "socket:" in line or "eventpoll" in line or "memfd" in line) or "none"


def returns(body):
    """A child that forgets os._exit comes back into the server; it must not answer for its parent."""
    pid = os.fork()
    if pid == 0:
        return "the child's answer"
    return "exit %d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def child_asks(body):
    """The uwsgi module refuses in a child, and does not hang."""
    import uwsgi

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            uwsgi.reload()
            text = "it reloaded"
        except RuntimeError as exc:
            text = "RuntimeError: %s" % exc
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader) as f:
        return f.read()


def application(environ, start_response):
    f = globals()[environ["PATH_INFO"][1:]]
    text = f(environ["wsgi.input"].read())
    sys.stdout.flush()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
