"""An application of each kind that does what the path says, and remembers what it was asked."""
import asyncio
import json
import time

asked = []


def wanted(path, keys):
    asked.append(keys)
    if path == "/raise":
        raise ValueError("not today")
    return "503 Service Unavailable" if path == "/503" else "200 OK"


def application(environ, start_response):
    status = wanted(environ["PATH_INFO"], {k: v for k, v in environ.items() if isinstance(v, (str, int, bool))})
    if environ["PATH_INFO"] == "/hang":
        time.sleep(600)
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(asked).encode()]


async def asgi(scope, receive, send):
    assert scope["type"] == "http", scope["type"]
    status = wanted(scope["path"], {k: scope[k] for k in ("path", "root_path", "scheme", "client", "server", "method")})
    if scope["path"] == "/hang":
        await asyncio.sleep(600)
    await receive()
    await send({"type": "http.response.start", "status": int(status[:3]), "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(asked).encode()})
