#!/bin/bash
# The end-to-end suite under a Python of another kind than Debian has (python.sh).
# usage: under.sh musl|free [short]; under.sh free SECONDS|tsan
#
#   musl  linked with musl, as Alpine's is
#   free  free-threaded; before it what README.md's first day has. SECONDS: the eight threads go on for so long
#
# short: what the kind could be another matter for. tsan: the library is compiled with the thread sanitizer. It does not see how the interpreter
# keeps threads apart, nor Go: what counts is a race between two places of the library's C.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-} how=${2:-}

# What needs packages or modules that these Pythons have not got (Django, gevent, ctypes), and what names other Pythons.
skip='Oracle|Frameworks|Django|Flask|Seed|Validator|Pythons|Channels|SQLAlchemy|SocketIO|Browser|TestGevent|WithoutGevent|Greenlet|Autobahn|Crowd|Paste'
only=. said=
case $kind in
musl)
	skip+='|Async|ASGI|Gevent|Crash'
	skip+='|Upload|WebSocketClients|WebSocketReload|OneWorkerWakes|WrongInterface|StubbornTask|Looped|TestLoops|StatsShape|ThreadsOfTheImport|UnfitPython'
	skip+='|Identity|AsTheUser|SmartDaemonsSignal|LeadNowhere|BecomesTheUser|ItsAccount|TheUserCommands|HookOrder|TestMule|Spooler|BusyMule|CommandLine|OddPlaces|ShimRunsAsTheUser|StartErrorsNameTheirLine|TooFewTasks'
	[ "$how" != short ] || only='Fork|Harakiri|Signal|Recycl|TestReload|Stop|Locks|PEP3333|Identity|Hook'
	;;
free)
	only='FreeThreaded|PEP3333|Harakiri|TestReload|Locks|Fork'
	case $how in
	'')
		only=.
		export UWSGI_FREE_SECONDS=60
		;;
	short) ;;
	tsan) only=FreeThreaded ;;
	*)
		export UWSGI_FREE_SECONDS=$how
		said=-v # how many answers were checked
		;;
	esac
	;;
*) sed -n '3s/^# //p' "$0" >&2; exit 2 ;;
esac

root=$(packaging/python.sh "$kind")
required=UWSGI_${kind^^}_REQUIRED
[ "$root" ] || { echo "under.sh: there is no Python of that kind, $kind: nothing is tested under it" >&2; exit "${!required:-0}"; }

echo "== build for $kind"
dir=$(mktemp -d)
chmod 755 "$dir" # other users' instances are tested, too
trap 'rm -rf "$dir"' EXIT
cp -r bin/uwsgi bin/lib "$dir/" # what `make build` has made: the same but for a library
if [ "$kind" = musl ]; then
	CC=musl-gcc packaging/compile.sh library "$dir"
	export UWSGI_E2E_ASYNC=no # the virtualenv of async.txt has a Python of glibc
else
	sanitizer=()
	if [ "$how" = tsan ]; then
		mkdir -m 1777 "$dir/races"
		sanitizer=(DEBUG=1 CGO_CFLAGS='-g -O1 -fno-omit-frame-pointer -Wno-tsan -fsanitize=thread' CGO_LDFLAGS=-fsanitize=thread)
		UWSGI_FREE_ENV="LD_PRELOAD=$(gcc -print-file-name=libtsan.so) TSAN_OPTIONS=exitcode=0:die_after_fork=0:report_signal_unsafe=0:log_path=$dir/races/of"
		export UWSGI_FREE_ENV
	fi
	env ABI=cp313t "${sanitizer[@]}" packaging/compile.sh library "$dir"
fi
export PATH=$root/bin:$PATH

# Debian's Django is older than this Python: PyPI's, which other tests have, is of Python alone.
django=$(echo "$(packaging/deps.sh venv)"/lib/python3.*/site-packages)
if [ "$kind" = free ] && [ "$how" != tsan ] && [ -d "$django/django" ]; then
	echo "== a page, a form, a file, a reload, a stop"
	mkdir "$dir/django"
	for package in django asgiref sqlparse; do ln -s "$django/$package" "$dir/django/"; done
	PYTHONPATH=$dir/django python3 packaging/smoke.py "$dir/uwsgi" --threads 4
fi

echo "== run"
UWSGI_E2E_BINARY="$dir/uwsgi" go test $said -count=1 -timeout $((1200 + ${UWSGI_FREE_SECONDS:-0}))s -run "$only" -skip "$skip" ./internal/e2e
[ "$how" = tsan ] || exit 0

echo "== races"
python3 - "$dir/races" <<'X'
import os, re, sys
races = {}
for file in os.scandir(sys.argv[1]):
    for report in open(file).read().split("=" * 18):
        tops = [re.findall(r"#\d+ (\S+) (\S+) .*\((?!libtsan)(\S+)\+0x", stack)[:1] for stack in report.split("\n\n")[:2]]
        if all(top and top[0][2].startswith("_uwsgi") for top in tops):
            races[tops[0][0], tops[1][0]] = report
print("".join(races.values()) + "%d races" % len(races))
sys.exit(bool(races))
X
