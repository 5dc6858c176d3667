#!/bin/bash
# Makes what a folder holds a second time, and every file must have the same bytes: from a copy of the tree in another folder, as another user
# where we are root, with another umask, time zone and language, and other times and modes of the files.
# usage: same.sh FOLDER COMMAND…   COMMAND makes it anew in dist/ of that tree (make same; the test of the wheels)
set -euo pipefail
cd "$(dirname "$0")/.."
first=$(cd "$1" && pwd)
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
copy=$work/another/folder
(umask 077 && mkdir -p "$copy/dist" "$work/home" && tar --exclude=./dist --exclude=./bin --mtime=2001-02-03 -c . | tar --no-same-permissions -x -C "$copy")
# The compilers and what they have compiled are shared: what is in the caches has the same bytes for everybody.
GOCACHE=$(go env GOCACHE) GOMODCACHE=$(go env GOMODCACHE)
as=()
if [ "$(id -u)" = 0 ]; then
	chown -R 65534:65534 "$work"
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_override,+fowner --ambient-caps=+dac_override,+fowner)
	export XDG_CACHE_HOME=/var/cache
fi
(
	umask 077
	cd "$copy"
	export GOCACHE GOMODCACHE ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$HOME/.cache/zig}"
	export HOME=$work/home TZ=Asia/Kathmandu LC_ALL=C LANGUAGE=de USER=nobody LOGNAME=nobody
	export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
	"${as[@]}" "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; echo "FAIL: $*, a second time" >&2; exit 1; }
)
failed=0
for file in "$copy"/dist/*; do
	cmp "$file" "$first/${file##*/}" || failed=1
done
[ $failed = 0 ] || { echo "FAIL: two builds of the same tree differ" >&2; [ -z "${SAME_KEEP:-}" ] || cp -r "$copy/dist" "$SAME_KEEP"; exit 1; }
echo "the same bytes a second time: $(find "$copy/dist" -type f | wc -l) files"
