"""The smallest WSGI application: see hello.ini."""


def application(environ, start_response):
    body = f"Hello, {environ.get('REMOTE_ADDR') or 'world'}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
