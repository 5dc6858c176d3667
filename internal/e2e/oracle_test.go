package e2e

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// side is one of the two servers: what it is asked at.
type side struct {
	http, socket, front string // http-socket, uwsgi socket, nginx before that
}

// TestOracle gives the same requests to the real uWSGI and to this server, and compares what the application got and what the client got.
// Every difference is named and reasoned in differences.md: one that is not there fails, and so does one there that does not occur.
func TestOracle(t *testing.T) {
	t.Parallel()
	theirs, ours := startOracle(t), startOurs(t)
	var found []string
	for _, r := range oracleRequests() {
		a, b := r.ask(t, theirs), r.ask(t, ours)
		for _, d := range compare(a, b) {
			found = append(found, r.name+": "+d)
		}
	}
	known := readDifferences(t, "differences.md")
	for _, d := range found {
		ok := false
		for _, k := range known {
			if k.pattern.MatchString(d) {
				k.seen, ok = true, true
			}
		}
		if !ok {
			t.Errorf("not in differences.md: %s", d)
		}
	}
	for _, k := range known {
		if !k.seen {
			t.Errorf("differences.md: %s: %q does not occur", k.name, k.pattern)
		}
	}
}

func startOurs(t *testing.T) side {
	s := harness.New(t)
	s.Setenv(harness.DebianPath)
	s.Copy("testdata/oracle.py", "oracle.py")
	s.Copy("testdata/cases.py", "cases.py")
	at := side{http: harness.Addr(t), socket: s.Path("s.sock")}
	s.Tolerate(".")
	s.Start(oracleArgs(at)...)
	at.front = harness.StartNginx(t, oracleLocation(at)).Addr
	return at
}

func oracleArgs(at side) []string {
	return []string{"--http-socket", at.http, "--socket", at.socket, "--chmod-socket=666", "--module", "oracle", "--master", "--processes", "2", "--need-app"}
}

func oracleLocation(at side) string {
	return "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:" + at.socket + "; }"
}

// seen is what came of one request: lines "what: value".
type seen map[string]string

// compare gives "what: theirs => ours" for what differs.
func compare(theirs, ours seen) (out []string) {
	if theirs.isEnviron() != ours.isEnviron() { // one of them has no application's answer: its entries say nothing
		theirs, ours = theirs.withoutEnviron(), ours.withoutEnviron()
	}
	all := maps.Clone(theirs)
	maps.Copy(all, ours)
	for _, what := range slices.Sorted(maps.Keys(all)) {
		a, hasA := theirs[what]
		b, hasB := ours[what]
		if !hasA {
			a = "absent"
		}
		if !hasB {
			b = "absent"
		}
		if a != b {
			out = append(out, fmt.Sprintf("%s: %.200s => %.200s", what, a, b))
		}
	}
	return out
}

// difference is one entry of differences.md: "### name", patterns in indented lines, and the reason as text.
type difference struct {
	name    string
	pattern *regexp.Regexp
	seen    bool
}

func readDifferences(t *testing.T, path string) (out []*difference) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range strings.Split("\n"+string(b), "\n### ")[1:] {
		name, text, _ := strings.Cut(entry, "\n")
		reason := ""
		for _, line := range strings.Split(text, "\n") {
			if pattern, ok := strings.CutPrefix(line, "    "); ok {
				out = append(out, &difference{name: name, pattern: regexp.MustCompile(pattern)})
			} else {
				reason += line
			}
		}
		if len(strings.Fields(reason)) < 5 {
			t.Errorf("%s: %s has no reason", path, name)
		}
	}
	return out
}
