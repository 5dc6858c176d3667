#!/bin/bash
# Builds the root file systems the lab boots, one a Debian release, where they are missing or older than the list of packages below.
# usage: rootfs.sh bookworm|trixie …        prints one path a release
# They live outside the tree (UWSGI_LAB_CACHE, /var/cache/uwsgi-lab by default) and are only ever read: a run lays an overlay over them.
set -eu

cache=${UWSGI_LAB_CACHE:-/var/cache/uwsgi-lab}
mirror=${UWSGI_LAB_MIRROR:-http://deb.debian.org/debian}

# What a server has, what the scenarios call, and what the packages of `make deb` depend on: a run installs those without a network.
# init-system-helpers and lsb-base stand for the sysvinit side; python3-venv makes the home= of one scenario.
packages=(
	systemd systemd-sysv libpam-systemd dbus procps iproute2 util-linux lsof
	python3 python3-venv python3-django python3-flask python3-systemd
	nginx-light curl ca-certificates apache2-utils
	adduser init-system-helpers libc6 sysvinit-utils netbase
	man-db bash-completion
)

build() { # build SUITE TARGET
	local suite=$1 target=$2 part=$2.part log=$cache/$1.log list
	list=$(IFS=,; echo "${packages[*]}")
	rm -rf "$part"
	# --variant=minbase leaves out what a server never runs under nspawn (cron, ifupdown, rsyslog).
	if ! debootstrap --variant=minbase --include="$list" "$suite" "$part" "$mirror" >"$log" 2>&1; then
		echo "rootfs.sh: debootstrap $suite failed; its log, $log, ends with" >&2
		tail -n 20 "$log" >&2
		return 1
	fi
	# Debian's own uwsgi, to be replaced by ours in one of the scenarios.
	rm -rf "$part"/var/cache/apt/archives/*.deb
	cp -L /etc/resolv.conf "$part/etc/resolv.conf" 2>/dev/null || :
	if ! chroot "$part" sh -c 'apt-get -q update && apt-get -q -y -d --no-install-recommends install uwsgi uwsgi-emperor uwsgi-plugin-python3 \
			python3-uwsgidecorators' >>"$log" 2>&1; then
		echo "rootfs.sh: cannot fetch Debian's uwsgi for $suite; the log, $log, ends with" >&2
		tail -n 20 "$log" >&2
		return 1
	fi
	mkdir -p "$part/var/cache/lab/apps"
	mv "$part"/var/cache/apt/archives/*.deb "$part/var/cache/lab/"
	# … and an application of Debian's, with what it needs of its own: ours stands for Debian's uwsgi.
	if ! chroot "$part" apt-get -q -y -d --no-install-recommends install radicale >>"$log" 2>&1; then
		echo "rootfs.sh: cannot fetch radicale for $suite; the log, $log, ends with" >&2
		tail -n 20 "$log" >&2
		return 1
	fi
	mv "$part"/var/cache/apt/archives/*.deb "$part/var/cache/lab/apps/"
	rm -rf "$part"/var/lib/apt/lists/*
	# Nothing of the host, nothing that waits for a network or a terminal, nothing that starts by itself except what a scenario starts.
	printf 'lab-%s\n' "$suite" >"$part/etc/hostname"
	printf '127.0.0.1 localhost lab-%s\n::1 localhost\n' "$suite" >"$part/etc/hosts"
	: >"$part/etc/fstab"
	: >"$part/etc/machine-id"
	rm -f "$part/etc/resolv.conf"
	local wants=$part/etc/systemd/system/multi-user.target.wants
	rm -f "$wants"/nginx.service "$wants"/apache-htcacheclean.service "$part"/etc/systemd/system/timers.target.wants/*
	local unit
	for unit in apt-daily.timer apt-daily-upgrade.timer systemd-timesyncd.service systemd-resolved.service systemd-networkd.service \
		systemd-networkd.socket systemd-networkd-wait-online.service console-getty.service getty.target systemd-logind.service \
		e2scrub_reap.service dpkg-db-backup.timer systemd-udevd.service; do
		ln -sf /dev/null "$part/etc/systemd/system/$unit"
	done
	# Storage in memory, no rate limit of its own: what a scenario looks for is there, and gone with the run.
	mkdir -p "$part/etc/systemd/journald.conf.d"
	printf '[Journal]\nStorage=volatile\n' >"$part/etc/systemd/journald.conf.d/lab.conf"
	rm -rf "$target"
	mv "$part" "$target"
}

command -v debootstrap >/dev/null || { echo "rootfs.sh: debootstrap is missing: packaging/deps.sh lab" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "rootfs.sh: only root can build a root file system" >&2; exit 1; }
[ $# -gt 0 ] || { echo "usage: rootfs.sh bookworm|trixie …" >&2; exit 2; }
mkdir -p "$cache"
stamp=$(sha256sum "$0" | cut -c1-12)
for suite; do
	target=$cache/$suite-$stamp
	(
		flock 9 # two runs at once build it once
		if [ ! -d "$target" ]; then
			rm -rf "$cache/$suite"-*
			echo "rootfs.sh: building $suite in $target" >&2
			build "$suite" "$target" 9>&-
		fi
	) 9>"$cache/$suite.lock"
	echo "$target"
done
