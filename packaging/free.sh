#!/bin/bash
# The server under a free-threaded Python (python.sh): what README.md's first day has, and the part of the end-to-end suite that threads
# could be another matter for. "free.sh short" runs less of both; "free.sh 3600" goes on with the eight threads for so many seconds.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$(packaging/python.sh free)
[ "$root" ] || { echo "free.sh: there is no free-threaded Python: nothing is tested under it" >&2; exit "${UWSGI_FREE_REQUIRED:-0}"; }

echo "== build for free-threaded Pythons"
dir=$(mktemp -d)
chmod 755 "$dir" # other users' instances are tested, too
trap 'rm -rf "$dir"' EXIT
packaging/compile.sh programs "$dir"
packaging/compile.sh redis "$dir"
packaging/compile.sh library "$dir"
ABI=cp313t packaging/compile.sh library "$dir"
export PATH=$root/bin:$PATH

# Debian's Django is older than this Python: PyPI's, which other tests have, is of Python alone.
django=$(echo "$(packaging/deps.sh venv)"/lib/python3.*/site-packages)
if [ -d "$django/django" ]; then
	echo "== a page, a form, a file, a reload, a stop"
	mkdir "$dir/django"
	for package in django asgiref sqlparse; do ln -s "$django/$package" "$dir/django/"; done
	PYTHONPATH=$dir/django python3 packaging/smoke.py "$dir/uwsgi" --threads 4
fi

echo "== run"
only='FreeThreaded|PEP3333|Harakiri|TestReload|Locks|Fork'
skip='Oracle|Frameworks|Django|Flask|Seed|Validator|Pythons|Channels|SQLAlchemy|SocketIO|Browser|TestGevent|Greenlet|Autobahn|Crowd|Paste'
said=
case ${1:-} in
short) ;;
[0-9]*)
	export UWSGI_FREE_SECONDS=$1
	said=-v # how many answers were checked
	;;
*)
	only=.
	export UWSGI_FREE_SECONDS=60
	;;
esac
UWSGI_E2E_BINARY="$dir/uwsgi" go test $said -count=1 -timeout $((1200 + ${UWSGI_FREE_SECONDS:-0}))s -run "$only" -skip "$skip" ./internal/e2e
