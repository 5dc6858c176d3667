#!/bin/bash
# make check: what must hold before every commit, in less than two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. packaging/step.sh

# What one clone has compiled the next one finds: without the folder in it, as in `make build`.
export GOFLAGS="${GOFLAGS:-} -trimpath"

formatted() {
	local files
	files=$(gofmt -l cmd internal packaging) || return
	[ -z "$files" ] || { echo "not formatted:"; echo "$files"; return 1; }
}
step "gofmt" formatted

# Tables, lists and code in them, which are indented or begin with a mark, may be wider.
comments() {
	git ls-files '*.go' '*.c' '*.h' | grep -v -e '_test\.go$' -e '/doc\.go$' | python3 -c '
import re, sys
wide = [f"{name}:{n}" for name in sys.stdin.read().split() for n, line in enumerate(open(name), 1)
        if re.match(r"\s*// [^ |-]", line) and len(line.rstrip().expandtabs(4)) > 100]
sys.exit("wrap them: " + " ".join(wide) if wide else 0)'
}
step "comments of at most 100 columns" comments

# What is written out in backquotes, and the rows of a test's tables, may be wider.
code() {
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
}
step "code of at most 120 columns" code

step "go vet" go vet ./...

# ST1005 is about the wording of errors: some are uWSGI's, which scripts match.
step "staticcheck, which the first time is compiled for some minutes" \
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 -checks inherit,-ST1005 ./...

# The end-to-end suite has a target of its own; the worker library is C and Go in one and is tested through it. Tests that start other
# programs are run each time: go test knows whether a package, its files and variables are those of its last run, and nothing of those.
# Many of them wait, so there are more at once than processors.
listed=$(go list -f '{{.ImportPath}}{{range .Imports}} {{.}}{{end}}{{range .TestImports}} {{.}}{{end}}{{range .XTestImports}} {{.}}{{end}}' ./... |
	grep -v -e '^uwsgi/internal/e2e' -e '^uwsgi/cmd/uwsgi-worker' -e '^uwsgi/packaging/bench')
mapfile -t starting < <(grep -E ' os/exec( |$)' <<<"$listed" | cut -d' ' -f1)
mapfile -t alone < <(grep -vE ' os/exec( |$)' <<<"$listed" | cut -d' ' -f1)
step "unit tests that start programs, race detector" go test -race -vet=off -count=1 -p $((2 * $(nproc))) "${starting[@]}"
step "unit tests, race detector" go test -race -vet=off -p $((2 * $(nproc))) "${alone[@]}"

mapfile -t targets < <(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' internal | sed 's/:func /:/')
[ "${#targets[@]}" -gt 0 ] || { echo "no fuzz target was found"; exit 1; }
# By count: a limit in time now and then ends in "context deadline exceeded" from inside go test (golang.org/issue/75804).
export each=8000x work
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$(go env GOCACHE)/fuzz/uwsgi
export cache
compile() { printf '%s\n' "${targets[@]%/*}" | sort -u | xargs -I DIR -P "$(nproc)" bash -c 'go test -vet=off -c -fuzz . -o "$work/${1//\//-}.test" "./$1"' - DIR; }
step "compiling the fuzz targets" compile
fuzz() {
	local target=${1##*:} dir
	dir=$(dirname "${1%%:*}")
	cd "$dir" && "$work/${dir//\//-}.test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$each" -test.parallel 1 \
		-test.fuzzcachedir "$cache/$dir" >"$work/$target.log" 2>&1 || { cat "$work/$target.log"; return 255; }
	echo "ok  	$target	${each%x} inputs"
}
export -f fuzz
all() { printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'fuzz "$1"' -; }
step "fuzzing ${#targets[@]} targets" all
echo "== all of check: $SECONDS s"
