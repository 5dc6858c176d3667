#!/bin/bash
# Installs what a target needs and what is missing, with apt where we are root; says what to install where we are not.
# usage: deps.sh build|test|bench|deb|lab …
set -eu

need() { # need COMMAND-OR-FILE PACKAGE...
	local probe=$1; shift
	case $probe in
	/*) [ -e "$probe" ] && return ;;
	*) command -v "$probe" >/dev/null 2>&1 && return ;;
	esac
	missing+=("$@")
}

missing=()
for group in "$@"; do
	case $group in
	build)
		need gcc gcc libc6-dev
		pkg-config --exists python3 2>/dev/null || missing+=(pkg-config python3-dev)
		;;
	test)
		need nginx nginx-light
		need ab apache2-utils
		need wrk wrk
		need curl curl
		need /usr/lib/python3/dist-packages/django/__init__.py python3-django
		need /usr/lib/python3/dist-packages/flask/__init__.py python3-flask
		need /usr/lib/python3/dist-packages/venv python3-venv
		need uwsgi-core uwsgi-core
		need /usr/lib/uwsgi/plugins/python3_plugin.so uwsgi-plugin-python3
		;;
	deb)
		need dpkg-buildpackage dpkg-dev
		need dh debhelper
		need fakeroot fakeroot
		need lintian lintian
		;;
	lab)
		need systemd-nspawn systemd-container
		need debootstrap debootstrap
		need /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
		need nsenter util-linux
		;;
	*) echo "deps.sh: unknown group $group" >&2; exit 2 ;;
	esac
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ]; then
	echo "missing packages; run as root: apt-get install ${missing[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
