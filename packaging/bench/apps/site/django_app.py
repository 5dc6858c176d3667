import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from django.core.handlers.wsgi import WSGIHandler
import django

django.setup()
import urls  # what a first request would import is here before the workers are forked

application = WSGIHandler()
if os.environ.get("BENCH_FREEZE"):
    import gc

    gc.collect()
    gc.freeze()
