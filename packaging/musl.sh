#!/bin/bash
# The end-to-end suite under a Python that is linked with musl, as Alpine's is (python.sh). "musl.sh short" runs what musl could be
# another matter for.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$(packaging/python.sh musl)
[ "$root" ] || { echo "musl.sh: there is no Python with musl: nothing is tested under it" >&2; exit "${UWSGI_MUSL_REQUIRED:-0}"; }

echo "== build for musl"
dir=$(mktemp -d)
chmod 755 "$dir" # other users' instances are tested, too
trap 'rm -rf "$dir"' EXIT
packaging/compile.sh programs "$dir"
packaging/compile.sh redis "$dir"
CC=musl-gcc packaging/compile.sh library "$dir"

echo "== run"
# Those that need packages or modules which this Python has not got (Django, gevent, uvloop, ctypes), and those that name other Pythons.
skip='Oracle|Frameworks|Django|Flask|Seed|Validator|Pythons|Async|ASGI|Channels|SQLAlchemy|SocketIO|Browser|Gevent|Greenlet|Autobahn|Crowd|Paste|Crash'
skip+='|Upload|WebSocketClients|WebSocketReload|OneWorkerWakes|WrongInterface|StubbornTask|Looped|TestLoops|StatsShape|ThreadsOfTheImport|UnfitPython'
skip+='|Identity|AsTheUser|SmartDaemonsSignal|LeadNowhere|BecomesTheUser|ItsAccount|TheUserCommands|HookOrder|TestMule|Spooler|BusyMule|CommandLine|OddPlaces|ShimRunsAsTheUser|StartErrorsNameTheirLine|TooFewTasks'
only=.
[ "${1:-}" != short ] || only='Fork|Harakiri|Signal|Recycl|TestReload|Stop|Locks|PEP3333|Identity|Hook'
PATH=$root/bin:$PATH UWSGI_E2E_BINARY="$dir/uwsgi" go test -count=1 -timeout 20m -run "$only" -skip "$skip" ./internal/e2e
