"""Makes the database that the page reads: python manage_bench.py FILE."""

import os
import sys

os.environ["BENCH_DB"] = sys.argv[1]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()
from django.db import connection
from pages.models import Entry

with connection.schema_editor() as editor:
    editor.create_model(Entry)
Entry.objects.bulk_create(Entry(title="Entry %d" % i, text="What entry %d says. " % i * 5) for i in range(20))
