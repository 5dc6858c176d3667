"""For ``uwsgi check``: reads, from standard input, what a configuration says of its application,
and writes what is wrong with it. Any Python can read this file. Its shape is ``reading`` of
internal/doctor."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from uwsgi_unfit import unfit

answer = {"Python": sys.version.split()[0], "Unfit": unfit(preloaded=False) or "", "Problems": []}
if not answer["Unfit"]:
    import uwsgi_read

    answer["Problems"] = uwsgi_read.problems(json.load(sys.stdin))
json.dump(answer, sys.stdout)
