#!/bin/sh
# The service of the apk under OpenRC, in a root of roots.sh with the package unpacked: booted into its runlevels, started, reloaded,
# restarted, stopped, with what cannot start, and stopped with the machine. PYTHON is what /usr/bin/python3 becomes; the tests' own is python3.13.
set -eu
fail() {
	echo "FAIL: $*" >&2
	tail -n 30 /var/log/uwsgi/app/*.log >&2
	exit 1
}
say() { echo "== $1"; }
ln -sf "$PYTHON" /usr/bin/python3
mount -t tmpfs tmpfs /run
ask() { python3.13 -c 'import sys, urllib.request as r; print(r.urlopen("http://127.0.0.1:%s" % sys.argv[1]).read().decode())' "${1:-$PORT}" 2>&1; }
serves() { [ "$(ask "${2:-$PORT}")" = "$1" ] || fail "it serves $(ask "${2:-$PORT}"), not $1"; }
refuses() { case $(ask "${1:-$PORT}") in *refused*) ;; *) fail "it still serves: $(ask "${1:-$PORT}")" ;; esac; }
status() { # status WANTED SERVICE
	got=0
	rc-service "${2:-uwsgi}" status || got=$?
	[ "$got" = "$1" ] || fail "the status of ${2:-uwsgi} is $got, not $1"
}
is() { [ "$(stat -c '%a %U:%G' "$2")" = "$1" ] || fail "$2 is $(stat -c '%a %U:%G' "$2"), not $1"; }
gone() { # no process of it is left, a while after its first one ended
	for _ in $(seq 300); do
		readlink /proc/[0-9]*/exe | grep -q /usr/bin/uwsgi || return 0
		sleep 0.1
	done
	fail "processes are left"
}
page() { printf 'import os\n%s\ndef application(environ, start):\n    start("200 OK", [])\n    return [b"%s %%d" %% os.getuid()]\n' "${3:-}" "$2" >"/srv/$1.py"; }
site() { # site NAME PORT
	page "$1" "$1"
	printf '[uwsgi]\nhttp = 127.0.0.1:%s\nwsgi-file = /srv/%s.py\nthreads = 2\n' "$2" "$1" >"/etc/uwsgi/apps-enabled/$1.ini"
}
OTHER=$((PORT > 60000 ? PORT - 1 : PORT + 1))
site first "$PORT"

say "boot: what a runlevel has is started"
rc-update -q add uwsgi default
openrc sysinit && openrc boot && openrc default
serves "first 33"
status 0
is "1775 root:www-data" /run/uwsgi
is "755 root:root" /run/uwsgi/app
is "755 root:root" /run/uwsgi/app/first
is "644 root:root" /run/uwsgi/app/first/pid
is "660 www-data:root" /run/uwsgi/app/first/socket
is "755 root:root" /var/log/uwsgi/app
master=$(cat /run/uwsgi/app/first/pid)

say "reload: the new code; what cannot be imported leaves the old one to serve"
page first second
rc-service uwsgi reload
serves "second 33"
page first third "import nosuch"
rc-service uwsgi reload && fail "a reload to what cannot be imported succeeded"
serves "second 33"
status 0
[ "$(cat /run/uwsgi/app/first/pid)" = "$master" ] || fail "a reload became a restart"

say "restart, and a service of its own for one application"
page first fourth
site alone "$OTHER"
ln -s uwsgi /etc/init.d/uwsgi.alone
rc-service uwsgi restart
serves "fourth 33"
refuses "$OTHER"
rc-service uwsgi.alone start
serves "alone 33" "$OTHER"
rc-service uwsgi stop
refuses
serves "alone 33" "$OTHER"
status 3
status 0 uwsgi.alone
rc-service uwsgi.alone stop
refuses "$OTHER"
rm /etc/init.d/uwsgi.alone

say "one that cannot start: the others do, and the status tells"
page alone alone "import nosuch"
rc-service uwsgi start || fail "one application keeps another from its start"
serves "fourth 33"
status 32
[ ! -e /run/uwsgi/app/alone ] || fail "it left $(ls -d /run/uwsgi/app/alone/*)"
grep -q "No module named 'nosuch'" /var/log/uwsgi/app/alone.log || fail "the log has no reason"
# Its configuration goes before it is stopped.
rm /etc/uwsgi/apps-enabled/*.ini
rc-service uwsgi stop
refuses

say "none that can start: a failure"
for wrong in 'wsgi-file = /srv/alone.py' 'no-such-option = 1'; do
	printf '[uwsgi]\nhttp = 127.0.0.1:%s\nstrict = true\n%s\n' "$PORT" "$wrong" >/etc/uwsgi/apps-enabled/first.ini
	rc-service uwsgi start && fail "it started with $wrong"
	status 3
	refuses
done

say "what www-data has put in the way"
site first "$PORT"
mkdir /srv/victim
rm -rf /run/uwsgi/app
ln -s /srv/victim /run/uwsgi/app
rc-service uwsgi start
[ -z "$(ls /srv/victim)" ] || fail "a link was followed"
serves "first 33"

say "a process that died"
kill -KILL "$(cat /run/uwsgi/app/first/pid)"
gone
status 32
rc-service uwsgi restart
serves "first 33"
status 0

say "an upgrade of the package: no process of the old one stays"
master=$(cat /run/uwsgi/app/first/pid)
sh -e /.post-upgrade 3.0.1-r0 3.0.0-r0
[ "$(cat /run/uwsgi/app/first/pid)" != "$master" ] || fail "it was not restarted"
serves "first 33"

say "the machine stops"
openrc shutdown
refuses
[ ! -e /run/uwsgi/app/first ] || fail "it was not stopped"
gone

say "the package is removed"
openrc default
ln -s uwsgi /etc/init.d/uwsgi.alone
site alone "$OTHER"
rc-service uwsgi.alone start
serves "alone 33" "$OTHER"
sh -e /.pre-deinstall 3.0.0-r0
refuses
refuses "$OTHER"
gone
sh -e /.post-deinstall 3.0.0-r0
