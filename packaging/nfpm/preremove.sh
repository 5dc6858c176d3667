#!/bin/sh
# RPM says with a count that another version stays.
case ${1:-0} in [1-9]) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
	systemctl stop uwsgi.service 'uwsgi@*.socket' 'uwsgi@*.service' 'uwsgi-app@*.socket' 'uwsgi-app@*.service' uwsgi-emperor.service >/dev/null 2>&1 || :
	systemctl disable uwsgi.service uwsgi-emperor.service >/dev/null 2>&1 || :
elif command -v rc-service >/dev/null 2>&1; then
	for service in /etc/init.d/uwsgi /etc/init.d/uwsgi.*; do
		[ ! -e "$service" ] || rc-service --ifstarted "${service##*/}" stop || :
	done
fi
rm -rf /usr/lib/uwsgi/__pycache__
