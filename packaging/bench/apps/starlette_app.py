"""Starlette, a route that answers with JSON."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def home(request):
    return JSONResponse({"message": "Hello, World!"})


application = Starlette(routes=[Route("/", home)])
