"""What holds a loader and its workers: resource limits, and the tether to the supervisor."""

import errno
import fcntl
import os
import resource
import signal
from _thread import allocate_lock, start_new_thread  # before an application patches them

import uwsgi_unfit

F_SETSIG = 10  # fcntl(2)
# bytes of address space that the interpreter reserves when it starts: the first arena of a
# free-threaded one's mimalloc
RESERVED = 1 << 30 if uwsgi_unfit.FREE_THREADED else 0


def tether(fd):
    """Have the kernel kill this process when the other end of a socket closes: while the
    application is imported nobody reads it, and code that holds the interpreter's lock would keep
    anybody from doing so. Until untether() nothing may be sent to it."""
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


def untether(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_ASYNC)


def soften(what, most):
    """Set a soft limit, as far as the hard one lets it go."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY and (most == resource.RLIM_INFINITY or most > hard):
        most = hard
    resource.setrlimit(what, (most, hard))


def wanted(settings):
    return [(name, what, n) for name, what, n in (
        ("max-fd", resource.RLIMIT_NOFILE, settings["MaxFD"]),
        ("limit-nproc", resource.RLIMIT_NPROC, settings["LimitNproc"]),
        ("limit-as", resource.RLIMIT_AS, settings["LimitAS"]),
    ) if n]


def hold(settings):
    """What the supervisor may not do for us: changing the limits of another user's process takes
    CAP_SYS_RESOURCE, which containers do not have."""
    for _, what, n in wanted(settings):
        if resource.getrlimit(what)[0] != n:
            soften(what, n)


def short(settings):
    """The options that the hard limits do not allow, as lines for the log."""
    return ["%s = %d is more than this process may have: %d is in force" % (name, n, resource.getrlimit(what)[0])
            for name, what, n in wanted(settings) if -1 < resource.getrlimit(what)[0] < n]


def lift_address_space(settings):
    """Loading the data plane into a worker reserves address space that is not the application's."""
    if settings["LimitAS"]:
        soften(resource.RLIMIT_AS, resource.RLIM_INFINITY)


def hold_address_space(settings, overhead):
    """Hold this worker to limit-as and the address space that its data plane and its interpreter
    reserved, for good."""
    if settings["LimitAS"]:
        soften(resource.RLIMIT_AS, settings["LimitAS"] + overhead)
        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def cramped():
    """What to say, as lines for the log, of an address space that somebody else has limited."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft == resource.RLIM_INFINITY or soft >= 1792 << 20:
        return []
    return ["the address space is limited to %d MB (ulimit -v, LimitAS= of the unit, or setrlimit() by the "
            "application): a worker reserves up to "
            "2 GB of it without using them, and may not start; limit-as leaves them out" % (soft >> 20)]


DATA_PLANE = 12  # threads of Go's runtime and the housekeeper in a worker, at the most


def group_room():
    """How many more processes and threads the control group, or one above it, lets there be; None
    where nothing bounds them."""
    room = None
    try:
        with open("/proc/self/cgroup") as f:
            path = [line.rstrip("\n").split(":", 2) for line in f]
        for number, controllers, folder in path:
            if controllers and "pids" not in controllers.split(","):
                continue
            base = "/sys/fs/cgroup/pids" if controllers else "/sys/fs/cgroup"
            while True:
                try:
                    with open(base + folder + "/pids.max") as limit, open(base + folder + "/pids.current") as now:
                        most = limit.read().strip()
                        if most != "max":
                            left = int(most) - int(now.read())
                            room = left if room is None else min(room, left)
                except (OSError, ValueError):
                    pass
                if folder in ("", "/"):
                    break
                folder = os.path.dirname(folder)
    except (OSError, ValueError):
        pass
    return room


def user_limit():
    """RLIMIT_NPROC where it counts: root's processes are not counted."""
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return None if soft == resource.RLIM_INFINITY or os.geteuid() == 0 else soft


def why_no_more(what, threads):
    """A line that says which limit on processes and threads is too low."""
    bounds = []
    if user_limit() is not None:
        bounds.append("RLIMIT_NPROC of the user is %d (ulimit -u, LimitNPROC=, limit-nproc)" % user_limit())
    if group_room() is not None:
        bounds.append("the pids limit of the control group leaves %d (TasksMax=, --pids-limit)" % max(group_room(), 0))
    return "%s: %s; a worker has %d threads with threads = %d: %s" % (
        what, os.strerror(errno.EAGAIN), DATA_PLANE + threads, threads,
        ", ".join(bounds) or "the kernel has no more (kernel.threads-max, kernel.pid_max)")


def crowded(threads):
    """The line that says why this worker cannot have its threads, or None. Go's runtime would end
    the process in the middle of one."""
    want = DATA_PLANE + threads - 1
    room = group_room()
    if user_limit() is None and (room is None or room >= 4 * want):
        return None
    gate, started, over = allocate_lock(), 0, []

    def wait():
        with gate:
            over.append(None)

    with gate:
        try:
            while started < want:
                start_new_thread(wait, ())
                started += 1
            lacking = None
        except RuntimeError:
            lacking = why_no_more("no more threads", threads)
    while len(over) < started:
        os.sched_yield()
    return lacking


def raise_descriptors(settings):
    """Room for connections: idle ones cost a descriptor each. What max-fd says stands."""
    if settings["MaxFD"]:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))


def make_room(fd):
    """Have the kernel make its table of this process's descriptors large enough for a crowd. Once
    there are threads it waits 10 to 30 ms each time the table grows, at 256 of them, 512 and so on,
    and meanwhile no connection can be accepted (expand_fdtable in fs/file.c)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        os.close(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC,
            8191 if soft == resource.RLIM_INFINITY else min(soft, 8192) - 1))
    except OSError:
        pass
