#!/usr/bin/env python3
"""Puts an installed server through what everybody does with it on the first day: a page of Django's, a
form that is posted, a static file, a reload under load, a stop that lets the last request finish.

    smoke.py COMMAND…                               starts it: uwsgi, /venv/bin/uwsgi, python -m uwsgi
    smoke.py --write FOLDER                         writes the site, for an image
    smoke.py --at PORT --site FOLDER --kill COMMAND…
                                                    what runs already; COMMAND gets HUP and TERM added

Any Python from 3.7 on will do for this script; the server's own has Django.
"""

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

PATIENCE = float(os.environ.get("SMOKE_PATIENCE", 60))  # seconds: an emulated machine is slow

PAGE = '''
import sys
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import Context, Engine
from django.urls import path

import edition

settings.configure(SECRET_KEY="smoke", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"])
PAGE = Engine().from_string("{{ edition }} {{ python }} {{ token }}")


def index(request):
    if request.method == "POST":
        return HttpResponse("%s bytes" % len(request.POST["text"]))
    return HttpResponse(PAGE.render(Context({"edition": edition.NAME, "python": sys.prefix, "token": get_token(request)})))


def slow(request):
    def parts():
        yield "began"
        time.sleep(1)
        yield " done"

    return StreamingHttpResponse(parts())


urlpatterns = [path("", index), path("slow", slow)]
application = get_wsgi_application()
'''
STATIC = bytes(range(256)) * 1000


class Failure(Exception):
    """What the server did not do."""


def write(site):
    """Write the site into the folder ``site``, which is made."""
    os.makedirs(os.path.join(site, "static"), exist_ok=True)
    for name, text in (("page.py", PAGE), ("requirements.txt", "Django\n")):
        with open(os.path.join(site, name), "w") as f:
            f.write(text)
    with open(os.path.join(site, "static", "file.bin"), "wb") as f:
        f.write(STATIC)
    edit(site, "first")
    for folder, _, files in os.walk(site):  # whoever serves it reads it
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o644)


def edit(site, name):
    """Change the application; its parts never have half a line, nor a length that they had."""
    part = os.path.join(site, "edition.py.part")
    with open(part, "w") as f:
        f.write("NAME = %r\n" % name)
    os.replace(part, os.path.join(site, "edition.py"))


def within(what, done):
    """Wait until ``done`` gives something; it is what ``within`` gives."""
    end = time.monotonic() + PATIENCE
    while True:
        result = done()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure("not within %d s: %s" % (PATIENCE, what))
        time.sleep(0.05)


class Client:
    """A client of the server at ``port``: a connection a request, the cookies of the answers."""

    def __init__(self, port):
        self.port, self.cookie = port, ""

    def ask(self, path, body=None):
        """The body of the answer; Failure: another status than 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {"Cookie": self.cookie}
            if body is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request("GET" if body is None else "POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.getheader("Set-Cookie"):
                self.cookie = answer.getheader("Set-Cookie").split(";")[0]
            if answer.status != 200:
                raise Failure("%s: %d %s" % (path, answer.status, content[:200]))
            return content
        finally:
            connection.close()

    def page(self):
        """Edition, the Python's prefix and the token of the form on the page."""
        return self.ask("/").decode().split(" ")


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


def load(port, editions, wrong, end):
    """Ask for the page until ``end`` is set."""
    while not end.is_set():
        try:
            editions.add(Client(port).page()[0])
        except (OSError, Failure, http.client.HTTPException) as exc:
            wrong.append(repr(exc))
            return


def play(port, site, kill):
    """The whole of it, against what listens at ``port``; ``kill`` sends a signal by its name."""
    client = Client(port)
    within("something listens", lambda: not refused(port))
    edition, python, token = client.page()
    if edition != "first":
        raise Failure("the page is of the edition " + edition)
    text = "ä €" * 30000
    said = client.ask("/", urllib.parse.urlencode({"csrfmiddlewaretoken": token, "text": text}))
    if said != b"%d bytes" % len(text):
        raise Failure("the form: %r" % said)
    if client.ask("/static/file.bin") != STATIC:
        raise Failure("the static file is another one")

    editions, wrong, end = set(), [], threading.Event()
    clients = [threading.Thread(target=load, args=(port, editions, wrong, end), daemon=True) for _ in range(4)]
    for thread in clients:
        thread.start()
    within("load", lambda: editions or wrong)
    for new in ("second one", "third and last"):
        edit(site, new.replace(" ", "-"))
        kill("HUP")
        within("a reload", lambda: new.replace(" ", "-") in editions or wrong)
    end.set()
    for thread in clients:
        thread.join(PATIENCE)
    if wrong:
        raise Failure("under load while it reloaded: %s" % wrong)

    last = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    last.request("GET", "/slow")
    answer = last.getresponse()
    began = answer.read(len("began"))
    kill("TERM")
    if (began, answer.read()) != (b"began", b" done"):
        raise Failure("the request that ran at the stop was not answered")
    last.close()
    within("nobody listens any more", lambda: refused(port))
    return python


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(command):
    """Start the server on a site of its own, and play."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        site, port = os.path.join(folder, "site"), free_port()
        write(site)
        with open(os.path.join(folder, "log"), "w+b") as log:
            server = subprocess.Popen(command + ["--http", "127.0.0.1:%d" % port, "--chdir", site, "--module", "page",
                "--static-map", "/static=" + os.path.join(site, "static"), "--master", "--processes", "2", "--threads", "2",
                "--die-on-term"], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                def kill(name):
                    if server.poll() is not None:
                        raise Failure("it has ended, with %d" % server.returncode)
                    server.send_signal(getattr(signal, "SIG" + name))

                python = play(port, site, kill)
                try:
                    status = server.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    raise Failure("it has not ended")
                if status:
                    raise Failure("its exit status is %d" % status)
                within("all its processes ended", lambda: not group_lives(server.pid))
                return python
            except (Failure, OSError, http.client.HTTPException):
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace")[-6000:])
                raise
            finally:
                if server.poll() is None or group_lives(server.pid):
                    os.killpg(server.pid, signal.SIGKILL)
                    server.wait()


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--write", metavar="FOLDER")
    parser.add_argument("--at", metavar="PORT", type=int)
    parser.add_argument("--site", metavar="FOLDER")
    parser.add_argument("--kill", nargs="+")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if args.write:
        write(args.write)
        return
    try:
        if args.at:
            python = play(args.at, args.site, lambda name: subprocess.run(args.kill + [name], check=True))
        else:
            python = start(args.command)
    except (Failure, OSError, http.client.HTTPException) as exc:
        sys.exit("FAIL: %s: %s" % (" ".join(args.command or args.kill), exc))
    print("served, reloaded and stopped: %s, the Python of %s" % (" ".join(args.command or args.kill), python))


if __name__ == "__main__":
    main()
