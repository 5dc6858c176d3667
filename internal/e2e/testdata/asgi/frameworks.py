"""The same small site in five frameworks: APPLICATION in the environment says which."""

import asyncio
import contextlib
import hashlib
import os
import tempfile

SECRET = "s" * 32
ran = []
with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="uwsgi-e2e-", delete=False) as made:
    made.write("line of a file\n" * 20000)
FILE = made.name


def digest(data):
    return {"length": len(data), "md5": hashlib.md5(data).hexdigest()}


async def pieces():
    for i in range(50):
        yield "piece %d\n" % i
        if i % 10 == 0:
            await asyncio.sleep(0.001)


def starlette():
    from sse_starlette.sse import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    class Base(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers["x-base"] = request.method
            return response

    async def json(request):
        return JSONResponse({"path": request.url.path, "query": dict(request.query_params), "root": request.scope["root_path"],
                             "headers": sorted(k for k, _ in request.headers.items() if k.startswith("x-")), "cookies": request.cookies,
                             "state": request.state.answer})

    async def upload(request):
        form = await request.form()
        return JSONResponse({"name": form["file"].filename, "field": form["field"], **digest(await form["file"].read())})

    async def body(request):
        data = b""
        async for piece in request.stream():
            data += piece
        return JSONResponse(digest(data))

    async def stream(request):
        return StreamingResponse(pieces(), media_type="text/plain")

    async def events(request):
        async def each():
            for i in range(3):
                yield {"event": "tick", "data": str(i)}
                await asyncio.sleep(0.001)
        return EventSourceResponse(each())

    async def background(request):
        return PlainTextResponse("begun", background=BackgroundTask(later))

    async def session(request):
        request.session["n"] = request.session.get("n", 0) + 1
        return PlainTextResponse(str(request.session["n"]))

    def blocking(request):
        import time
        time.sleep(0.001)
        return PlainTextResponse("in a thread")

    async def failing(request):
        raise ValueError("the view failed")

    async def echo(ws):
        await ws.accept(subprotocol="chat" if "chat" in ws.scope["subprotocols"] else None)
        await ws.send_json({"path": ws.url.path, "state": ws.state.answer})
        async for text in ws.iter_text():
            if text == "bye":
                await ws.close(4001, "see you")
                return
            await ws.send_text(text)

    async def deny(ws):
        await ws.close(1008)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"answer": 42}

    return Starlette(lifespan=lifespan, middleware=[Middleware(SessionMiddleware, secret_key=SECRET), Middleware(GZipMiddleware, minimum_size=2000),
                                                    Middleware(Base)], routes=[
        Route("/json", json), Route("/upload", upload, methods=["POST"]), Route("/body", body, methods=["POST"]), Route("/stream", stream),
        Route("/events", events), Route("/file", lambda r: FileResponse(FILE, headers={"last-modified": "x", "etag": "y"})),
        Route("/background", background), Route("/ran", lambda r: PlainTextResponse(str(len(ran)))), Route("/session", session),
        Route("/blocking", blocking), Route("/failing", failing), Route("/redirect", lambda r: RedirectResponse("/json")),
        WebSocketRoute("/ws", echo), WebSocketRoute("/deny", deny),
    ])


async def later():
    await asyncio.sleep(0.02)
    ran.append(1)


def fastapi():
    from typing import Annotated

    from fastapi import BackgroundTasks, Depends, FastAPI, Request, UploadFile, WebSocket
    from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
    from pydantic import BaseModel

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"answer": 42}

    app = FastAPI(lifespan=lifespan)

    async def answer(request: Request):
        yield request.state.answer

    @app.get("/json")
    async def json(request: Request, value: Annotated[int, Depends(answer)], a: str = ""):
        return {"path": request.url.path, "a": a, "state": value}

    class Item(BaseModel):
        name: str
        price: float = 1.5

    @app.post("/item")
    async def item(item: Item):
        return item

    @app.post("/upload")
    async def upload(file: UploadFile):
        return {"name": file.filename, **digest(await file.read())}

    @app.post("/body")
    async def body(request: Request):
        return digest(await request.body())

    @app.get("/blocking")
    def blocking():
        return "in a thread"

    @app.get("/stream")
    async def stream():
        return StreamingResponse(pieces(), media_type="text/plain")

    @app.get("/background")
    async def background(tasks: BackgroundTasks):
        tasks.add_task(later)
        return "begun"

    @app.get("/ran", response_class=PlainTextResponse)
    async def count():
        return str(len(ran))

    @app.get("/file")
    async def file():
        return FileResponse(FILE, headers={"last-modified": "x", "etag": "y"})

    @app.get("/failing")
    async def failing():
        raise ValueError("the view failed")

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
        await socket.send_json({"path": socket.url.path, "state": socket.state.answer})
        async for text in socket.iter_text():
            if text == "bye":
                await socket.close(4001, "see you")
                return
            await socket.send_text(text)

    return app


def quart():
    from quart import Quart, request, send_file, websocket

    app = Quart(__name__)

    @app.before_serving
    async def start():
        app.answer = 42

    @app.get("/json")
    async def json():
        return {"path": request.path, "a": request.args.get("a"), "state": app.answer, "cookies": request.cookies}

    @app.post("/upload")
    async def upload():
        file = (await request.files)["file"]
        return {"name": file.filename, "field": (await request.form)["field"], **digest(file.read())}

    @app.post("/body")
    async def body():
        return digest(await request.get_data())

    @app.get("/stream")
    async def stream():
        return pieces(), {"Content-Type": "text/plain"}

    @app.get("/background")
    async def background():
        app.add_background_task(later)
        return "begun"

    @app.get("/ran")
    async def count():
        return str(len(ran))

    @app.get("/file")
    async def file():
        return await send_file(FILE, add_etags=False, last_modified=0)

    @app.get("/failing")
    async def failing():
        raise ValueError("the view failed")

    @app.websocket("/ws")
    async def ws():
        await websocket.accept(subprotocol="chat" if "chat" in websocket.requested_subprotocols else None)
        await websocket.send_json({"path": websocket.path, "state": app.answer})
        while True:
            text = await websocket.receive()
            if text == "bye":
                await websocket.close(4001, "see you")
                return
            await websocket.send(text)

    return app


def litestar():
    from litestar import Litestar, Request, WebSocket, get, post, websocket
    from litestar.response import File, Stream

    async def start(app):
        app.state.answer = 42

    @get("/json")
    async def json(request: Request, a: str = "") -> dict:
        return {"path": request.url.path, "a": a, "state": request.app.state.answer}

    @post("/body")
    async def body(request: Request) -> dict:
        return digest(await request.body())

    @get("/stream")
    async def stream() -> Stream:
        return Stream(pieces(), media_type="text/plain")

    @get("/blocking", sync_to_thread=True)
    def blocking() -> str:
        return "in a thread"

    @get("/failing")
    async def failing() -> None:
        raise ValueError("the view failed")

    @websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept(subprotocols="chat" if "chat" in socket.scope["subprotocols"] else None)
        await socket.send_json({"path": socket.url.path, "state": socket.app.state.answer})
        while True:
            text = await socket.receive_text()
            if text == "bye":
                await socket.close(4001, "see you")
                return
            await socket.send_text(text)

    return Litestar([json, body, stream, blocking, failing, ws], on_startup=[start])


def django():
    from django.conf import settings

    settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY=SECRET, ROOT_URLCONF=__name__, INSTALLED_APPS=["channels"], LOGGING_CONFIG=None,
                       CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
                       MIDDLEWARE=["django.middleware.common.CommonMiddleware"])
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application
    from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path

    site = get_asgi_application()

    async def json(request):
        return JsonResponse({"path": request.path, "a": request.GET.get("a"), "cookies": request.COOKIES, "scheme": request.scheme})

    def body(request):  # on a thread of asgiref's
        return JsonResponse(digest(request.body))

    def upload(request):
        return JsonResponse({"name": request.FILES["file"].name, "field": request.POST["field"], **digest(request.FILES["file"].read())})

    async def stream(request):
        return StreamingHttpResponse(pieces(), content_type="text/plain")

    def file(request):
        return FileResponse(open(FILE, "rb"), filename="made.txt")

    async def failing(request):
        raise ValueError("the view failed")

    class Echo(AsyncWebsocketConsumer):
        async def connect(self):
            await self.channel_layer.group_add("room", self.channel_name)
            await self.accept("chat" if "chat" in self.scope["subprotocols"] else None)
            await self.send('{"path":"%s"}' % self.scope["path"])

        async def receive(self, text_data=None, bytes_data=None):
            if text_data == "bye":
                await self.close(4001, "see you")
                return
            await self.channel_layer.group_send("room", {"type": "chat.message", "text": text_data})

        async def chat_message(self, event):
            await self.send(event["text"])

    globals()["urlpatterns"] = [path("json", json), path("body", body), path("upload", upload), path("stream", stream), path("file", file),
                                path("failing", failing), path("", lambda request: HttpResponse("root"))]
    return ProtocolTypeRouter({"http": site, "websocket": URLRouter([path("ws", Echo.as_asgi())])})


application = globals()[os.environ["APPLICATION"]]()
