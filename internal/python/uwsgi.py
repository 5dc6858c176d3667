"""The ``uwsgi`` module that applications import inside the server.

It is importable before the fork, while the application is loaded; what needs a running worker
raises RuntimeError until then. As in uWSGI, text that comes from the configuration or the wire is
bytes.
"""

import json as _json
import os as _os
import socket as _socket
import struct as _struct
import sys as _sys
import time as _time
from operator import index as _index

import uwsgi_absent as _absent
import uwsgi_locks as _uwsgi_locks

version = b""
version_info = (0, 0, 0, 0, b"")
hostname = _socket.gethostname().encode()
opt = {}
numproc = 1
cores = 1
has_threads = 1
buffer_size = 65536
started_on = 0
is_a_reload = False
loop = None
sockets = []
magic_table = {}
applications = None
unbit = None
SPOOL_OK, SPOOL_RETRY, SPOOL_IGNORE = -2, -1, 0

globals().update(_absent.functions)

_here = _os.path.dirname(_os.path.abspath(__file__))
_locks = None
_cluster = None  # uwsgi_redis_cluster.Cluster, where this instance is of one
_areas = None  # maps the shared memory, where there is some
_core = None  # the extension module, in a worker
_wire = None  # the socket to the supervisor, while the application is imported
_report = None  # prints an exception
_timers = None  # uwsgi_timers, once it is used
_reserved = 0  # bytes of address space that the data plane takes there
_slot = 0
_mule = 0
_mules = None  # uwsgi_mule.Mules, where there are mules
_master = 0
_spoolers = None  # uwsgi_spoolers.Spoolers, where there are spoolers
_attendant = None  # the uwsgi_attendant.Attendant that this process is
_returned = None  # uwsgi_children.returned of this process
_spooling = False  # a process of the spooler
_alarms = -1  # the socket that alarms are raised on, -1: there are none
_importer = 0  # the process that imports the application as worker 0
_apps = []  # the applications' addresses


def _boot(boot):
    """Fill the module from the supervisor's boot.Boot."""
    g = globals()
    s = boot["Settings"]
    g["version"] = boot["Version"].encode()
    parts = [int("".join(c for c in p if c.isdigit()) or 0) for p in boot["Version"].split("-")[0].split(".")[:3]]
    parts += [0] * (3 - len(parts))
    g["version_info"] = (*parts, 0, boot["Version"].partition("-")[2].encode())
    # What always holds here is told, too: libraries that need threads, or a clean fork, ask for the
    # options that uWSGI needs for them.
    g["opt"] = {"enable-threads": True, "master": True, "py-call-uwsgi-fork-hooks": True}
    g["opt"].update((k, True if v is None else v.encode()) for k, v in (s["Opt"] or {}).items())
    g["magic_table"] = {k.encode(): v.encode() for k, v in (s["Magic"] or {}).items()}
    g["numproc"], g["cores"] = 1 if s["Pyrun"] else s["Processes"], s["Gevent"] or s["Threads"] or 1
    g["buffer_size"] = s["BufferSize"]
    g["started_on"], g["is_a_reload"] = boot["StartedOn"], boot["Reloads"] > 0
    g["sockets"] = [l["FD"] for l in boot["Listeners"] or ()]
    g["_master"], g["_importer"] = boot["MasterPID"], _os.getpid()
    g["_alarms"] = boot["AlarmFD"]
    g["_locks"] = _uwsgi_locks.Locks(boot["LockFD"], s["Locks"] + 1)
    if _cluster:
        g["i_am_the_lord"] = _cluster.i_am_the_lord
    if _areas:
        g.update(_areas(boot))
    if s["Pidfile"]:
        g["pidfile"] = s["Pidfile"].encode()


def _worker(slot):
    globals()["_slot"] = slot


def _import_here():
    globals()["_importer"] = _os.getpid()


def _attach(core, reserved, apps):
    globals().update(_core=core, _reserved=reserved, _apps=apps)
    if _timers is not None:
        _timers.listen()


def _use_timers():
    globals()["_timers"] = _part("uwsgi_timers")
    return _timers


def _tell(op, **fields):
    """One message to the supervisor, from a worker or the process that imports the application."""
    _use_timers().tell(op, fields)


def __getattr__(name):
    if name == "env" and _core is not None:
        try:
            return _core.environ()
        except SystemError as exc:
            raise AttributeError("uwsgi.env: %s" % exc)
    raise AttributeError(_absent.why(name))


def __dir__():
    return sorted({*globals(), "env"} if _core is not None else globals())


def _post_fork():
    hook = globals().get("post_fork_hook")
    if callable(hook):
        hook()


def _need():
    if _core is None:
        raise RuntimeError("uwsgi: only available in a running worker")
    return _core


def worker_id():
    """This worker's number, 1…N; 0 while the application is loaded."""
    return _slot


def mule_id():
    """This mule's number, 1…N; 0 in a worker and while the application is loaded."""
    return _mule


def mule_msg(message, target=0):
    """Put a message into the queue of a mule by number, of a farm by name as bytes, or of all mules
    (0). False: the queue is full. It is given to one mule, to the next one if that is killed
    before it is done with it, and survives a reload, not a stop. ValueError: there is no such."""
    if _mules is None:
        raise ValueError("no mule configured")
    return _mules.send(message, _mules.queue_of(target))


def _mine(what="mule"):
    if _mules is None or _mules.mine is None:
        raise ValueError("you can receive %s messages only in a mule !!!" % what)
    return _mules.mine


def mule_get_msg(signals=True, farms=True, buffer_size=0, timeout=-1):
    """Wait for a mule's next message: bytes, or None after timeout seconds (-1: there is none). Those
    of its farms are among them with farms. The message before it counts as done. buffer_size cuts
    a longer one; 0 does not. With signals, handlers of uwsgi.signal() run meanwhile."""
    mule = _mine()
    message = mule.get(mule.own + (mule.farms if farms else []), timeout, signals)
    return message[:buffer_size] if message and buffer_size > 0 else message


def farm_msg(farm, message):
    """Put a message into the queue of a farm by name; None. ValueError: there is no such."""
    if _mules is None:
        raise ValueError("no mule configured")
    _mules.send(message, _mules.farm(farm))


def farm_get_msg():
    """Wait for the next message of the farms that this mule is in, for ever where there is none: bytes."""
    mule = _mine("farm")
    return mule.get(mule.farms, -1)


def in_farm(name=None):
    """True in a mule of the farm of that name, or of any; else None."""
    mule = _mules and _mules.mine
    if not mule:
        return None
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return True if any(name in (None, q.name[len("farm "):]) for q in mule.farms) else None


class _MasterPID(int):
    """The supervisor's process id that equals os.getpid(), too, in the process that imports the
    application: libraries tell by that whether they are in uWSGI's master. It stays the
    supervisor's for all else, os.kill() above all."""

    def __eq__(self, other):
        if not isinstance(other, int):
            return NotImplemented
        return int(self) == int(other) or int(other) == _importer == _os.getpid()

    def __ne__(self, other):
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    __hash__ = int.__hash__


def masterpid():
    """The supervisor's process id; while worker_id() is 0 it equals os.getpid() in the process that
    imports the application."""
    return _master if _slot else _MasterPID(_master)


def workers():
    """A tuple of dicts, one a worker: id, pid, requests, status (bytes), rss, vsz, avg_rt (µs) …"""
    if _core is None:
        return tuple({"id": i + 1, "pid": _os.getpid() if i + 1 == _slot else 0, "requests": 0, "delta_requests": 0,
                      "signals": 0, "exceptions": 0, "status": b"idle" if i + 1 == _slot else b"cheap", "rss": 0,
                      "vsz": 0, "running_time": 0, "last_spawn": 0, "respawn_count": 0, "tx": 0, "avg_rt": 0,
                      "apps": ()}
                     for i in range(numproc))
    rows = _json.loads(_core.workers())
    for row in rows:
        row["status"] = row["status"].encode()
        row["signals"] = 0
        row["apps"] = tuple({"id": a["id"], "modifier1": 0, "mountpoint": a["mountpoint"].encode(), "startup_time": 0,
                             "interpreter": id(_sys.modules), "callable": _apps[a["id"]] if a["id"] < len(_apps) else 0,
                             "requests": a["requests"], "exceptions": a["exceptions"], "chdir": b""}
                             for a in row["apps"] or ())
    return tuple(rows)


def total_requests():
    """Requests finished by the whole instance."""
    return _core.total_requests() if _core else 0


def request_id():
    """Requests finished on this core so far."""
    return _need().request_id()


def reload():
    """Ask the supervisor for a graceful reload; True, or None when it cannot be reached."""
    if _attendant is None:
        return True if _need().tell("reload", "uwsgi.reload()") else None
    if _attendant.kind == "worker":
        raise RuntimeError("uwsgi: the script of pyrun runs once")
    _attendant.tell("reload", reason="uwsgi.reload()")
    return True


def stop():
    """Ask the supervisor to stop the instance; True, or None when it cannot be reached."""
    if _attendant is None:
        return True if _need().tell("stop", "uwsgi.stop()") else None
    _attendant.tell("stop", reason="uwsgi.stop()")
    return True


def ready():
    """True once this worker serves, else None."""
    return True if _core else None


def accepting(on=1):
    """Set the worker's accepting flag in the stats."""
    _need().accepting(on)


def log(message):
    """A line in the server's log; True."""
    if not isinstance(message, str):
        raise TypeError("log() argument 1 must be str, not %s" % type(message).__name__)
    _sys.stderr.write(message + "\n")
    return True


def alarm(name, message):
    """Raise an alarm by name, with str or bytes; None, whether there is such an alarm or not. It never
    waits."""
    _part("uwsgi_alarm").alarm(name, message, _alarms)


def log_this_request():
    """Log the current request whatever the options say."""
    _need().log_this_request()


def set_logvar(name, value):
    """Set a variable that log-format shows as %(name)."""
    _need().set_logvar(name, value)


def get_logvar(name):
    """The variable as bytes, or None."""
    return _need().get_logvar(name)


def add_var(name, value):
    """Add a variable to the current request, for the log (%(var.NAME)); True. The environ stays as it
    is."""
    if not _need().add_var(name, value):
        raise ValueError("unable to add request var: buffer-size does not allow more")
    return True


def cl():
    """The length of the current request's body."""
    return int(_need().environ().get("CONTENT_LENGTH") or 0)


def chunked_read(timeout=0):
    """The next block of the current request's body, b"" at its end: bodies are whole before the
    application is called, so nothing is waited for."""
    return _need().environ()["wsgi.input"].read(32768)


def chunked_read_nb():
    """The same."""
    return chunked_read()


def start_response(*args, **kwargs):
    """start_response of the current request."""
    return _need().start_response()(*args, **kwargs)


def sendfile(what, chunk=0, pos=0, size=0):
    """Send a file, by path or as an object with a fileno(), as a part of the current response;
    True, or None when it cannot be opened."""
    core = _need()
    fd = -1
    if isinstance(what, (str, bytes)):
        try:
            fd = _os.open(what, _os.O_RDONLY | _os.O_CLOEXEC)
        except OSError as exc:
            log("uwsgi.sendfile: %s" % exc)
            return None
    try:
        source, left = fd if fd >= 0 else what.fileno(), size or None
        while left is None or left > 0:
            data = _os.pread(source, min(chunk or 65536, left or 1 << 62), pos)
            if not data:
                break
            core.write(data)
            pos += len(data)
            left = left and left - len(data)
    finally:
        if fd >= 0:
            _os.close(fd)
    return True


def lock(number=0):
    """Wait for a lock that all workers share, and take it: 0, and as many more as the option locks
    says."""
    _locks.lock(number)


def unlock(number=0):
    """Give it back."""
    _locks.unlock(number)


def is_locked(number=0):
    """Whether some process has it."""
    return _locks.is_locked(number)


def connection_fd():
    """The current request's client descriptor."""
    return _need().connection_fd()


def is_connected(fd):
    """Whether the peer of fd is still there."""
    try:
        with _socket.socket(fileno=_os.dup(fd)) as s:
            return s.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def connect(address, timeout=0):
    """A descriptor connected to host:port, a path or @name; -1 when it cannot be had, within so many
    seconds (0: however long it takes)."""
    return _part("uwsgi_sockets").connect("connect", address, timeout, True)


def async_connect(address):
    """The same without waiting: the descriptor does not block, and may not be connected yet."""
    return _part("uwsgi_sockets").connect("async_connect", address, 0, False)


def send(*what):
    """send(data) to the current request's client as it is, or send(fd, data), bytes; True, or None when
    that fails."""
    if not 1 <= len(what) <= 2:
        raise TypeError("send() takes 1 or 2 arguments (%d given)" % len(what))
    return _part("uwsgi_sockets").send(what[0] if len(what) > 1 else _need().connection_fd(), what[-1])


def recv(fd, most=4096):
    """What can be read from a descriptor, at most 4096 bytes; None at its end."""
    return _part("uwsgi_sockets").recv(fd, most)


def close(fd):
    """Close a descriptor."""
    _part("uwsgi_sockets").close(fd)


def wait_fd_read(fd, timeout=0):
    """OSError: descriptors are waited for in uWSGI's own asynchronous loop alone, which is not here."""
    _part("uwsgi_sockets").no_queue(fd)


def wait_fd_write(fd, timeout=0):
    """The same."""
    _part("uwsgi_sockets").no_queue(fd)


def ready_fd():
    """The descriptor that was waited for, -1: none."""
    _need().environ()
    return -1


def async_sleep(seconds):
    """b"", which an application yields; there is no sleep without uWSGI's own asynchronous loop."""
    return _part("uwsgi_sockets").async_sleep(seconds)


def suspend():
    """True: there is nobody to let run, but under gevent (uwsgi_gevent)."""
    _need().environ()
    return True


green_schedule = suspend


def offload(*what):
    """b"", as in uWSGI: what a client is slow to take is offloaded by itself."""
    return b""


def disconnect():
    """End the client's connection, a WebSocket with a close frame (1000); the application goes
    on."""
    _need().disconnect()


def websocket_handshake(key="", origin="", protocol=""):
    """Answer the current request as a WebSocket (RFC 6455), with a subprotocol, or else the
    client's first. OSError: the request is no handshake."""
    _need().websocket_handshake(key, origin, protocol)


def websocket_recv():
    """Wait for the client's next message, bytes whether it is text or not. OSError: there is none
    any more. Pings and the like are seen to."""
    return _need().websocket_recv()


def websocket_recv_nb():
    """The same without waiting: b"" if there is none now."""
    return _need().websocket_recv_nb()


def websocket_send(message):
    """Send a text message: str, or bytes that are UTF-8. OSError: the client is gone."""
    _need().websocket_send(message)


def websocket_send_binary(message):
    """Send a binary message: bytes, or a str as UTF-8. OSError: the client is gone."""
    _need().websocket_send_binary(message)


def websocket_send_from_sharedarea(area, pos, size=0):
    """Send a text message that is in a shared area, without a size all from pos on. OSError: it is
    not there, or the client is gone."""
    websocket_send(_in_sharedarea(area, pos, size))


def websocket_send_binary_from_sharedarea(area, pos, size=0):
    """The same as a binary message."""
    websocket_send_binary(_in_sharedarea(area, pos, size))


def _in_sharedarea(area, pos, size):
    try:
        return globals()["sharedarea_read"](area, pos, size)
    except (KeyError, ValueError) as exc:
        raise OSError("unable to send websocket message: no such bytes in a shared area") from exc


def set_user_harakiri(seconds):
    """A deadline of its own for the current request, or for what a mule or the spooler does; 0 clears
    it."""
    (_attendant or _need()).set_user_harakiri(seconds)


def setprocname(name):
    """Set the process title."""
    _part("uwsgi_arguments").text("setprocname", 1, name)
    _need().set_title(name)


def mem():
    """(resident bytes, address space bytes) of this process, without the address space that the
    data plane reserves."""
    resident, space = _statm()
    return resident, space - _reserved


def _statm():
    """(resident bytes, address space bytes) of this process (proc(5))."""
    fd = _os.open("/proc/self/statm", _os.O_RDONLY)  # open() may be the application's by now
    try:
        pages = _os.read(fd, 200).split()
    finally:
        _os.close(fd)
    size = _os.sysconf("SC_PAGE_SIZE")
    return int(pages[1]) * size, int(pages[0]) * size


def logsize():
    """The size of the log file, 0 when there is none."""
    for option in ("logto2", "logto", "daemonize2", "daemonize"):
        try:
            return _os.stat(opt[option]).st_size
        except (KeyError, OSError, TypeError):
            pass
    return 0


def listen_queue(number=0):
    """How many connections wait on a listening socket; 0 for unix sockets."""
    if not 0 <= _index(number) < len(sockets):
        raise ValueError("unable to find socket %d" % number)
    with _socket.socket(fileno=_os.dup(sockets[number])) as s:
        if s.family not in (_socket.AF_INET, _socket.AF_INET6):
            return 0
        return _struct.unpack_from("I", s.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, 64), 24)[0]  # tcpi_unacked


def set_warning_message(message):
    """A warning for whoever looks at the log; True."""
    log("warning message: " + _part("uwsgi_arguments").text("set_warning_message", 1, message)[:80])
    return True


def extract(path):
    """The content of a file, bytes; None where it is empty or cannot be read."""
    return _part("uwsgi_files").extract(path)


def parsefile(path):
    """The variables in a file of uWSGI's packet format (a job of the spooler), a dict of bytes; None
    where it is none."""
    return _part("uwsgi_files").parse(path)


def micros():
    """Microseconds since the epoch."""
    return _time.time_ns() // 1000


def i_am_the_spooler():
    """True in a process of the spooler, else None."""
    return _spooling or None


def register_signal(num, target, func):
    """func(num) runs when the signal num, 0…255, is raised: between requests of a worker, "" or
    "worker", of each, "workers", or of one, "worker3"; between messages of a mule, "mule", of each,
    "mules", of one, "mule2", or of one of a farm, "farm_NAME"; between jobs of the "spooler"."""
    _use_timers().register(_index(num), target, func)


def signal(num, node=None):
    """Raise a signal: its handler runs in the process that it was registered for. OSError: other
    servers, which node names, are sent none."""
    if node is not None:
        raise OSError("unable to deliver signal %d to node %s" % (_index(num) % 256, node))
    _tell("raise", signal=_index(num) % 256)


def signal_wait(num=None):
    """Run handlers of signals until one has run, of the signal num where that is given. Which one
    signal_received() tells. A mule's program gets its signals here, or in mule_get_msg()."""
    _use_timers().wait(None if num is None else num % 256)


def signal_registered(num):
    """True if a handler is registered for the signal, else None."""
    num = _index(num) % 256
    return (_timers is not None and num in _timers.handlers) or None


def signal_received():
    """The number of the signal that was handled last in this process, 0 if none was."""
    return (_timers is not None and _timers.last) or 0


def _seconds(value):
    if not isinstance(value, float):
        return _index(value)
    if value - value:  # infinite, or not a number
        raise ValueError("uwsgi: a timer of %s seconds is none" % value)
    return float(value)


def _field(value):
    """One of a cron's numbers, which are C's int in uWSGI."""
    if not -1 << 31 <= _index(value) < 1 << 31:
        raise OverflowError("uwsgi: %d is no number of a cron's" % value)
    return _index(value)


def add_timer(num, seconds):
    """Raise a signal every so many seconds, the first time after as many. Ticks that come while its
    handler runs, or waits for a worker, are left out."""
    _use_timers().add("timer", num, seconds=_seconds(seconds))


def add_rb_timer(num, seconds, times=0):
    """The same, so many times; 0: for ever."""
    _use_timers().add("rbtimer", num, seconds=_seconds(seconds), times=_index(times))


def add_cron(num, minute, hour, day, month, week, unique=False):
    """Raise a signal in the minutes of local time that match: -1 any, -N each that N divides; a day
    and a weekday (0 or 7: Sunday) are alternatives. With ``unique`` (ours) one of the instances of
    the option ``cluster`` does, once a minute. True."""
    when = {"minute": _field(minute), "hour": _field(hour), "day": _field(day), "month": _field(month),
        "week": _field(week)}
    _use_timers().add("cron", num, when=when, unique=bool(unique))
    return True


def add_file_monitor(num, path):
    """Raise a signal when a file or folder appears, changes or goes; it is looked at each
    second."""
    path = _part("uwsgi_arguments").text("add_file_monitor", 2, path)
    if len(_os.fsencode(path)) >= 4096:  # PATH_MAX
        raise OSError(36, "File name too long")  # ENAMETOOLONG
    _use_timers().add("filemon", num, path=_os.path.abspath(path))


_parts = {}


def _part(name):
    """A module of ours that few applications need, read on first use: it cannot be imported, since
    sys.path and sys.modules are the application's."""
    if name not in _parts:
        from importlib import util

        spec = util.spec_from_file_location(name, _os.path.join(_here, name + ".py"))
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _parts.setdefault(name, module)  # another thread may have been first
    return _parts[name]


def register_rpc(name, function, args=0):
    """Give a function of bytes that returns bytes a name, for call(); True. How many arguments it
    takes is not looked at."""
    return _part("uwsgi_rpc").register(name, function, _slot)


def call(*words):
    """call(name, *arguments): what the function of that name gives, all bytes. None: there is none,
    it raised an exception, or it gave something else."""
    return _part("uwsgi_rpc").call(words)


def rpc(*words):
    """rpc(node, name, *arguments): the same; node is "" or None. ValueError: other machines are not
    called."""
    if words and _part("uwsgi_rpc").remote(words[0]):
        raise ValueError("unable to call rpc function: other machines are not called (%r): use HTTP" % (words[0],))
    return _part("uwsgi_rpc").call(words[1:])


def rpc_list():
    """A tuple of the names that functions were given, bytes."""
    return _part("uwsgi_rpc").names()
