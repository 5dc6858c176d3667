import time

from django.http import HttpResponse
from django.urls import path
from django.shortcuts import render

from pages.models import Entry

BORN = "%d\n" % time.time_ns()


def page(request):
    return render(request, "page.html", {"entries": Entry.objects.order_by("id")[:20]})


urlpatterns = [
    path("", lambda request: HttpResponse("Hello, World!\n", content_type="text/plain")),
    path("page", page),
    path("born", lambda request: HttpResponse(BORN, content_type="text/plain")),
]
