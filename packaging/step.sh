# shellcheck shell=bash
# Sourced. step CAPTION COMMAND… says what is done, does it, and says how long it took. The command is no function that counts on `set -e`.
step() {
	local caption=$1 began=$SECONDS status=0
	shift
	echo "== $caption"
	"$@" || status=$?
	echo "== $caption: $((SECONDS - began)) s"
	return "$status"
}
