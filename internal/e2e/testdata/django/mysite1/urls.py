from django.urls import path

from . import views

urlpatterns = [
    path("", views.index),
    path("form/", views.form),
    path("upload/", views.upload),
    path("count/", views.count),
    path("stream/", views.stream),
    path("download/", views.download),
    path("visits/", views.visits),
    path("where/", views.where),
    path("error/", views.error),
    path("nap/", views.nap),
]
