"""WebSockets of WSGI applications: by the uwsgi module, flask-sock and Flask-SocketIO on threads."""

import uwsgi
from flask import Flask
from flask_sock import Sock
from flask_socketio import SocketIO

site = Flask(__name__)
sock = Sock(site)
io = SocketIO(site, async_mode="threading", cors_allowed_origins="*")


@sock.route("/sock")
def conversation(ws):
    while True:
        data = ws.receive()
        if data == "bye":
            return
        ws.send(data)


@io.on("message")
def message(data):
    io.send(data.upper())


def echo(environ):
    uwsgi.websocket_handshake(environ["HTTP_SEC_WEBSOCKET_KEY"], environ.get("HTTP_ORIGIN", ""))
    while True:
        message = uwsgi.websocket_recv()
        if message == b"bye":
            return
        try:
            uwsgi.websocket_send(message)
        except ValueError:
            uwsgi.websocket_send_binary(message)


def polling(environ):
    uwsgi.websocket_handshake()
    while True:
        message = uwsgi.websocket_recv_nb()
        if message:
            uwsgi.websocket_send(message.decode())
            if message == b"raise":
                raise LookupError("asked for")
        else:
            import time

            time.sleep(0.005)


def application(environ, start_response):
    functions = {"/echo": echo, "/polling": polling}
    if environ["PATH_INFO"] in functions:
        functions[environ["PATH_INFO"]](environ)
        start_response("200 OK", [])  # goes nowhere, as does what is returned
        return [b"stray"]
    if environ["PATH_INFO"] == "/environ":
        start_response("200 OK", [])
        return [repr(sorted(k for k in environ if k.endswith(".socket"))).encode()]
    return site(environ, start_response)
