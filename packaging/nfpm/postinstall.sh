#!/bin/sh
# The units and the folders are www-data's, as everywhere: an account that these distributions lack.
getent group www-data >/dev/null 2>&1 || groupadd -r www-data 2>/dev/null || addgroup -S www-data 2>/dev/null || :
getent passwd www-data >/dev/null 2>&1 || useradd -r -g www-data -d /var/www -s /sbin/nologin www-data 2>/dev/null ||
	adduser -S -D -H -G www-data -h /var/www -s /sbin/nologin www-data 2>/dev/null || :
if [ -d /run/systemd/system ]; then
	systemd-tmpfiles --create uwsgi.conf || :
	systemctl daemon-reload || :
	# An upgrade: all keep their sockets.
	systemctl try-restart uwsgi.service 'uwsgi@*.service' 'uwsgi-app@*.service' uwsgi-emperor.service >/dev/null 2>&1 || :
elif command -v rc-service >/dev/null 2>&1; then
	for service in /etc/init.d/uwsgi /etc/init.d/uwsgi.*; do
		[ ! -e "$service" ] || rc-service --ifstarted "${service##*/}" restart || :
	done
fi
if [ -x /usr/bin/python3 ]; then
	/usr/bin/python3 -m compileall -q /usr/lib/uwsgi >/dev/null 2>&1 || :
fi
