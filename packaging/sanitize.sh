#!/bin/bash
# The worker library under the address sanitizer, C and Go, with cgo's strictest pointer checks, and the hostile part of the chaos tests
# against it; then the supervisor under the race detector, and those of its faults. What is found ends the process, which fails the test.
# "sanitize.sh short" leaves out what takes long.
set -euo pipefail
cd "$(dirname "$0")/.."
packaging/needs-root.sh sanitize || exit $(($? - 1))

dir=${UWSGI_SANITIZE_DIR:-$(mktemp -d)}
trap '[ -n "${UWSGI_SANITIZE_DIR:-}" ] || rm -rf "$dir"' EXIT
mkdir -p "$dir/race"

echo "== build with -asan and cgocheck2"
cp -r bin/uwsgi bin/lib "$dir/"
# Undefined behaviour and the library of the shared areas: cgo takes no flag of the sanitizer but its own.
DEBUG=1 GOEXPERIMENT=cgocheck2 CGO_CFLAGS='-g -O1 -fno-omit-frame-pointer -U_FORTIFY_SOURCE' SHARED_CFLAGS='-fsanitize=address,undefined' \
	packaging/compile.sh library "$dir" -asan

echo "== run"
# The interpreter is not built with the sanitizer: its runtime is loaded first, objects come from malloc, leaks are Python's own business.
tests='TestSmuggling$|TestSmugglingInBodies|TestPacket|TestResponses|TestMisuse|TestBridgeAtRandom|TestStaticTraversal|TestLogInjection|TestDiskFull|TestRecursion'
tests+='|TestEventedVanishing|TestEventedMisuse|TestEventedStrays'
[ "${1:-}" = short ] || tests+='|TestSlowClients|TestEarlyAnswer|TestHarakiri$|TestKillWorker|TestKillLoader|TestReloadDuringReload'
UWSGI_E2E_BINARY="$dir/uwsgi" \
	UWSGI_CHAOS_ENV="LD_PRELOAD=$(gcc -print-file-name=libasan.so) PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:abort_on_error=1:handle_segv=0" \
	go test -count=1 -timeout 20m -v -run "${UWSGI_SANITIZE_TESTS:-$tests}" ./internal/e2e/chaos | grep -vE '^(=== |    --- PASS)'

[ -z "${UWSGI_SANITIZE_TESTS:-}" ] || exit 0
echo "== the supervisor with the race detector"
CGO_ENABLED=1 go build -race -trimpath -o "$dir/race/uwsgi" ./cmd/uwsgi
cp -r bin/lib "$dir/race/"
tests='TestKillWorker|TestKillLoader|TestReloadDuringReload|TestTouchStorm'
[ "${1:-}" = short ] || tests+='|TestKillSupervisor|TestCrashes|TestRecycling|TestStopDuringReload|TestReloadOfBrokenCode|TestHarakiri|TestOverload'
UWSGI_E2E_BINARY="$dir/race/uwsgi" GORACE="halt_on_error=1 exitcode=66" \
	go test -count=1 -timeout 20m -v -run "$tests" ./internal/e2e/chaos | grep -vE '^(=== |    --- PASS)'
