#!/bin/bash
# Makes the RPMs and the apks of what is in the wheels of dist/, and looks at what came out.
# usage: build.sh [FOLDER [RELEASE [KIND…]]]  (make packages: dist 1 rpm apk)
set -euo pipefail
cd "$(dirname "$0")/../.."
to=${1:-dist} kinds=${*:3}
tools=$(packaging/deps.sh tools)
export SOURCE_DATE_EPOCH
release=${2:-1}
version=$(sed -n 's/^VERSION := //p' Makefile)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 315532800)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
install -D -m 755 -t "$work/scripts" packaging/nfpm/*install.sh packaging/nfpm/*remove.sh packaging/conf/uwsgi.openrc

one() { # one KIND LIBC MACHINE
	local stage=$work/$1-$3 arch
	case $3 in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; esac
	python3 -m zipfile -e dist/uwsgi-"$version"-cp39-abi3-"$2"*_"$3"*.whl "$work/wheel-$1-$3"
	local data=$work/wheel-$1-$3/uwsgi-$version.data
	mkdir -p "$work/bin-$1-$3/lib"
	cp "$data/scripts/uwsgi" "$work/bin-$1-$3/"
	cp -r "$data/data/lib/uwsgi" "$work/bin-$1-$3/lib/"
	python3 -m zipfile -e dist/uwsgi_redis-"$version"-py3-none-*_"$3".whl "$work/redis-$1-$3"
	cp "$work/redis-$1-$3"/*.data/data/lib/uwsgi/uwsgi-redis "$work/bin-$1-$3/lib/uwsgi/"
	make -s --no-print-directory install BIN="$work/bin-$1-$3" TELLER=bin/uwsgi PREFIX=/usr DESTDIR="$stage"
	install -D -m 644 debian/uwsgi.logrotate "$stage/etc/logrotate.d/uwsgi"
	rm -r "$stage/usr/share/zsh/vendor-completions" # Debian's
	case $1 in
	rpm) # what is no concern of Debian's alone
		sed '1s/.*/uwsgi with systemd/; 2s/.*/==================/; /^For those who come from Debian/,/^The emperor/ { /^The emperor/!d }' debian/README.Debian \
			>"$stage/usr/share/doc/uwsgi/README.systemd"
		sed -i 's/README\.Debian/README.systemd/' "$stage"/etc/uwsgi/*/README "$stage"/usr/lib/systemd/system/*
		;;
	apk)
		rm -r "$stage"/usr/lib/systemd "$stage"/usr/lib/tmpfiles.d "$stage"/usr/share/doc/uwsgi/examples/systemd
		sed -i '/README\.Debian/d; s/^uwsgi@NAME\.service, .*/part of the service uwsgi:/; s/systemctl start uwsgi@NAME/rc-service uwsgi start/' \
			"$stage"/etc/uwsgi/*/README
		;;
	esac
	# What `rpm --excludedocs` leaves out, which nfpm knows for RPM alone and file by file.
	mkdir "$stage/docs"
	mv "$stage/usr/share/doc" "$stage/usr/share/man" "$stage/docs/"
	gzip -9n "$stage"/docs/man/*/*
	local doc=doc
	[ "$1" = rpm ] || doc=file
	{
		find "$stage/docs" -type f -printf "  - {src: $stage/docs/%P, dst: /usr/share/%P, type: $doc}\n"
		find "$stage/docs/doc/uwsgi" -type d -printf "  - {dst: /usr/share/doc/uwsgi/%P, type: dir}\n"
	} | LC_ALL=C sort >"$work/docs"
	find "$stage" "$work/scripts" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
	sed "/\${DOCS}/ r $work/docs
		s,\${STAGE},$stage,; s,\${SCRIPTS},$work/scripts,; s,\${ARCH},$arch,; s,\${VERSION},$version,; s,\${RELEASE},$release," \
		packaging/nfpm/nfpm.yaml >"$work/nfpm.yaml"
	"$tools/bin/nfpm" package -f "$work/nfpm.yaml" -p "$1" -t "$to/" | grep -v '^using'
}
for machine in ${MACHINES:-x86_64 aarch64}; do
	for kind in ${kinds:-rpm apk}; do
		case $kind in rpm) one rpm manylinux "$machine" ;; apk) one apk musllinux "$machine" ;; esac
	done
done
