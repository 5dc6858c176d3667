#!/bin/sh
# RPM says with 0, apk with nothing, that no other version takes over.
if [ "${1:-0}" = 0 ] && [ -d /run/systemd/system ]; then
	systemctl stop uwsgi.service 'uwsgi@*.socket' 'uwsgi@*.service' 'uwsgi-app@*.socket' 'uwsgi-app@*.service' uwsgi-emperor.service >/dev/null 2>&1 || :
	systemctl disable uwsgi.service uwsgi-emperor.service >/dev/null 2>&1 || :
fi
rm -rf /usr/lib/uwsgi/__pycache__
