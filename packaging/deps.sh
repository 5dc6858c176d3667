#!/bin/bash
# Installs what a target needs and what is missing, with apt where we are root; says what to install where we are not.
# usage: deps.sh build|test|async|deb|lab …
#        deps.sh venv     prints where `async` puts its virtualenv: outside of the tree, a new one for each list of packages
set -eu

list=$(dirname "$0")/async.txt
venv() {
	local cache=${XDG_CACHE_HOME:-$HOME/.cache}
	if [ "$(id -u)" = 0 ]; then cache=/var/cache; fi
	echo "$cache/uwsgi-test/async-$(/usr/bin/python3 -V | cat - "$list" | sha256sum | cut -c1-12)"
}

# The frameworks and the servers beside us, from PyPI. `complete` is there once all of it is.
install_async() {
	local dir; dir=$(venv)
	[ -e "$dir/complete" ] && return
	mkdir -p "$(dirname "$dir")"
	exec 9>"$dir.lock"
	flock 9 # make test and a test by itself
	[ -e "$dir/complete" ] && return
	rm -rf "$dir"
	if ! /usr/bin/python3 -m venv "$dir" >"$dir.log" 2>&1 || ! "$dir/bin/pip" install -q --disable-pip-version-check -r "$list" >>"$dir.log" 2>&1; then
		echo "deps.sh: the packages of asynchronous applications cannot be installed from PyPI ($dir.log): their tests are left out" >&2
		return
	fi
	touch "$dir/complete"
}

need() { # need COMMAND-OR-FILE PACKAGE...
	local probe=$1; shift
	case $probe in
	/*) [ -e "$probe" ] && return ;;
	*) command -v "$probe" >/dev/null 2>&1 && return ;;
	esac
	missing+=("$@")
}

missing=() async=
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
		need redis-server redis-server
		need curl curl
		need chromium chromium
		need /usr/lib/python3/dist-packages/django/__init__.py python3-django
		need /usr/lib/python3/dist-packages/flask/__init__.py python3-flask
		/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
		need uwsgi-core uwsgi-core
		need /usr/lib/uwsgi/plugins/python3_plugin.so uwsgi-plugin-python3
		;;
	async)
		/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
		async=yes
		;;
	venv) venv; exit ;;
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
if [ ${#missing[@]} -eq 0 ]; then
	if [ "$async" ]; then install_async; fi
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "missing packages; run as root: apt-get install ${missing[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
if [ "$async" ]; then install_async; fi
