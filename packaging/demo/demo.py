"""The demonstration that `make run` serves: one page that says who answered."""

import html
import os
import sys
import threading

import uwsgi


def application(environ, start_response):
    """A WSGI application (PEP 3333) that shows the server and the request."""
    facts = [
        ("uwsgi", uwsgi.version.decode()),
        ("Python", sys.version.split()[0]),
        ("worker", "%d of %d, process %d, thread %s" % (uwsgi.worker_id(), uwsgi.numproc, os.getpid(), threading.current_thread().name)),
        ("requests served", str(uwsgi.total_requests() + 1)),
        ("request", "%s %s" % (environ["REQUEST_METHOD"], environ.get("REQUEST_URI", ""))),
        ("client", environ.get("REMOTE_ADDR", "")),
    ]
    rows = "".join("<tr><th>%s<td>%s" % (html.escape(k), html.escape(v)) for k, v in facts)
    page = (
        "<!doctype html><meta charset=utf-8><title>uwsgi</title><style>body{font:1em/1.6 sans-serif;margin:3em auto;max-width:40em}"
        "th{text-align:left;padding-right:2em}</style><h1>It works.</h1><table>%s</table>"
        "<p>This is packaging/demo/demo.py. Serve your own: <code>uwsgi --http :8000 --module mysite.wsgi</code>" % rows
    ).encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))])
    return [page]
