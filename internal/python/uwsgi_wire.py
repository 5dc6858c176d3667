"""The wire to the supervisor (internal/loader/doc.go describes it) and the descriptors that came
with it."""

import json
import os
import socket

CONTROL, BOOT = 3, 4


def read_boot():
    """The boot.Boot that the supervisor left in descriptor 4."""
    size = os.fstat(BOOT).st_size
    data = b""
    while len(data) < size:
        piece = os.pread(BOOT, size - len(data), len(data))
        if not piece:
            break
        data += piece
    return json.loads(data)


class Wire:
    """One end of a SOCK_SEQPACKET pair: a JSON object a packet. Descriptors come beside it and are
    never sent."""

    def __init__(self, fd):
        self.sock = socket.socket(fileno=fd)
        self.sock.setblocking(True)

    def send(self, message):
        data = json.dumps(message).encode()
        if len(data) > 60000:
            message["error"] = message.get("error", "")[:20000]
            data = json.dumps(message).encode()
        try:
            self.sock.send(data)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)

    def receive(self):
        """(message, descriptors), or (None, []) when the peer is gone."""
        try:
            data, fds, flags, _ = socket.recv_fds(self.sock, 65536, 4)
        except ConnectionResetError:  # it went with messages of ours unread
            return None, []
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds passes no flags on, MSG_CMSG_CLOEXEC among them
        if flags & socket.MSG_CTRUNC:  # no descriptor was left here for some of them
            while fds:
                os.close(fds.pop())
        if not data:
            return None, []
        return json.loads(data), list(fds)


class Belongings:
    """The descriptors that loader and worker cannot do without. An application that closes what is
    not its own, as old recipes for daemons do (os.closerange), takes them away."""

    lost = "the application has closed descriptors that are not its own while it was imported (os.closerange?)"

    def __init__(self, boot, *more):
        numbers = [BOOT, boot["ScoreboardFD"], boot["RequestLog"]["FD"], boot["HandoffFD"],
            boot["HandoffInFD"], boot["LockFD"], boot["RedisFD"], boot["AlarmFD"], *more]
        numbers += [listener["FD"] for listener in boot["Listeners"] or ()]
        numbers += [fd for queue in boot["Queues"] or () for fd in (queue["In"], queue["Out"])]
        numbers += boot["Hands"] or ()
        self.known = {fd: identity(fd) for fd in numbers if fd > 2}

    def complete(self):
        return all(identity(fd) == was for fd, was in self.known.items())


def identity(fd):
    """What tells an open file from another one under the same number."""
    try:
        st = os.fstat(fd)
    except OSError:
        return None
    return st.st_dev, st.st_ino
