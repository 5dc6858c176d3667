"""gunicorn.socket and werkzeug.socket: the connection of a request that asks for a WebSocket, for
applications that frame by themselves.

simple-websocket, and with it flask-sock and the threading mode of Flask-SocketIO, look for one of
the two. From its first use on the connection is the application's, and what it returns is not sent;
it ends with the request.
"""

import socket
import threading

import uwsgi

_taking = threading.Lock()


_plain = socket.socket  # whatever the application makes of it


def offerer(settings):
    """A function that puts the connection of a request into its environ."""
    base = _plain
    if settings["Gevent"]:  # whether or not the standard library is patched
        import gevent.socket

        base = gevent.socket.socket

    class Connection(base):
        """A socket of its own of the connection; it blocks."""

        __slots__ = ("_request",)

    class Untaken(Connection):
        """The same as long as nobody has used it: no descriptor, no system call."""

        __slots__ = ()

        def __getattribute__(self, name):
            if name.startswith("__"):
                return object.__getattribute__(self, name)
            with _taking:
                if type(self) is Untaken:
                    fd = uwsgi._need().take_socket(*object.__getattribute__(self, "_request"))
                    self.__class__ = Connection
                    base.__init__(self, fileno=fd)
                    self.settimeout(None)
            return getattr(self, name)

        __repr__ = object.__repr__

    def offer(environ, exchange, serial):
        sock = Untaken.__new__(Untaken)
        object.__setattr__(sock, "_request", (exchange, serial))
        environ["gunicorn.socket"] = environ["werkzeug.socket"] = sock

    return offer
