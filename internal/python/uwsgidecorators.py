"""uwsgidecorators: what of uWSGI's module of that name applies to this server.

``postfork``, ``thread``, ``lock`` and ``harakiri`` work. The decorators of uWSGI's signals, spooler
and mules are not there, and the log says what to use instead: a task that is silently never run is
worse than one that is refused.
"""

import contextlib
import functools
import threading

import uwsgi

postfork_chain = []  # what every worker calls after its fork; others append to it, too


def postfork_chain_hook():
    """uwsgi.post_fork_hook: calls all of postfork_chain."""
    for func in postfork_chain:
        func()


uwsgi.post_fork_hook = postfork_chain_hook


def postfork(what):
    """Run the function in every worker after its fork; ``@postfork(2)`` in worker 2 only."""
    if callable(what):
        postfork_chain.append(what)
        return what

    def decorate(func):
        postfork_chain.append(lambda: func() if what in (0, uwsgi.worker_id()) else None)
        return func

    return decorate


def thread(func):
    """A call starts func in a daemon thread of its own and returns func."""

    @functools.wraps(func)
    def call(*args, **kwargs):
        threading.Thread(target=func, args=args, kwargs=kwargs, daemon=True).start()
        return func

    return call


class harakiri:
    """A deadline of ``seconds`` for the request while the decorated function runs."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, func):
        @functools.wraps(func)
        def call(*args, **kwargs):
            uwsgi.set_user_harakiri(self.seconds)
            try:
                return func(*args, **kwargs)
            finally:
                uwsgi.set_user_harakiri(0)

        return call


def lock(func):
    """Only one worker at a time runs the function (uwsgi.lock)."""

    @functools.wraps(func)
    def call(*args, **kwargs):
        uwsgi.lock()
        try:
            return func(*args, **kwargs)
        finally:
            uwsgi.unlock()

    return call


_timers = "use a systemd timer, cron or a task queue such as Celery"
_tasks = "use a task queue such as Celery, RQ or Huey"
_refused = {
    **dict.fromkeys(("timer", "rbtimer", "cron", "filemon", "signal", "get_free_signal"), _timers),
    **dict.fromkeys(("spool", "spoolraw", "spoolforever", "mulefunc", "mule", "muleloop", "mulemsg", "farm"), _tasks),
    "rpc": "use HTTP between your services",
}


def __getattr__(name):
    """Refuse a decorator as a name that is not there: ``from uwsgidecorators import timer`` is an
    ImportError, which people's fallbacks catch."""
    why = "module 'uwsgidecorators' has no attribute %r" % name
    if name in _refused:
        why = "uwsgidecorators.%s is not supported here: %s" % (name, _refused[name])
        with contextlib.suppress(Exception):  # a stderr of the application's own
            uwsgi.log(why)  # Python's ImportError does not hold it
    raise AttributeError(why)
