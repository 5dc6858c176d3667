"""uwsgidecorators: what of uWSGI's module of that name applies to this server.

``postfork``, ``thread``, ``lock`` and ``harakiri`` work. The decorators of uWSGI's signals, spooler and mules raise at once, with what to use
instead: a task that is silently never run is worse than one that is refused.
"""

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


def _refused(name, instead):
    def decorator(*args, **kwargs):
        raise NotImplementedError("uwsgidecorators.%s is not supported here: %s" % (name, instead))

    decorator.__name__ = name
    decorator.__doc__ = "Not supported: %s." % instead
    return decorator


_timers = "use a systemd timer, cron or a task queue such as Celery"
_tasks = "use a task queue such as Celery, RQ or Huey"
timer, rbtimer, cron, filemon, signal = (_refused(n, _timers) for n in ("timer", "rbtimer", "cron", "filemon", "signal"))
spool, spoolraw, spoolforever = (_refused(n, _tasks) for n in ("spool", "spoolraw", "spoolforever"))
mulefunc, mule, muleloop, mulemsg, farm = (_refused(n, _tasks) for n in ("mulefunc", "mule", "muleloop", "mulemsg", "farm"))
rpc = _refused("rpc", "use HTTP between your services")
get_free_signal = _refused("get_free_signal", _timers)
