"""Responses that take a while, in Starlette and FastAPI: APPLICATION in the environment says which.

What a page does is noted, in order, and told by /noted?page=NAME.
"""

import asyncio
import os
import tempfile

from sse_starlette.sse import EventSourceResponse
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse

notes = {}
with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="uwsgi-e2e-", delete=False) as made:
    made.write("".join("%07d\n" % i for i in range(20000)))
FILE = made.name
os.utime(FILE, (1700000000, 1700000000))


def note(page, what):
    notes.setdefault(page, []).append(what)


async def afterwards(page):
    note(page, "background begins")
    await asyncio.sleep(0.01)
    note(page, "background ends")


def in_a_thread(page):
    note(page, "background thread")


async def pieces(page, n=5, fails=False):
    note(page, "generator begins")
    try:
        for i in range(n):
            note(page, "piece %d" % i)
            yield "piece %d\n" % i
            await asyncio.sleep(0.001)
        if fails:
            raise ValueError("within the stream")
    finally:
        note(page, "generator ends")


def plain_pieces(page):
    for i in range(5):
        note(page, "piece %d" % i)
        yield "piece %d\n" % i


async def idle(page):
    """One piece, and then nothing for good."""
    try:
        yield "first\n"
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        note(page, "cancelled")
        raise
    finally:
        note(page, "generator ends")


async def silent(page):
    """Nothing for good."""
    note(page, "generator begins")
    try:
        await asyncio.Event().wait()
        yield ""
    finally:
        note(page, "generator ends")


async def endless(page):
    try:
        while True:
            yield "x" * 1000
            await asyncio.sleep(0)
    finally:
        note(page, "generator ends")


def numbers(page):
    for i in range(10 ** 9):
        yield "%d\n" % i


async def ticks(page, n=3):
    note(page, "generator begins")
    try:
        for i in range(n):
            yield {"event": "tick", "id": str(i), "data": "line %d\nand another" % i, "retry": 1000}
            await asyncio.sleep(0.001)
        yield {"comment": "the last"}
    finally:
        note(page, "generator ends")


async def one_tick(page):
    try:
        yield {"data": "first"}
        await asyncio.Event().wait()
    finally:
        note(page, "generator ends")


async def closed(message):
    note("/events/idle", message["type"])


def tasks(page):
    many = BackgroundTasks()
    many.add_task(afterwards, page)
    many.add_task(in_a_thread, page)
    return many


async def stream(request):
    return StreamingResponse(pieces("/stream"), media_type="text/plain", background=tasks("/stream"))


async def stream_plain(request):
    return StreamingResponse(plain_pieces("/stream/plain"), media_type="text/plain", background=BackgroundTask(afterwards, "/stream/plain"))


async def stream_fails(request):
    return StreamingResponse(pieces("/stream/fails", fails=True), media_type="text/plain")


async def stream_length(request):
    return StreamingResponse(pieces("/stream/length"), headers={"content-length": "40", "x-one": "1"}, media_type="text/plain")


async def stream_idle(request):
    return StreamingResponse(idle("/stream/idle"), media_type="text/plain")


async def stream_silent(request):
    return StreamingResponse(silent("/stream/silent"), media_type="text/plain")


async def stream_endless(request):
    return StreamingResponse(endless("/stream/endless"), media_type="text/plain")


async def events(request):
    return EventSourceResponse(ticks("/events"), background=BackgroundTask(afterwards, "/events"))


async def events_idle(request):
    return EventSourceResponse(one_tick("/events/idle"), client_close_handler_callable=closed)


async def whole(request):
    return PlainTextResponse("whole", background=tasks("/whole"))


async def slow(request):
    """Its client leaves before it answers, and what it has begun is finished."""
    await gone(request)
    note("/slow", "answers")
    return PlainTextResponse("late", background=tasks("/slow"))


async def gone(request):
    note(request.url.path, "waits")
    while not await request.is_disconnected():
        await asyncio.sleep(0.001)
    note(request.url.path, "disconnected")


async def stream_late(request):
    """The same with a generator that is short."""
    await gone(request)
    return StreamingResponse(pieces("/stream/late", n=0), media_type="text/plain", background=tasks("/stream/late"))


async def file_late(request):
    await gone(request)
    return FileResponse(FILE, background=tasks("/file/late"))


async def upload(request):
    """Its client leaves within the body."""
    try:
        async for piece in request.stream():
            note("/upload", "piece of %d" % len(piece))
    except Exception as exc:
        note("/upload", type(exc).__name__)
        raise
    return PlainTextResponse("whole")


async def file(request):
    return FileResponse(FILE, filename="made.txt", background=BackgroundTask(afterwards, "/file"))


async def noted(request):
    return JSONResponse(notes.get(request.query_params["page"], []))


PAGES = {"/stream": stream, "/stream/plain": stream_plain, "/stream/fails": stream_fails, "/stream/length": stream_length,
         "/stream/idle": stream_idle, "/stream/silent": stream_silent, "/stream/endless": stream_endless, "/events": events,
         "/events/idle": events_idle, "/whole": whole, "/slow": slow, "/stream/late": stream_late, "/file/late": file_late, "/file": file,
         "/noted": noted}


def starlette():
    from starlette.applications import Starlette
    from starlette.routing import Route

    return Starlette(routes=[Route(path, page) for path, page in PAGES.items()] + [Route("/upload", upload, methods=["POST"])])


def fastapi():
    from fastapi import Depends, FastAPI, Request

    async def resource(request: Request):
        try:
            yield
        finally:
            if request.url.path != "/noted":
                note(request.url.path, "dependency ends")

    app = FastAPI(dependencies=[Depends(resource)])
    for path, page in PAGES.items():
        page.__annotations__["request"] = Request
        app.api_route(path, methods=["GET", "HEAD"])(page)
    upload.__annotations__["request"] = Request
    app.post("/upload")(upload)
    return app


application = globals()[os.environ["APPLICATION"]]()
