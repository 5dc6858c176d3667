#!/bin/sh
# Compiles what is installed, for every way of packaging it: the one place of its flags.
# usage: compile.sh programs|library|redis DIR [flags of go build]
#
#   programs  DIR/uwsgi
#   library   DIR/lib/uwsgi: what a loader loads, and its Python; ABI=cp313t: for that free-threaded Python
#   redis     DIR/lib/uwsgi/uwsgi-redis, which talks to Redis
#
# From the environment: GO, GOARCH and GOFLAGS; CC, a command as cgo takes it; CGO_CFLAGS, for both libraries; CGO_LDFLAGS, for the one with Go;
# SHARED_CFLAGS, for the one without; DEBUG=1: symbols stay.
set -eu
umask 022 # the application's user reads it, whoever compiles
cd "$(dirname "$0")/.."
root=$PWD
what=$1 dir=$2
shift 2
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
go=${GO:-go}
case $("$go" env GOARCH) in
386 | arm | mips | mipsle)
	echo "compile.sh: uwsgi is for machines of 64 bits, this is $("$go" env GOARCH)" >&2
	exit 1
	;;
esac
# No identity of the build: it has the folder of the linker script in it, and the same commit gives the same bytes in every folder.
strip=-s debug='-s -w -buildid='
[ -z "${DEBUG:-}" ] || strip='' debug='-buildid='

step() { # step FILE. Go compiles its own library, too, where nothing has been compiled yet.
	if [ -e "$1" ]; then echo "compiling $1"; else echo "compiling $1: the first time takes a minute or two"; fi
}

case $what in
programs)
	step "$dir/uwsgi"
	version=$(sed -n 's/^VERSION := //p' Makefile)
	CGO_ENABLED=0 "$go" build -trimpath -buildvcs=false -ldflags "$debug -X uwsgi/internal/app.Version=$version" "$@" -o "$dir/uwsgi" ./cmd/uwsgi
	;;
library)
	lib=$dir/lib/uwsgi
	mkdir -p "$lib"
	# Both are built to CPython's limited API, or to what free-threaded ones have in common, with a header of our own. The interpreter's
	# symbols are resolved when it loads them.
	abi=${ABI:-abi3}
	case $abi in
	abi3) ;;
	cp313t | cp314t) export CGO_CFLAGS="${CGO_CFLAGS:--g -O2} -DPy_GIL_DISABLED=1" ;;
	*) echo "compile.sh: $abi: there are abi3, cp313t and cp314t" >&2; exit 2 ;;
	esac
	step "$lib/_uwsgi.$abi.so"
	CGO_ENABLED=1 CGO_LDFLAGS="-Wl,-z,now ${CGO_LDFLAGS:-}" "$go" build -trimpath -buildvcs=false -ldflags "$debug \"-extldflags='-Wl,-T,$root/cmd/uwsgi-worker/init.ld'\"" "$@" \
		-buildmode=c-shared -o "$lib/_uwsgi.$abi.so" ./cmd/uwsgi-worker
	rm -f "$lib/_uwsgi.$abi.h"
	eval "set -- ${CC:-cc}"
	# shellcheck disable=SC2086 # flags, each by itself
	"$@" -std=gnu11 -O2 -Wall -Wextra -fPIC -shared -fvisibility=hidden -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Icmd/uwsgi-worker \
		-pthread -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack ${CGO_CFLAGS:-} ${SHARED_CFLAGS:-} "-ffile-prefix-map=$root=." $strip \
		-o "$lib/_uwsgi_shared.$abi.so" cmd/uwsgi-shared/*.c
	cp internal/python/*.py "$lib/"
	;;
redis)
	mkdir -p "$dir/lib/uwsgi"
	step "$dir/lib/uwsgi/uwsgi-redis"
	CGO_ENABLED=0 "$go" build -trimpath -buildvcs=false -ldflags "$debug" "$@" -o "$dir/lib/uwsgi/uwsgi-redis" ./cmd/uwsgi-redis
	;;
*)
	echo "compile.sh: $what: there are programs, library and redis" >&2
	exit 2
	;;
esac
