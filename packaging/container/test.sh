#!/bin/bash
# Builds the image as Containerfile says, on a minimal Debian in the place of python:3-slim, and runs it as a container host would: root
# file system read-only, an account without a name, PID 1, a network of its own, its health checked. Needs root, and the wheel in dist/.
# usage: test.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
packaging/needs-root.sh container || exit $(($? - 1))
if ! ls dist/uwsgi-*.whl >/dev/null 2>&1; then echo "container: skipped, there is no wheel"; exit 0; fi

cache=/var/cache/uwsgi-test/container-trixie.tar
if [ ! -e "$cache" ]; then
	echo "== a minimal Debian"
	base=$(mktemp -d)
	unshare -m debootstrap --variant=minbase --include=python3,python3-venv trixie "$base" http://deb.debian.org/debian >"$cache.log" 2>&1 || { tail -5 "$cache.log"; exit 1; }
	rm -rf "$base"/var/cache/apt/archives/*.deb "$base"/var/lib/apt/lists/*
	tar -C "$base" -cf "$cache.part" .
	mv "$cache.part" "$cache"
	rm -rf "$base"
fi

work=$(mktemp -d)
name=uwsgi-test-$$
end() {
	crun --root "$work/crun" kill "$name" KILL >/dev/null 2>&1 || :
	crun --root "$work/crun" delete -f "$name" >/dev/null 2>&1 || :
	rm -rf "$work"
}
trap end EXIT
fail() { echo "FAIL: $*" >&2; [ ! -e "$work/log" ] || tail -20 "$work/log" >&2; exit 1; }

echo "== build"
mkdir -p "$work/base" "$work/site" "$work/wheels"
ln "$cache" "$work/base/root.tar" 2>/dev/null || cp "$cache" "$work/base/root.tar"
printf 'FROM scratch\nADD root.tar /\n' >"$work/base/Containerfile"
cp "$root"/dist/uwsgi-*.whl "$work/wheels/"
python3 packaging/smoke.py --write "$work/site"
mv "$work/site/page.py" "$work/site/app.py"
"$(packaging/deps.sh tools)/bin/pip" download -q --disable-pip-version-check -d "$work/wheels" Django >"$work/log" 2>&1 || fail "no Django from PyPI"
printf -- '--no-index\nDjango\n' >"$work/site/requirements.txt"
image() { BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs buildah --root "$work/images" --runroot "$work/run" "$@"; }
image bud -q --layers=false -t localhost/base "$work/base" >/dev/null
image bud -q --format docker --layers=false --build-arg PYTHON=localhost/base --build-context wheels="$work/wheels" -f packaging/container/Containerfile \
	-t localhost/site "$work/site" >"$work/log" 2>&1 || fail "the image cannot be built"
image push -q localhost/site "oci:$work/oci:latest" >/dev/null
umoci unpack --image "$work/oci:latest" "$work/bundle" >"$work/log" 2>&1 || fail "the image cannot be unpacked"

echo "== run"
image inspect --type image localhost/site >"$work/image.json"
python3 - "$work/image.json" "$work/bundle/config.json" "$work/check" <<'X'
import json, sys
image, path, check = sys.argv[1:]
kind, *command = json.load(open(image))["Docker"]["config"]["Healthcheck"]["Test"]
assert kind == "CMD", kind
open(check, "w").write("\n".join(command))
config = json.load(open(path))
config["process"]["terminal"] = False
config["process"]["noNewPrivileges"] = True
config["process"]["args"] += ["--static-map", "/static=/app/static"]
config["root"]["readonly"] = True
assert config["process"]["user"] == {"uid": 10001, "gid": 10001}, config["process"]["user"]
config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]
config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/etc/resolv.conf"]
config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "size=8m"]})
json.dump(config, open(path, "w"))
X
mapfile -t check <"$work/check"
container() { crun --root "$work/crun" --cgroup-manager=disabled "$@"; }
start() {
	# crun wants the one hierarchy of cgroups, which a host may not have.
	unshare -mn sh -c 'ip link set lo up; umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"' sh \
		crun --root "$work/crun" --cgroup-manager=disabled run -b "$work/bundle" "$name" >"$work/log" 2>&1 &
	pid=$!
}
# The image's health check, in the container and with its account, as a container host runs it.
turns() { # turns healthy|ill WHEN
	local is
	for _ in $(seq 300); do
		is=ill
		container exec "$name" "${check[@]}" >"$work/said" 2>&1 && is=healthy
		[ "$is" != "$1" ] || return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	cat "$work/said" >&2
	fail "$2 it is $is"
}

echo "== health"
app=$work/bundle/rootfs/app/app.py
mv "$app" "$work/app.py"
answers() { printf 'def application(environ, start):\n    %s\n' "$1" >"$app"; }
answers 'start("400 Bad Request", []); return []'
start
turns healthy "with an application that refuses the host,"
for ill in 'raise OSError("no database")' 'start("503 Service Unavailable", []); return []'; do
	answers "$ill"
	container kill "$name" HUP
	turns ill "with an application that answers $ill,"
	answers 'start("302 Found", [("Location", "http://127.0.0.1:1/")]); return []'
	container kill "$name" HUP
	turns healthy "with an application that redirects,"
done
first=$(container state "$name" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
mapfile -t all < <(pgrep --ns "$first" --nslist pid .)
kill -STOP "${all[@]}"
turns ill "when it hangs,"
kill -CONT "${all[@]}"
turns healthy "when it goes on,"
container kill "$name" TERM
wait "$pid" || fail "exit status $?"

echo "== serve"
mv "$work/app.py" "$app"
start
turns healthy "when it serves,"
printf '#!/bin/sh\nexec crun --root "%s" kill "%s" "$1"\n' "$work/crun" "$name" >"$work/kill"
chmod +x "$work/kill"
nsenter -t "$pid" -n python3 packaging/smoke.py --at 8080 --site "$work/bundle/rootfs/app" --kill "$work/kill" || fail "see above"
wait "$pid" || fail "exit status $?"
echo "an account without a name, a read-only root, PID 1, its health checked: served, and drained at SIGTERM"
