"""What is no application is told apart from what is one; prints what is wrong."""

import functools
import json
import types

import uwsgi_interface
import uwsgi_mistaken


def like(path, **names):
    """An object of a class that could be the one of that module and name."""
    module, _, name = path.rpartition(".")
    return type(name, (), dict(names, __module__=module, __qualname__=name))()


def of_class(path, **names):
    return type("Own", (type(like(path, **names)),), {})()


async def handler():
    pass


def factory():
    pass


def needy(config):
    pass


class Called:
    def __init__(self, import_name, path=None):
        pass

    def __call__(self, environ, start_response):
        pass


class Bare:
    async def __call__(self, scope, receive, send):
        pass


class Odd:
    def __call__(self):
        pass


MISTAKEN = {
    "it is an aiohttp application, which speaks neither": like("aiohttp.web_app.Application",
        __call__=lambda self: self),
    "it is a Tornado application": of_class("tornado.web.Application", __call__=lambda self, request: None),
    "it is a Celery application, which serves no requests: write attach-daemon": like("celery.app.base.Celery"),
    "it is a command for the terminal": like("click.core.Command", __call__=lambda self, *args, **kw: None),
    "it is a Dash application: its server is the application: name it.server": like("dash.dash.Dash"),
    "it is a server of python-socketio: name socketio.ASGIApp": of_class("socketio.base_server.BaseServer"),
    "it is an MCP server: name it.http_app()": like("fastmcp.server.server.FastMCP"),
    "it is a module, json: name a callable in it, as in json:app": json,
    "it is a coroutine": handler(),
    "'str' is not callable": "app",
    "'NoneType' is not callable": None,
    "it is the class __main__.Called: name an object of it": Called,
    "it is the class __main__.Bare: name an object of it": Bare,
    "it takes no arguments: if it makes the application, name it()": factory,
    "it takes no arguments: if it makes": functools.partial(needy, 1),
    "it takes other arguments than environ and start_response (WSGI), or scope, receive and send (ASGI): "
    "if it makes the application, name it(...)": needy,
    "it takes no arguments": Odd(),
}


class Response:
    def __init__(self, environ, start_response):
        pass

    def __iter__(self):
        return iter(())


class Made:
    def __new__(cls, environ, start_response):
        return [b""]


class Meta(type):
    def __call__(cls, environ, start_response):
        return [b""]


class ByMeta(metaclass=Meta):
    pass


def dressed(*args):
    pass


dressed.__signature__ = __import__("inspect").signature(factory)


@functools.wraps(factory)
def wrapper(*args, **kwargs):
    pass


class Static:
    @staticmethod
    def __call__(environ, start_response):
        pass


class Class:
    @classmethod
    def __call__(cls, environ, start_response):
        pass


APPLICATIONS = [Static(), Class(), Response, Made, ByMeta, dressed, wrapper, Bare(), Called(""),
    lambda environ, start_response: [],
    lambda e, s, more=None: [], functools.partial(lambda x, e, s: [], 1), types.MethodType(lambda self, e, s: [], 1)]


def is_app(value):
    if not callable(value):
        return False
    try:
        uwsgi_interface.find(value)
    except uwsgi_interface.Mismatch as exc:
        return exc.call is not value
    return True


for text, value in MISTAKEN.items():
    if is_app(value):
        print("taken for an application:", text)
    got = uwsgi_mistaken.of(value, "it")
    if not got.startswith(text):
        print("%r, want %r" % (got, text))
for value in APPLICATIONS:
    if not is_app(value):
        print("not taken for an application:", value)
