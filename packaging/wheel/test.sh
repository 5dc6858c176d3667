#!/bin/bash
# Installs the wheels of dist/ as people do, and asks what they serve: into virtualenvs of every CPython here, started without being
# activated, through links, as a module, from the source. usage: test.sh [short] (make wheel first; short: one CPython)
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
tools=$(packaging/deps.sh tools)
machine=$(uname -m)
wheel=$(echo "$root"/dist/uwsgi-*-abi3-manylinux_*_"$machine".*.whl)
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2; [ ! -e "$work/log" ] || tail -20 "$work/log" >&2; exit 1; }

echo "== what the wheels are"
python3 - "$root" dist/*.whl <<'X' || fail "see above"
import sys, zipfile
root, *paths = sys.argv[1:]
for path in paths:
    wheel = zipfile.ZipFile(path)
    metadata = next(n for n in wheel.namelist() if n.endswith("/METADATA"))
    if b"\nDescription-Content-Type: text/" not in wheel.read(metadata):
        sys.exit(path + ": twine refuses a description without a type")
    for name in wheel.namelist():
        if b"\0%s\0" % root.encode() in wheel.read(name):  # as a folder of debug information
            sys.exit("%s: %s names the folder where it was compiled" % (path, name))
X
for w in dist/uwsgi_redis-*.whl; do
	[ "$(stat -c %s "$w")" -lt 6000000 ] || fail "$w has 6 MB or more"
done
for w in dist/uwsgi-*.whl; do
	[ "$(stat -c %s "$w")" -lt 6000000 ] || fail "$w has 6 MB or more"
	case $w in
	# auditwheel has Alpine's name of the library in its list, not the one that musl takes everywhere, and trips over Debian's libc.so.
	*-musllinux_*) audit=(show --ldpaths "$work") wants='no external versioned symbols*are required by the wheel: { "libc.so": null }' ;;
	*) audit=(show) wants='following platform tag: "manylinux_2_17' ;;
	esac
	said=$("$tools/bin/auditwheel" "${audit[@]}" "$w" | tr -s '\n ' ' ')
	# shellcheck disable=SC2053 # a pattern
	[[ $said = *$wants* ]] || fail "$w: $said"
	[[ $w = *-abi3-* ]] || { echo "$w"; continue; }
	# Beyond the stable ABI of 3.9: functions without a layout that every CPython exports, and PyIter_Send where there is one.
	{ "$tools/bin/abi3audit" --report "$w" 2>/dev/null || true; } | python3 -c '
import json, sys
for library in next(iter(json.load(sys.stdin)["specs"].values()))["wheel"]:
    found = library["result"]
    beyond = {*found["non_abi3_symbols"], *found["future_abi3_objects"]}
    known = {"PyContextVar_" + n for n in ("Get", "New", "Set")} | {"PyObject_GetArenaAllocator", "PyObject_SetArenaAllocator",
             "PyContext_CopyCurrent", "PyObject_GenericGetDict", "PyIter_Send", "PyUnicode_AsUTF8AndSize"}
    if not beyond <= known:
        sys.exit("%s: not of the stable ABI: %s" % (library["name"], ", ".join(sorted(beyond - known))))' || fail "$w"
	echo "$w"
done

cat >"$work/page.py" <<'X'
import sys


def application(environ, start_response):
    body = ("%s %d" % (sys.prefix, len(environ["wsgi.input"].read()))).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
X

# serve PREFIX COMMAND…: what the command starts runs in that virtualenv, reloads and stops.
serve() {
	local prefix=$1 port sock=$work/http.sock; shift
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	(cd "$work" && exec env -u VIRTUAL_ENV -u PYTHONPATH "$@" --http "127.0.0.1:$port" --module page --pythonpath "$work" --master --processes 2 --die-on-term) >"$work/log" 2>&1 &
	pid=$!
	ask() { curl -sf --retry 20 --retry-delay 1 --retry-connrefused --max-time 5 --data-binary 12345 "http://127.0.0.1:$port/"; }
	[ "$(ask)" = "$prefix 5" ] || fail "$*: $(ask), want $prefix 5"
	kill -HUP "$pid"
	for _ in $(seq 300); do grep -q '(RE)spawned' "$work/log" && break; sleep 0.1; done
	[ "$(ask)" = "$prefix 5" ] || fail "$* after a reload: $(ask)"
	kill "$pid"
	wait "$pid" || fail "$*: exit status $?"
	pid=
}

echo "== install and serve"
pythons=()
for python in /usr/bin/python3 "$HOME"/.pyenv/versions/3.*/bin/python3; do
	[ -x "$python" ] || continue
	"$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && pythons+=("$python")
	[ "${1:-}" != short ] || break
done
for python in "${pythons[@]}"; do
	venv=$work/venv
	rm -rf "$venv"
	"$python" -m venv --system-site-packages "$venv"
	# What README.md says, offline.
	PATH=$venv/bin:$PATH PIP_NO_INDEX=1 PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1 bash -c "$(packaging/readme.sh pip)"
	serve "$venv" "$venv/bin/uwsgi"
	"$venv/bin/python" -c 'import django' 2>/dev/null || "$venv/bin/pip" install -q --disable-pip-version-check Django
	python3 packaging/smoke.py "$venv/bin/uwsgi"
	ln -sf "$venv/bin/uwsgi" "$work/link"
	serve "$venv" "$work/link"
	serve "$venv" "$venv/bin/python" -m uwsgi
	serve "$venv" "$venv/bin/python" -c 'import pyuwsgi, sys; pyuwsgi.run(sys.argv[1:])'
	said=$("$venv/bin/python" -c 'import uwsgi' 2>&1) && fail "uwsgi is a module outside of the server"
	[[ $said = *'ImportError: the module uwsgi exists only inside'* ]] || fail "import uwsgi outside of the server"
	said=$(cd "$work" && "$venv/bin/uwsgi" --http 127.0.0.1:0 --module page --spooler redis://127.0.0.1:1 2>&1) && fail "it started without uwsgi-redis"
	[[ $said = *'uwsgi[redis]'* ]] || fail "without uwsgi-redis: $said"
	"$venv/bin/pip" install -q --disable-pip-version-check --no-index --find-links dist "$wheel[redis]"
	said=$("$venv/lib/uwsgi/uwsgi-redis" 2>&1) && fail "uwsgi-redis by itself"
	[[ $said = *'started by uwsgi'* ]] || fail "uwsgi-redis: $said"
	"$venv/bin/pip" uninstall -q -y --disable-pip-version-check uwsgi uwsgi-redis
	[ -z "$(find "$venv" -iname '*uwsgi*')" ] || fail "left after pip uninstall: $(find "$venv" -iname '*uwsgi*')"
	"$python" -V
done

free=$(echo "$root"/dist/uwsgi-*-cp313t-manylinux_*_"$machine".*.whl)
python=
[ ! -e "$free" ] || [ "${1:-}" = short ] || python=$(packaging/python.sh free)
if [ "$python" ]; then
	echo "== a free-threaded Python"
	rm -rf "$venv"
	"$python/bin/python3" -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check --no-index --find-links dist uwsgi
	serve "$venv" "$venv/bin/uwsgi"
	"$venv/bin/pip" install -q --disable-pip-version-check --no-index "$wheel" 2>/dev/null && fail "the wheel of the stable ABI installs in a free-threaded Python"
fi

echo "== uv, whose files are links"
export UV_CACHE_DIR=$work/cache UV_TOOL_DIR=$work/tools UV_TOOL_BIN_DIR=$work/bin UV_PYTHON_DOWNLOADS=never
rm -rf "$venv"
"$tools/bin/uv" -q venv --python "${pythons[0]}" "$venv"
"$tools/bin/uv" -q pip install --python "$venv/bin/python" --link-mode symlink --offline "$wheel"
[ -L "$venv/bin/uwsgi" ] || fail "uv did not link"
serve "$venv" "$venv/bin/uwsgi"
"$tools/bin/uv" -q tool install --python "${pythons[0]}" --offline "$wheel"
serve "$work/tools/uwsgi" "$work/bin/uwsgi"

echo "== from the source, with what is here of Go and C"
rm -rf "$venv"
"${pythons[0]}" -m venv "$venv"
mkdir "$work/sdist"
"$tools/bin/python" packaging/wheel/backend.py "$work/sdist" sdist
GOPROXY=off GOFLAGS=-mod=vendor "$venv/bin/pip" install -q --disable-pip-version-check --no-index "$work"/sdist/uwsgi-*.tar.gz
serve "$venv" "$venv/bin/uwsgi"
[ -x "$venv/lib/uwsgi/uwsgi-redis" ] || fail "no uwsgi-redis from the source"

echo "== a machine of 32 bits"
for arch in 386 arm; do
	for what in programs library redis; do
		said=$(GOARCH=$arch packaging/compile.sh "$what" "$work/32" 2>&1) && fail "the $what compile for 32 bits"
		[ "$said" = "compile.sh: uwsgi is for machines of 64 bits, this is $arch" ] || fail "$said"
	done
done

echo "== a Python that cannot have it: one line before anything is fetched"
# said_of WANTED PYTHON [CODE…]: what the backend says to a Python
said_of() {
	said=$("$2" -c "import sys; sys.path.insert(0, 'packaging/wheel'); import backend; ${3:-}; backend.get_requires_for_build_wheel()" 2>&1) &&
		fail "$2 may have it"
	[ "$said" = "uwsgi is for $1" ] || fail "$2: $said"
}
said_of "machines of 64 bits, this is a Python of 32" python3 "import struct; struct.calcsize = lambda _: 4"
said_of "Linux, this is darwin: develop in a container" python3 "sys.platform = 'darwin'"
said_of "CPython from 3.9 on, this is CPython 3.8" python3 "sys.version_info = (3, 8, 18)"

echo "== the same tree, the same bytes"
targets=("manylinux-$machine")
cp "$wheel" "$work/sdist/"
if [ -e "$free" ]; then
	targets+=("manylinux-$machine-cp313t")
	cp "$free" "$work/sdist/"
fi
packaging/same.sh "$work/sdist" "$tools/bin/python" packaging/wheel/backend.py dist "${targets[@]}" sdist
