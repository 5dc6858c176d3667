#!/bin/bash
# Installs what a target needs and what is missing, with apt where we are root; says what to install where we are not.
# usage: deps.sh build|run|check|test|pip|async|deb|deb-ARCH|lab|wheel|musl|roots|container …
#        deps.sh venv     prints where `async` puts its virtualenv: outside of the tree, a new one for each list of packages
#        deps.sh tools    the same of `wheel`
set -euo pipefail

here=$(dirname "$0")
PATH=$PATH:/usr/sbin:/sbin # nginx and debootstrap, which a user has not on his
venv() { # venv NAME LIST: where the virtualenv of a list of packages is
	local cache=${XDG_CACHE_HOME:-$HOME/.cache}
	if [ "$(id -u)" = 0 ]; then cache=/var/cache; fi
	echo "$cache/uwsgi-test/$1-$(/usr/bin/python3 -V | cat - "$2" | sha256sum | cut -c1-12)"
}

# install NAME LIST: makes it, from PyPI. `complete` is there once all of it is.
install() {
	local dir; dir=$(venv "$1" "$2")
	[ -e "$dir/complete" ] && return
	mkdir -p "$(dirname "$dir")"
	exec 9>"$dir.lock"
	flock 9 # make test and a test by itself
	[ -e "$dir/complete" ] && return
	rm -rf "$dir"
	echo "deps.sh: installing $(grep -cv -e '^#' -e '^$' "$2") packages of PyPI ($2) in $dir" >&2
	if ! /usr/bin/python3 -m venv "$dir" >"$dir.log" 2>&1 || ! "$dir/bin/pip" install -q --disable-pip-version-check -r "$2" >>"$dir.log" 2>&1; then
		echo "deps.sh: the packages of $2 cannot be installed from PyPI ($dir.log)" >&2
		return 1
	fi
	touch "$dir/complete"
}
from_pypi() {
	# The frameworks and the servers beside us: without them their tests are left out.
	if [ "$async" ]; then install async "$here/async.txt" || true; fi
	if [ "$wheel" ]; then install wheel "$here/wheel/tools.txt"; fi
}

need() { # need COMMAND-OR-FILE PACKAGE...
	local probe=$1; shift
	case $probe in
	/*) [ -e "$probe" ] && return ;;
	*) command -v "$probe" >/dev/null 2>&1 && return ;;
	esac
	missing+=("$@")
}

# go_fits: whether there is a Go that builds what go.mod asks for; before anything is installed. One from 1.21 on fetches the newer one itself.
go_fits() {
	local go=${GO:-go} want have
	want=$(sed -n 's/^go //p' "$here/../go.mod")
	if ! command -v "$go" >/dev/null; then
		echo "deps.sh: there is no Go here ($go): $want or newer from https://go.dev/dl, unpacked to /usr/local/go, with /usr/local/go/bin on PATH" >&2
		return 1
	fi
	if ! have=$("$go" -C "$here/.." env GOVERSION) || [ "$(printf '%s\n' "go$want" "$have" | sort -V | head -1)" != "go$want" ]; then
		have=$(GOTOOLCHAIN=local "$go" version 2>/dev/null | cut -d' ' -f3)
		echo "deps.sh: $(command -v "$go") is ${have:-too old}, go.mod asks for $want or newer: https://go.dev/dl" >&2
		return 1
	fi
}

missing=() async= wheel=
for group in "$@"; do
	case $group in
	build)
		go_fits || exit 1
		need gcc gcc libc6-dev
		;;
	run)
		need python3 python3
		;;
	check)
		need git git
		need python3 python3
		;;
	test)
		need nginx nginx-light
		need ab apache2-utils
		need wrk wrk
		need redis-server redis-server
		need ip iproute2
		need curl curl
		need pgrep procps
		need /usr/sbin/apache2 apache2-bin
		need /usr/sbin/haproxy haproxy
		need caddy caddy
		need chromium chromium
		need /usr/lib/python3/dist-packages/django/__init__.py python3-django
		need /usr/lib/python3/dist-packages/flask/__init__.py python3-flask
		/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
		need uwsgi-core uwsgi-core
		need /usr/lib/uwsgi/plugins/python3_plugin.so uwsgi-plugin-python3
		;;
	pip)
		/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
		;;
	async)
		/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
		async=yes
		;;
	wheel)
		/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
		wheel=yes
		;;
	venv) venv async "$here/async.txt"; exit ;;
	tools) venv wheel "$here/wheel/tools.txt"; exit ;;
	deb)
		# dpkg-buildpackage asks for it by name.
		need /usr/share/build-essential/essential-packages-list build-essential
		need dpkg-buildpackage dpkg-dev
		need dh debhelper
		need fakeroot fakeroot
		need lintian lintian
		;;
	deb-*)
		# The package for another architecture.
		need dpkg-architecture dpkg-dev
		if [ "${group#deb-}" != "$(dpkg --print-architecture)" ]; then
			cross=$(dpkg-architecture -a "${group#deb-}" -q DEB_HOST_GNU_TYPE 2>/dev/null)
			need "$cross-gcc" "gcc-$(echo "$cross" | tr _ -)" "libc6-dev-${group#deb-}-cross"
		fi
		;;
	musl)
		need musl-gcc musl-tools
		need gcc gcc
		need make make
		need curl curl
		need xz xz-utils
		;;
	free)
		need gcc gcc libc6-dev
		need make make
		need curl curl
		need xz xz-utils
		need /usr/include/zlib.h zlib1g-dev
		;;
	roots)
		need mmdebstrap mmdebstrap
		need systemd-nspawn systemd-container
		need /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
		need unshare util-linux
		;;
	container)
		need buildah buildah
		need umoci umoci
		need crun crun
		need debootstrap debootstrap
		need ss iproute2
		need curl curl
		need unshare util-linux
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
	from_pypi
	exit 0
fi
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | awk '!seen[$0]++')
if [ "$(id -u)" != 0 ]; then
	echo "missing packages; run as root: apt-get install ${missing[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# progress: of what apt says, how much there is to fetch, and where it is, every fifty packages.
progress() {
	local line all=0 unpacked=0 ready=0
	while IFS= read -r line; do
		case $line in
		"Need to get "* | "Fetched "*) echo "$line" ;;
		*" newly installed, "*) all=${line#*, } all=${all%% *} ;;
		"Unpacking "*) ! ((++unpacked % 50 == 0)) || echo "deps.sh: $unpacked of $all packages unpacked" ;;
		"Setting up "*) ! ((++ready % 50 == 0)) || echo "deps.sh: $ready of $all packages set up" ;;
		esac
	done
}
# apt CAPTION ARGUMENTS: a line when it begins and one when it is done; all that it says where it fails.
apt() {
	local log; log=$(mktemp)
	echo "deps.sh: $1" >&2; shift
	if ! apt-get "$@" </dev/null 2>&1 | tee "$log" | progress >&2; then
		cat "$log" >&2; rm -f "$log"
		echo "deps.sh: apt-get $* failed, see above" >&2
		return 1
	fi
	rm -f "$log"
}
apt "looking up Debian's packages (apt-get update)" update
apt "installing ${missing[*]}" install -y --no-install-recommends "${missing[@]}"
echo "deps.sh: installed" >&2
from_pypi
