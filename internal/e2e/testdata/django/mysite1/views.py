import hashlib
import os
import sys
import time

import django
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.views.decorators.csrf import csrf_exempt


def index(request):
    page = engines["django"].from_string("<h1>{{ greeting }}</h1>\n<p>{{ path }}</p>\n")
    return HttpResponse(page.render({"greeting": "It worked!", "path": request.get_full_path()}))


@csrf_exempt
def form(request):
    return JsonResponse({"get": dict(request.GET), "post": dict(request.POST), "method": request.method})


@csrf_exempt
def upload(request):
    """A multipart form with a file in it, as a browser sends it."""
    f = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in f.chunks():
        digest.update(chunk)
    return JsonResponse({"name": f.name, "size": f.size, "sha256": digest.hexdigest()})


@csrf_exempt
def count(request):
    """The size of a raw body, read in blocks."""
    n = 0
    while block := request.read(1 << 20):
        n += len(block)
    return HttpResponse("%d\n" % n)


def stream(request):
    return StreamingHttpResponse(("line %d\n" % i for i in range(1000)), content_type="text/plain")


def download(request):
    return FileResponse(open(__file__, "rb"), as_attachment=True)


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse("%d\n" % request.session["visits"])


def where(request):
    return JsonResponse({
        "django": django.get_version(), "python": "%d.%d" % sys.version_info[:2], "prefix": sys.prefix, "cwd": os.getcwd(),
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "host": request.get_host(), "secure": request.is_secure(),
        "remote": request.META["REMOTE_ADDR"], "absolute": request.build_absolute_uri(), "pid": os.getpid(), "ppid": os.getppid(),
    })


def error(request):
    raise RuntimeError("the view failed")


def nap(request):
    time.sleep(float(request.GET.get("for", "1")))
    return HttpResponse("rested\n")
