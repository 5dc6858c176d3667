#!/bin/sh
# The RPM in a root of roots.sh: installed, served, upgraded and removed, beside a systemctl that writes down what it is told.
# usage: test.sh UPGRADE   (the same package of a later release)
set -eu
fail() { echo "FAIL: $*" >&2; exit 1; }
mkdir -p /run/systemd/system
cat >/usr/bin/systemctl <<'S'
#!/bin/sh
echo "$*" >>/run/told
S
printf '#!/bin/sh\n' >/usr/bin/systemd-tmpfiles
chmod +x /usr/bin/systemctl /usr/bin/systemd-tmpfiles
told() { # told WHEN WORDS…: the commands, in their order
	when=$1; shift
	got=$(cut -d ' ' -f 1 /run/told | tr '\n' ' ')
	[ "$got" = "$* " ] || fail "$when, systemctl was told: $(cat /run/told)"
	: >/run/told
}
: >/run/told

[ "$(rpm -qp --qf '%{NAME} %{VERSION} %{LICENSE} %{SUMMARY}' /mnt/dist/uwsgi-*.x86_64.rpm)" = \
	"uwsgi $(sed -n 's/^VERSION := //p' /mnt/tree/Makefile) MIT Application server for Python, native to systemd" ] || fail "$(rpm -qpi /mnt/dist/uwsgi-*.x86_64.rpm)"
rpm -i --nodeps --excludedocs /mnt/dist/uwsgi-*.x86_64.rpm
[ ! -e /usr/share/doc/uwsgi/README.md ] && [ ! -e /usr/share/man/man1/uwsgi.1.gz ] || fail "--excludedocs leaves documentation"
rpm -e uwsgi
: >/run/told
rpm -i --nodeps /mnt/dist/uwsgi-*.x86_64.rpm
[ -e /usr/share/doc/uwsgi/README.md ] && [ -e /usr/share/man/man1/uwsgi-core.1.gz ] || fail "no documentation"
told "at the installation" daemon-reload try-restart
getent passwd www-data >/dev/null || fail "there is no www-data"
python3 /mnt/smoke.py uwsgi
# Owners and modes of what an administrator meets, as the deb's.
for wanted in /etc/default/uwsgi=644 /etc/logrotate.d/uwsgi=644 /etc/uwsgi/apps-enabled=755 /etc/uwsgi-emperor/emperor.ini=644 \
	/etc/uwsgi-emperor/vassals=755 /var/log/uwsgi/app=755 /usr/bin/uwsgi=755 /usr/lib/uwsgi/uwsgi-redis=755 \
	/usr/lib/uwsgi/loader.py=644 /usr/lib/systemd/system/uwsgi@.service=644; do
	[ "$(stat -c '%n=%a %U:%G' "${wanted%=*}")" = "$wanted root:root" ] || fail "not $wanted: $(ls -ld "${wanted%=*}")"
done
[ -e /usr/lib/systemd/system-generators/uwsgi-generator ] || fail "the generator is a link to nothing"
rpm -V --nodeps uwsgi || fail "files are not as packaged"

echo '# mine' >>/etc/default/uwsgi
echo '# mine' >>/etc/uwsgi-emperor/emperor.ini
echo '[uwsgi]' >/etc/uwsgi/apps-enabled/mine.ini
ln -s uwsgi@.service /etc/systemd/system/uwsgi@mine.service
rpm -U --nodeps "$1"
told "at the upgrade" daemon-reload try-restart daemon-reload
grep -q mine /etc/default/uwsgi && grep -q mine /etc/uwsgi-emperor/emperor.ini || fail "the upgrade took the configuration"
[ -e /usr/lib/uwsgi/__pycache__ ] || fail "the upgrade took what is compiled"
python3 /mnt/smoke.py uwsgi

rpm -e uwsgi
told "at the removal" stop disable daemon-reload
[ ! -e /usr/lib/uwsgi ] && [ ! -e /usr/bin/uwsgi ] && [ ! -e /usr/lib/systemd/system/uwsgi@.service ] && [ ! -e /usr/share/doc/uwsgi ] || fail "the removal left files"
[ -e /etc/uwsgi/apps-enabled/mine.ini ] || fail "the removal took an application"
grep -q mine /etc/default/uwsgi.rpmsave || fail "the removal took the configuration"
