"""The same few things in each framework: /NAME/upload, /NAME/json, /NAME/stream, /NAME/file, /NAME/fail."""

import hashlib
import os

import bottle
import falcon
import flask
from pyramid.config import Configurator
from pyramid.response import FileResponse, Response

DATA = b"".join(b"%07d\n" % i for i in range(20000))
PATH = os.path.join(os.getcwd(), "data.bin")
with open(PATH, "wb") as f:
    f.write(DATA)


def lines():
    for i in range(200):
        yield b"line %d\n" % i


def told(name, text, url):
    return {"name": name, "md5": hashlib.md5(text).hexdigest(), "url": url}


# --- Flask ---

f = flask.Flask("frameworks")


@f.post("/upload")
def f_upload():
    upload = flask.request.files["file"]
    return told(upload.filename, upload.read(), flask.request.url)


@f.post("/json")
def f_json():
    return flask.request.get_json()


f.add_url_rule("/stream", "stream", lambda: flask.Response(lines(), mimetype="text/plain"))
f.add_url_rule("/file", "file", lambda: flask.send_file(PATH))
f.add_url_rule("/fail", "fail", lambda: 1 / 0)

# --- Pyramid ---


def p_upload(request):
    upload = request.POST["file"]
    return told(upload.filename, upload.file.read(), request.url)


def p_file(request):
    response = FileResponse(PATH, request=request)
    response.conditional_response = True
    return response


with Configurator() as config:
    for name, view, renderer in (
        ("upload", p_upload, "json"), ("json", lambda request: request.json_body, "json"), ("fail", lambda request: 1 / 0, "json"),
        ("stream", lambda request: Response(app_iter=lines(), content_type="text/plain", charset="utf-8"), None), ("file", p_file, None),
    ):
        config.add_route(name, "/" + name)
        config.add_view(view, route_name=name, renderer=renderer)
p = config.make_wsgi_app()

# --- Falcon ---


class Upload:
    def on_post(self, request, response):
        for part in request.get_media():
            response.media = told(part.filename, part.stream.read(), request.url)


class Json:
    def on_post(self, request, response):
        response.media = request.get_media()


class Stream:
    def on_get(self, request, response):
        response.content_type = "text/plain"
        response.stream = lines()


class Fail:
    def on_get(self, request, response):
        1 / 0


falc = falcon.App()
for name, resource in (("/upload", Upload()), ("/json", Json()), ("/stream", Stream()), ("/fail", Fail())):
    falc.add_route(name, resource)
falc.add_static_route("/static", os.getcwd())

# --- Bottle ---

b = bottle.Bottle()


@b.post("/upload")
def b_upload():
    upload = bottle.request.files["file"]
    return told(upload.raw_filename, upload.file.read(), bottle.request.url)


b.route("/json", "POST", lambda: bottle.request.json)
b.route("/stream", "GET", lines)
b.route("/file", "GET", lambda: bottle.static_file("data.bin", os.getcwd()))
b.route("/fail", "GET", lambda: 1 / 0)

frameworks = {"flask": f, "pyramid": p, "falcon": falc, "bottle": b}


def application(environ, start_response):
    _, name, rest = environ["PATH_INFO"].split("/", 2)
    environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + "/" + name
    environ["PATH_INFO"] = "/" + rest
    return frameworks[name](environ, start_response)
