#!/bin/bash
# Builds a Python of another kind than Debian has, from Debian's source, once, and keeps it outside of the tree.
# usage: python.sh musl|free        prints where it is; nothing where it cannot be built
#
#   musl   linked with musl, as Alpine's is
#   free   free-threaded: 3.13t
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.13.5
pool=http://deb.debian.org/debian/pool/main
python="python p/python3.13/python3.13_$version.orig.tar.xz 93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640"
zlib="zlib z/zlib/zlib_1.3.dfsg+really1.3.1.orig.tar.gz 60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb"
cache=${XDG_CACHE_HOME:-$HOME/.cache}
[ "$(id -u)" != 0 ] || cache=/var/cache

fetch() { # fetch WORK SOURCE…: unpacks them into folders of their names
	local work=$1 source name path digest; shift
	rm -rf "$work" && mkdir -p "$work/build"
	for source; do
		read -r name path digest <<<"$source"
		mkdir "$work/$name"
		curl -sSfL -o "$work/source" "$pool/$path" || return 1
		echo "$digest  $work/source" | sha256sum -c --quiet || return 1
		tar -xf "$work/source" -C "$work/$name" --strip-components=1 || return 1
	done
}

# configured WORK OPTION…: the rest of a build, in WORK/build. Little optimised: it is compiled in half the time.
configured() {
	local work=$1; shift
	(cd "$work/build" && ../python/configure --prefix="$root" --without-ensurepip --disable-test-modules OPT='-O1 -DNDEBUG' "$@" &&
		make -j"$(nproc)" && make install)
}

# With the stacks of threads that python:3-alpine has. What Debian has no musl library for (libffi, OpenSSL) it does without, but for zlib,
# which pip wants.
musl() {
	fetch "$1" "$python" "$zlib" || return 1
	printf '#!/bin/sh\n[ "$1" = --print-multiarch ] && { echo x86_64-linux-musl; exit; }\nexec musl-gcc "$@"\n' >"$1/cc"
	chmod +x "$1/cc"
	(cd "$1/zlib" && CC=musl-gcc CFLAGS='-O2 -fPIC' ./configure --static --prefix="$1/z" && make install) &&
		PKG_CONFIG=/bin/false ZLIB_CFLAGS="-I$1/z/include" ZLIB_LIBS="$1/z/lib/libz.a" CC=$1/cc configured "$1" --enable-shared \
			LDFLAGS="-Wl,-rpath,$root/lib -Wl,-z,stack-size=0x100000"
}

# Without the modules that take long and are not asked for. And without spinning for locks: a 3.13t yields 40 times for each file that it
# closes, a mere import thousands of times, and on a busy machine every one is a time slice.
free() {
	local name
	fetch "$1" "$python" || return 1
	sed -i 's/MAX_SPIN_COUNT = 40/MAX_SPIN_COUNT = 0/' "$1/python/Python/lock.c" && grep -q 'MAX_SPIN_COUNT = 0' "$1/python/Python/lock.c" || return 1
	for name in _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _multibytecodec _decimal _curses _curses_panel readline \
		_lsprof _interpreters _interpchannels _interpqueues _sqlite3 _ssl _hashlib _bz2 _lzma _dbm _gdbm _tkinter nis; do
		export "py_cv_module_$name=n/a"
	done
	PKG_CONFIG=/bin/false configured "$1" --disable-gil --with-builtin-hashlib-hashes=md5,sha1,sha2,sha3,blake2
}

case ${1:-} in
musl) stamp=2 ;; # counted up when the build changes
free) stamp=2 ;;
*) echo "usage: python.sh musl|free" >&2; exit 2 ;;
esac
root=$cache/uwsgi-test/$1-python-$version-$stamp
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9
if [ ! -e "$root/complete" ]; then
	echo "python.sh: building a Python $version in $root" >&2
	rm -rf "$root"
	if ! "$1" "$root.work" >"$root.work.log" 2>&1 9>&- || ! "$root/bin/python3" -c 'import zlib' 2>>"$root.work.log"; then
		tail -20 "$root.work.log" >&2
		echo "python.sh: no Python $version ($1) could be built: $root.work.log" >&2
		exit
	fi
	rm -rf "$root.work"
	touch "$root/complete"
fi
echo "$root"
