"""What people name as an application that is none, and what to write instead."""

import types

import uwsgi_interface

# By the class, or one above it: what it is, and what to do. {} is the name of the object.
KNOWN = {
    "aiohttp.web_app.Application": (
        "an aiohttp application, which speaks neither WSGI nor ASGI but has a server of its own",
        "start that, behind nginx, or have it kept running by attach-daemon2"),
    "tornado.web.Application": (
        "a Tornado application, which speaks neither WSGI nor ASGI but has a server of its own",
        "start that, behind nginx, or have it kept running by attach-daemon2"),
    "tornado.routing.Router": (
        "a router of Tornado's, which speaks neither WSGI nor ASGI but has a server of its own",
        "start that, behind nginx, or have it kept running by attach-daemon2"),
    "celery.app.base.Celery": ("a Celery application, which serves no requests",
        "write attach-daemon = celery -A ... worker for its workers"),
    "click.core.BaseCommand": ("a command for the terminal", ""),
    "click.core.Command": ("a command for the terminal", ""),
    "typer._click.core.Command": ("a command for the terminal", ""),
    "typer.main.Typer": ("a command for the terminal", ""),
    "dash.dash.Dash": ("a Dash application", "its server is the application: name {}.server"),
    "flask.sansio.blueprints.Blueprint": ("a blueprint of Flask's", "name the Flask object that has it registered"),
    "flask.blueprints.Blueprint": ("a blueprint of Flask's", "name the Flask object that has it registered"),
    "flask_socketio.SocketIO": ("what Flask-SocketIO adds to an application",
        "name the Flask object that it was given"),
    "socketio.base_server.BaseServer": ("a server of python-socketio",
        "name socketio.ASGIApp(server) for an AsyncServer, socketio.WSGIApp(server) for another"),
    "engineio.base_server.BaseServer": ("a server of python-engineio",
        "name engineio.ASGIApp(server) for an AsyncServer, engineio.WSGIApp(server) for another"),
    "mcp.server.fastmcp.server.FastMCP": ("an MCP server", "name {}.streamable_http_app()"),
    "fastmcp.server.server.FastMCP": ("an MCP server", "name {}.http_app()"),
    "mcp.server.mcpserver.server.MCPServer": ("an MCP server", "name {}.streamable_http_app()"),
    "mcp.server.lowlevel.server.Server": ("an MCP server without a transport",
        "name an application that has a StreamableHTTPSessionManager of it"),
    "gradio.blocks.Blocks": ("a page of Gradio's",
        'name gradio.mount_gradio_app(fastapi.FastAPI(), {}, path="/")'),
    "datasette.app.Datasette": ("a Datasette", "name {}.app()"),
    "strawberry.schema.base.BaseSchema": ("a GraphQL schema", "name strawberry.asgi.GraphQL(schema)"),
    "graphene.types.schema.Schema": ("a GraphQL schema", "name an application that serves it"),
}


def of(value, name):
    """Why ``value`` is no application, and what to do, as one text; ``name`` is what it is
    called in its module."""
    what, todo = judge(value, name)
    return what + (": " + todo.replace("{}", name) if todo else "")


def judge(value, name):
    if isinstance(value, types.ModuleType):
        return "it is a module, %s" % value.__name__, "name a callable in it, as in %s:app" % value.__name__
    if isinstance(value, types.CoroutineType):
        value.close()  # or Python warns that nobody waited for it
        return "it is a coroutine, which the call of a function defined by async def gives", (
            "a factory that waits for something cannot make an application")
    found = uwsgi_interface.known(value, KNOWN)
    if found and not isinstance(value, type):
        return "it is %s" % KNOWN[found][0], KNOWN[found][1]
    if not callable(value):
        return "%r is not callable" % type(value).__name__, ""
    if isinstance(value, type):
        return "it is the class %s.%s" % (value.__module__, value.__qualname__), "name an object of it"
    if uwsgi_interface.takes(value, 0):
        return "it takes no arguments", "if it makes the application, name {}()"
    return "it takes other arguments than environ and start_response (WSGI), or scope, receive and send (ASGI)", (
        "if it makes the application, name {}(...)" if isinstance(value, types.FunctionType) else "")
