import os
import pickle
import sys
import threading

import uwsgi

if hasattr(uwsgi, "__file__"):  # ours, whatever else is installed
    from importlib import util

    spec = util.spec_from_file_location("uwsgidecorators", os.path.join(os.path.dirname(uwsgi.__file__), "uwsgidecorators.py"))
    d = util.module_from_spec(spec)
    sys.modules["uwsgidecorators"] = d
    spec.loader.exec_module(d)
else:
    import uwsgidecorators as d


class Names(list):
    """Notes what functions were called with."""

    def __call__(self, *args, **kwargs):
        self.append((args, kwargs))
        return "called"


def f(*args, **kwargs):
    return "f", args, kwargs


def named(name):
    def function(*args, **kwargs):
        noted.append((name, args, kwargs))
        return name

    function.__name__ = name
    return function


noted = []
forked = []


@d.postfork
def here():
    forked.append("every")


@d.postfork(1)
def first():
    forked.append("first")


@d.postfork(2)
def second():
    forked.append("second")


sent = []
spooled = lambda job: sent.append(job) or b"name"


def spooling(decorate, *args, **kwargs):
    """What a decorated function puts into a spooler."""
    real, had = getattr(uwsgi, "spool", None), dict(uwsgi.opt)
    uwsgi.spool, uwsgi.opt["spooler"] = spooled, b"here"
    try:
        answer = decorate(*args, **kwargs)
        job = sent.pop()
        return answer, {k: pickle.loads(v) if k in (b"args", b"kwargs") else v for k, v in sorted(job.items())}
    finally:
        if real is None:
            del uwsgi.spool
        else:
            uwsgi.spool = real
        uwsgi.opt.clear()
        uwsgi.opt.update(had)


def spooler(what):
    """A decorator where there is a spooler."""
    had = dict(uwsgi.opt)
    uwsgi.opt["spooler"] = b"here"
    try:
        return what()
    finally:
        uwsgi.opt.clear()
        uwsgi.opt.update(had)


def registered(decorate):
    """Which signal a decorator has registered, and what it gives."""
    before = {n for n in range(256) if uwsgi.signal_registered(n)}
    given = decorate(f)
    return given is f, sorted({n for n in range(256) if uwsgi.signal_registered(n)} - before)


def ask(text):
    try:
        return repr(eval(text))
    except Exception as exc:
        return type(exc).__name__ + (": %s" % exc if "argument" not in str(exc) or "must be" in str(exc) else "")


def application(environ, start_response):
    start_response("200 OK", [])
    lines = environ["wsgi.input"].read().decode().split("\n")
    return ["\n".join("%s => %s" % (line, ask(line)) for line in lines if line and line[0] != "#").encode()]
