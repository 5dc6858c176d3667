#!/bin/bash
# The end-to-end suite under a Python that is linked with musl, as Alpine's is: built here from Debian's source, once, and kept outside
# of the tree. "musl.sh short" runs what musl could be another matter for; "musl.sh python" prints where that Python is.
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.13.5
pool=http://deb.debian.org/debian/pool/main
sources="python p/python3.13/python3.13_$version.orig.tar.xz 93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640
zlib z/zlib/zlib_1.3.dfsg+really1.3.1.orig.tar.gz 60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb"
cache=${XDG_CACHE_HOME:-$HOME/.cache}
[ "$(id -u)" != 0 ] || cache=/var/cache
root=$cache/uwsgi-test/musl-python-$version-2 # counted up when the build changes

# Little optimised: it is compiled in half the time; with the stacks of threads that python:3-alpine has. What Debian has no musl library for
# (libffi, OpenSSL) it does without, but for zlib, which pip wants.
build() {
	local work=$root.work name path digest
	rm -rf "$work" && mkdir -p "$work/build"
	while read -r name path digest; do
		mkdir "$work/$name"
		curl -sSfL -o "$work/source" "$pool/$path" || return 1
		echo "$digest  $work/source" | sha256sum -c --quiet || return 1
		tar -xf "$work/source" -C "$work/$name" --strip-components=1 || return 1
	done <<<"$sources"
	printf '#!/bin/sh\n[ "$1" = --print-multiarch ] && { echo x86_64-linux-musl; exit; }\nexec musl-gcc "$@"\n' >"$work/cc"
	chmod +x "$work/cc"
	(cd "$work/zlib" && CC=musl-gcc CFLAGS='-O2 -fPIC' ./configure --static --prefix="$work/z" && make install) >"$work.log" 2>&1 &&
		(cd "$work/build" && PKG_CONFIG=/bin/false ZLIB_CFLAGS="-I$work/z/include" ZLIB_LIBS="$work/z/lib/libz.a" CC=$work/cc ../python/configure \
			--prefix="$root" --enable-shared --without-ensurepip --disable-test-modules OPT='-O1 -DNDEBUG' \
			LDFLAGS="-Wl,-rpath,$root/lib -Wl,-z,stack-size=0x100000" && make -j"$(nproc)" && make install) >>"$work.log" 2>&1 &&
		"$root/bin/python3" -c 'import zlib' || { tail -20 "$work.log" >&2; return 1; }
	rm -rf "$work"
	touch "$root/complete"
}

mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9
if [ ! -e "$root/complete" ]; then
	echo "== building a Python $version with musl in $root" >&2
	rm -rf "$root"
	build || { echo "musl.sh: there is no Python with musl ($root.work): nothing is tested under it" >&2; exit "${UWSGI_MUSL_REQUIRED:-0}"; }
fi
flock -u 9
[ "${1:-}" != python ] || { echo "$root"; exit; }

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
