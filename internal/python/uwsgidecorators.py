"""uwsgidecorators: uWSGI's module of that name."""

import functools
import pickle
import sys
import threading
import types

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
    """Only one worker at a time runs the function (uwsgi.lock); the spooler does not, as in uWSGI."""

    @functools.wraps(func)
    def call(*args, **kwargs):
        if uwsgi.i_am_the_spooler():
            return None
        uwsgi.lock()
        try:
            return func(*args, **kwargs)
        finally:
            uwsgi.unlock()

    return call


spooler_functions = {}  # by name: what a job asks for


def manage_spool_request(variables):
    """uwsgi.spooler: calls the decorated function that a job is for."""
    given = {_text(key): value for key, value in variables.items()}
    if "args" in given:
        given["args"], given["kwargs"] = pickle.loads(given["args"]), pickle.loads(given["kwargs"])
    given = {key: _text(value) for key, value in given.items()}
    function = spooler_functions[given["ud_spool_func"]]
    if "args" in given:
        answer = function(*given["args"], **given["kwargs"])
    else:
        answer = function(given)
    if isinstance(answer, types.CoroutineType):
        import asyncio  # few need it, and it is large

        answer = asyncio.run(answer)
    return int(given.get("ud_spool_ret", answer))


uwsgi.spooler = manage_spool_request


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def _octets(value):
    if isinstance(value, (int, float)):  # at, say
        value = str(value)
    return value.encode() if isinstance(value, str) else value


class _spoolraw:
    """A function whose call puts a job, which then calls it; ``f`` is the function itself."""

    answer = None  # what the job returns whatever the function does

    def __init__(self, f, pass_arguments=False):
        if "spooler" not in uwsgi.opt and "spooler-external" not in uwsgi.opt:
            raise Exception("you have to enable the uWSGI spooler to use @%s decorator" % type(self).__name__)
        self.f, self.pass_arguments = f, pass_arguments
        self.base_dict = {"ud_spool_func": f.__name__}
        if self.answer is not None:
            self.base_dict["ud_spool_ret"] = str(self.answer)
        spooler_functions[f.__name__] = f
        f.spool = self.__call__

    def __call__(self, *args, **kwargs):
        job = dict(self.base_dict)
        if self.pass_arguments:
            job.update((key, kwargs.pop(key)) for key in ("spooler", "priority", "at", "body") if key in kwargs)
            job.update(kwargs.pop("message_dict", {}))
            job.update(args=pickle.dumps(args), kwargs=pickle.dumps(kwargs))
        else:
            job.update(*args[:1], **kwargs)
        return uwsgi.spool({_octets(key): _octets(value) for key, value in job.items()})

    def spool(self, *args, **kwargs):
        """The same."""
        return self(*args, **kwargs)


class _spool(_spoolraw):
    answer = uwsgi.SPOOL_OK


class _spoolforever(_spoolraw):
    answer = uwsgi.SPOOL_RETRY


def spool_decorate(f=None, pass_arguments=False, _class=_spoolraw):
    """What @spoolraw, @spool and @spoolforever are."""
    if f is None:
        return functools.partial(_class, pass_arguments=pass_arguments)
    return _class(f, pass_arguments)


def spoolraw(f=None, pass_arguments=False):
    """A call puts a job, with the arguments: a dict or keywords of str or bytes (with
    ``pass_arguments`` anything that pickle can), and at, priority, spooler and body (uwsgi.spool).
    The function is called with the dict, and returns one of the SPOOL_ constants."""
    return spool_decorate(f, pass_arguments)


def spool(f=None, pass_arguments=False):
    """The same, and the job is done when the function returns, whatever."""
    return spool_decorate(f, pass_arguments, _spool)


def spoolforever(f=None, pass_arguments=False):
    """The same, and the job is run again and again."""
    return spool_decorate(f, pass_arguments, _spoolforever)


def rpc(name):
    """The function is what uwsgi.call(name) calls (uwsgi.register_rpc)."""

    def decorate(func):
        uwsgi.register_rpc(name, func)
        return func

    return decorate


def get_free_signal():
    """The lowest number of a signal that has no handler."""
    for number in range(256):
        if not uwsgi.signal_registered(number):
            return number
    raise Exception("No free uwsgi signal available")


class signal:
    """The function is the handler of signal ``num``, in the process that ``target`` says
    (uwsgi.register_signal)."""

    def __init__(self, num, **kwargs):
        self.num, self.target = num, kwargs.get("target", "")

    def __call__(self, f):
        uwsgi.register_signal(self.num, self.target, f)
        return f


class _source:
    """A decorator whose function is the handler of a signal that something raises."""

    def __init__(self, add, what, kwargs):
        self.add, self.what, self.num, self.target = add, what, kwargs.get("signum"), kwargs.get("target", "")

    def __call__(self, f):
        number = get_free_signal() if self.num is None else self.num
        uwsgi.register_signal(number, self.target, f)
        self.add(number, *self.what)
        return f


class timer(_source):
    """The function runs every ``secs``: @timer(60, target="worker1")."""

    def __init__(self, secs, **kwargs):
        super().__init__(uwsgi.add_timer, (secs,), kwargs)


class rbtimer(_source):
    """The same: @rbtimer(60)."""

    def __init__(self, secs, **kwargs):
        super().__init__(uwsgi.add_rb_timer, (secs,), kwargs)


class cron(_source):
    """The function runs when the time matches: @cron(minute, hour, day, month, weekday), -1 any;
    with unique=True (ours) in one of the instances of the option cluster."""

    def __init__(self, minute, hour, day, month, dayweek, unique=False, **kwargs):
        add = functools.partial(uwsgi.add_cron, unique=True) if unique else uwsgi.add_cron
        super().__init__(add, (minute, hour, day, month, dayweek), kwargs)


class filemon(_source):
    """The function runs when a file has changed: @filemon("/tmp/x")."""

    def __init__(self, fsobj, **kwargs):
        super().__init__(uwsgi.add_file_monitor, (fsobj,), kwargs)


mule_functions = {}  # what @mulefunc has decorated, by name


def mule_msg_dispatcher(message):
    """uwsgi.mule_msg_hook: runs the call that a message of @mulefunc is."""
    call = pickle.loads(message)
    if call["service"] == "uwsgi_mulefunc":
        return mule_functions[call["func"]](*call["args"], **call["kwargs"])


uwsgi.mule_msg_hook = mule_msg_dispatcher


def mulefunc(what):
    """A call of the function is made in a mule: any, or with ``@mulefunc(2)`` mule 2, with
    ``@mulefunc("farm")`` one of a farm. The arguments are pickled. The call gives True, or False
    when the queue has been full for ten seconds (at once in an event loop, which would stand)."""
    if not callable(what):
        return functools.partial(_mulefunc, what.encode() if isinstance(what, str) else what)
    return _mulefunc(0, what)


def _mulefunc(target, func):
    name = "%s.%s" % (func.__module__, func.__qualname__)
    mule_functions[name] = func

    @functools.wraps(func)
    def call(*args, **kwargs):
        message = pickle.dumps({"service": "uwsgi_mulefunc", "func": name, "args": args, "kwargs": kwargs})
        if uwsgi._mules is None:
            raise ValueError("no mule configured")
        asyncio = sys.modules.get("asyncio")
        looped = asyncio is not None and asyncio._get_running_loop() is not None
        return uwsgi._mules.send(message, uwsgi._mules.queue_of(target), 0 if looped else MULE_PATIENCE)

    return call


MULE_PATIENCE = 10.0  # seconds that a call of @mulefunc waits for room in a queue


class _brain:
    """What runs a function in a mule, called after each fork."""

    def __init__(self, f, num):
        self.f, self.num = f, num

    def here(self):
        return uwsgi.mule_id() == self.num


class mule_brain(_brain):
    """What @mule puts into postfork_chain."""

    def __call__(self):
        if self.here():
            self.f()


class mule_brainloop(_brain):
    """What @muleloop does."""

    def __call__(self):
        while self.here():
            self.f()


class mulemsg_loop(_brain):
    """What @mulemsg does."""

    def __call__(self):
        while self.here():
            message = uwsgi.mule_get_msg()
            if message:
                self.f(message)


class farm_loop(_brain):
    """What @farm does; ``num`` is a farm's name."""

    def __call__(self):
        while uwsgi.in_farm(self.num):
            message = uwsgi.farm_get_msg()
            if message:
                self.f(message)


def _in_mule(brain, num):
    def decorate(func):
        postfork_chain.append(brain(func, num))
        return func

    return decorate


def mule(num):
    """Run the function in that mule when it starts."""
    return _in_mule(mule_brain, num)


def muleloop(num):
    """Run the function in that mule again and again."""
    return _in_mule(mule_brainloop, num)


def mulemsg(num):
    """Call the function with each message of that mule."""
    return _in_mule(mulemsg_loop, num)


def farm(name=None, **kwargs):
    """Call the function, in the mules of a farm, or of any, with each message of their farms."""
    return _in_mule(farm_loop, name)
