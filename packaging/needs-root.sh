#!/bin/sh
# Whether a suite can run that root alone can run. usage: needs-root.sh NAME
# Exit status 1: it is left out, and noted where make sums that up; 2: that is forbidden (internal/needs has the same for tests).
[ "$(id -u)" != 0 ] || exit 0
echo "$1: skipped, needs root"
[ -z "${UWSGI_ROOT_NEEDED:-}" ] || exit 2
[ -z "${UWSGI_SKIPPED:-}" ] || echo "$1" >>"$UWSGI_SKIPPED"
exit 1
