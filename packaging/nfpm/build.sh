#!/bin/bash
# Makes the RPMs and the apks of what is in the wheels of dist/, and looks at what came out.
# usage: build.sh [FOLDER [RELEASE [KIND…]]]  (make packages: dist 1 rpm apk)
set -euo pipefail
cd "$(dirname "$0")/../.."
to=${1:-dist} kinds=${*:3}
tools=$(packaging/deps.sh tools)
export VERSION LICENSE ARCH STAGE SOURCE_DATE_EPOCH RELEASE=${2:-1}
VERSION=$(sed -n 's/^VERSION := //p' Makefile)
LICENSE=$(sed -n 's/^License: //p' debian/copyright | head -1)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 315532800)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
install -D -m 755 -t "$work/scripts" packaging/nfpm/*install.sh packaging/nfpm/*remove.sh packaging/conf/uwsgi.openrc

one() { # one KIND LIBC MACHINE
	STAGE=$work/$1-$3
	case $3 in x86_64) ARCH=amd64 ;; aarch64) ARCH=arm64 ;; esac
	python3 -m zipfile -e dist/uwsgi-"$VERSION"-cp39-abi3-"$2"*_"$3"*.whl "$work/wheel-$1-$3"
	local data=$work/wheel-$1-$3/uwsgi-$VERSION.data
	mkdir -p "$work/bin-$1-$3/lib"
	cp "$data/scripts/uwsgi" "$work/bin-$1-$3/"
	cp -r "$data/data/lib/uwsgi" "$work/bin-$1-$3/lib/"
	python3 -m zipfile -e dist/uwsgi_redis-"$VERSION"-py3-none-*_"$3".whl "$work/redis-$1-$3"
	cp "$work/redis-$1-$3"/*.data/data/lib/uwsgi/uwsgi-redis "$work/bin-$1-$3/lib/uwsgi/"
	make -s --no-print-directory install BIN="$work/bin-$1-$3" TELLER=bin/uwsgi PREFIX=/usr DESTDIR="$STAGE"
	install -D -m 644 debian/uwsgi.logrotate "$STAGE/etc/logrotate.d/uwsgi"
	if [ "$1" = apk ]; then rm -rf "$STAGE"/usr/lib/systemd "$STAGE"/usr/lib/tmpfiles.d "$STAGE"/usr/share/doc/uwsgi/examples/systemd; fi
	find "$STAGE" "$work/scripts" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
	sed "s,\${STAGE},$STAGE,; s,\${SCRIPTS},$work/scripts," packaging/nfpm/nfpm.yaml >"$work/nfpm.yaml"
	"$tools/bin/nfpm" package -f "$work/nfpm.yaml" -p "$1" -t "$to/" | grep -v '^using'
}
for machine in ${MACHINES:-x86_64 aarch64}; do
	for kind in ${kinds:-rpm apk}; do
		case $kind in rpm) one rpm manylinux "$machine" ;; apk) one apk musllinux "$machine" ;; esac
	done
done
