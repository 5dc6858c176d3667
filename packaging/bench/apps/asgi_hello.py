"""The smallest ASGI application: what is measured with it is the server."""

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain"), (b"content-length", b"14")]}
BODY = {"type": "http.response.body", "body": b"Hello, World!\n"}


async def application(scope, receive, send):
    await send(START)
    await send(BODY)
