#!/bin/bash
# Builds the package and drives it in booted systemds, bookworm's and trixie's: internal/e2e/lab.
# usage: run.sh [arguments of go test]        (make lab)        run.sh -run TestLab/trixie/seed
# UWSGI_LAB_DEB=keep takes the package that is in dist/ already.
set -eu
cd "$(dirname "$0")/../.."
# One run at a time: they time what they see.
cache=${UWSGI_LAB_CACHE:-/var/cache/uwsgi-lab}
packaging/needs-root.sh lab || exit $(($? - 1))
mkdir -p "$cache"
exec 8>"$cache/run.lock"
flock 8
packaging/deps.sh build deb lab
[ "${UWSGI_LAB_DEB:-}" = keep ] || packaging/deb.sh
# What debootstrap mounts is gone with it, however it ends: else nobody could remove what it left.
unshare -m packaging/lab/rootfs.sh bookworm trixie >/dev/null

# What the tests mount lies below this folder; a run that was killed leaves nothing either.
TMPDIR=$(mktemp -d /tmp/uwsgi-lab.XXXXXX)
export TMPDIR
finish() {
	grep -o " $TMPDIR/[^ ]*" /proc/self/mounts | sort -r | xargs -r -n 1 umount -l
	rm -rf --one-file-system "$TMPDIR"
}
trap finish EXIT
trap 'exit 143' TERM
go test -tags lab -count=1 -timeout 40m -v ./internal/e2e/lab "$@" 8>&-
