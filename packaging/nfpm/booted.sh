#!/bin/sh
# The RPM on a booted systemd (roots.sh): installed, its application started, reloaded, upgraded, stopped, and all of it removed.
# usage: booted.sh UPGRADE   (the same package of a later release)
set -eu
fail() {
	echo "FAIL: $*" >&2
	journalctl -q --no-pager -n 30 >&2
	exit 1
}
ask() { python3 -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:8000").read().decode())' 2>&1; }
serves() { [ "$(ask)" = "$1" ] || fail "$2 it serves $(ask), not $1"; }
refuses() { case $(ask) in *refused*) ;; *) fail "$1 it still serves: $(ask)" ;; esac; }
main() { systemctl show -p MainPID --value uwsgi@site; }
page() { printf '%s\ndef application(environ, start):\n    start("200 OK", [])\n    return [b"%s"]\n' "${2:-}" "$1" >/srv/site.py; }

rpm -i --nodeps /mnt/dist/uwsgi-*.x86_64.rpm
for unit in uwsgi@site.service uwsgi@site.socket uwsgi.service uwsgi-emperor.service; do
	said=$(systemd-analyze verify --man=no "$unit" 2>&1) && [ -z "$said" ] || fail "systemd-analyze verify $unit: $said"
done
for page in $(grep -ho '/usr/share/doc/uwsgi/README[.A-Za-z]*[a-z]' /usr/lib/systemd/system/uwsgi* /etc/uwsgi/*/README); do
	[ -e "$page" ] || fail "$page is named, and not there"
done
page first
printf '[uwsgi]\nhttp = 127.0.0.1:8000\nwsgi-file = /srv/site.py\n' >/etc/uwsgi/apps-enabled/site.ini
systemctl daemon-reload
systemctl start uwsgi@site
serves first "started,"
[ "$(ps -o user= -p "$(main)")" = www-data ] || fail "it runs as $(ps -o user= -p "$(main)")"
[ "$(stat -c %U:%G /run/uwsgi)" = root:www-data ] || fail "/run/uwsgi is $(stat -c %U:%G /run/uwsgi)'s"

page second
first=$(main)
systemctl reload uwsgi@site
serves second "reloaded,"
page third 'import nosuch'
systemctl reload uwsgi@site && fail "a reload to what cannot be imported succeeded"
serves second "not reloaded,"
[ "$(main)" = "$first" ] || fail "a reload became a restart"

page fourth
rpm -U --nodeps "$1"
serves fourth "upgraded,"
[ "$(main)" != "$first" ] || fail "the upgrade did not restart it"

systemctl stop uwsgi@site
refuses "stopped,"
systemctl enable -q --now uwsgi
serves fourth "with all of them,"
rpm -e uwsgi
refuses "removed,"
[ ! -e /etc/systemd/system/multi-user.target.wants/uwsgi.service ] || fail "the removal left it enabled"
systemctl cat uwsgi@site >/dev/null 2>&1 && fail "the removal left a unit"
failed=$(systemctl list-units --failed --plain --no-legend 'uwsgi*')
[ -z "$failed" ] || fail "$failed"
pgrep -x uwsgi && fail "processes are left"
echo "RPM: installed, started, reloaded, upgraded, stopped and removed by systemd $(systemctl --version | sed -n '1s/.*(\(.*\))/\1/p')"
