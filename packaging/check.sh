#!/bin/bash
# make check: what must hold before every commit, in less than two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { echo "== $1 (${SECONDS} s)"; }

step "gofmt"
unformatted=$(gofmt -l cmd internal packaging)
[ -z "$unformatted" ] || { echo "not formatted:"; echo "$unformatted"; exit 1; }

step "comments of at most 100 columns"
# Tables, lists and code in them, which are indented or begin with a mark, may be wider.
git ls-files '*.go' '*.c' '*.h' | grep -v -e '_test\.go$' -e '/doc\.go$' | python3 -c '
import re, sys
wide = [f"{name}:{n}" for name in sys.stdin.read().split() for n, line in enumerate(open(name), 1)
        if re.match(r"\s*// [^ |-]", line) and len(line.rstrip().expandtabs(4)) > 100]
sys.exit("wrap them: " + " ".join(wide) if wide else 0)'

step "code of at most 120 columns"
# What is written out in backquotes, and the rows of a test's tables, may be wider.
git ls-files '*.go' 'internal/python/*.py' | python3 -c '
import re, sys
def wide(name):
    written, row = False, r"\s*(\{|\[\]|\")" if name.endswith("_test.go") else r"\Z."
    for n, line in enumerate(open(name), 1):
        ticks = line.count("`")
        if len(line.rstrip().expandtabs(4)) > 120 and not (written or ticks or re.match(r"\s*//", line) or re.match(row, line)):
            yield f"{name}:{n}"
        written ^= name.endswith(".go") and ticks % 2 == 1
all = [at for name in sys.stdin.read().split() for at in wide(name)]
sys.exit("wrap them: " + " ".join(all) if all else 0)'

step "go vet"
go vet ./...

step "staticcheck, which the first time is compiled for some minutes"
# ST1005 is about the wording of errors: some are uWSGI's, which scripts match.
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 -checks inherit,-ST1005 ./...

step "unit tests, race detector"
# The end-to-end suite has a target of its own; the worker library is C and Go in one and is tested through it.
mapfile -t packages < <(go list ./... | grep -v -e /internal/e2e -e /cmd/uwsgi-worker -e /packaging/bench)
go test -race -count=1 "${packages[@]}"

step "fuzzing"
mapfile -t targets < <(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' internal | sed 's/:func /:/')
[ "${#targets[@]}" -gt 0 ] || { echo "no fuzz target was found"; exit 1; }
# By count: a limit in time now and then ends in "context deadline exceeded" from inside go test (golang.org/issue/75804).
export each=8000x work
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$(go env GOCACHE)/fuzz/uwsgi
export cache
for d in $(printf '%s\n' "${targets[@]%/*}" | sort -u); do
	go test -c -fuzz . -o "$work/${d//\//-}.test" "./$d"
done
fuzz() {
	local target=${1##*:} dir
	dir=$(dirname "${1%%:*}")
	cd "$dir" && "$work/${dir//\//-}.test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$each" -test.parallel 1 \
		-test.fuzzcachedir "$cache/$dir" >"$work/$target.log" 2>&1 || { cat "$work/$target.log"; return 255; }
	echo "ok  	$target	${each%x} inputs"
}
export -f fuzz
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'fuzz "$1"' -
echo "${#targets[@]} fuzz targets, ${each%x} inputs each; all done in ${SECONDS} s"
