package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// side is one of the two servers: what it is asked at.
type side struct {
	http, http11, socket, fastcgi, scgi string
	front                               string // nginx before the uwsgi socket
	// http, of an instance of its own: what it forwards to must be the only socket
	router string
}

// newSide chooses addresses; dir is for the unix sockets.
func newSide(t *testing.T, dir string) side {
	return side{
		http: harness.Addr(t), http11: harness.Addr(t), router: harness.Addr(t),
		socket: filepath.Join(dir, "s.sock"), fastcgi: filepath.Join(dir, "f.sock"), scgi: filepath.Join(dir, "c.sock"),
	}
}

// TestOracle gives the same requests to the real uWSGI and to this server, and compares what the
// application got and what the client got. Every difference is named and reasoned in
// differences.md: one that is not there fails, and so does one there that does not occur,
// but for those with a "?": with some versions of nginx or the real one.
func TestOracle(t *testing.T) {
	t.Parallel()
	known := readDifferences(t, "differences.md")
	for _, threads := range []string{"1", "4"} {
		theirs, ours := startOracle(t, threads), startOurs(t, threads)
		for _, r := range oracleRequests() {
			a, b := r.ask(t, theirs), r.ask(t, ours)
			for _, d := range compare(a, b) {
				judge(t, threads, r.name+": "+d, known)
			}
		}
	}
	for _, k := range known {
		if !k.seen {
			t.Errorf("differences.md: %s: %q does not occur", k.name, k.pattern)
		}
	}
}

func judge(t *testing.T, threads, found string, known []*difference) {
	ok := false
	for _, k := range known {
		if k.pattern.MatchString(found) {
			k.seen, ok = true, true
		}
	}
	if !ok {
		t.Errorf("not in differences.md: %s (threads = %s)", found, threads)
	}
}

func startOurs(t *testing.T, threads string) side {
	s, router := harness.New(t), harness.New(t)
	at := newSide(t, s.Dir)
	for _, s := range []*harness.Server{s, router} {
		s.Setenv(harness.DebianPath)
		s.Copy("testdata/oracle.py", "oracle.py")
		s.Copy("testdata/cases.py", "cases.py")
		s.Tolerate(".")
	}
	s.Start(oracleArgs(at, threads)...)
	router.Start(oracleRouterArgs(at, threads)...)
	at.front = harness.StartNginx(t, oracleLocation(at)).Addr
	return at
}

func oracleArgs(at side, threads string) []string {
	return append([]string{"--http-socket", at.http, "--http11-socket", at.http11, "--socket", at.socket,
		"--fastcgi-socket", at.fastcgi, "--scgi-socket", at.scgi,
		"--chmod-socket=666", "--processes", "2"}, oracleApp(threads)...)
}

func oracleRouterArgs(at side, threads string) []string {
	return append([]string{"--http", at.router, "--http-keepalive", "--http-auto-chunked", "--http-chunked-input",
		"--processes", "2"}, oracleApp(threads)...)
}

func oracleApp(threads string) []string {
	return []string{"--module", "oracle", "--master", "--threads", threads, "--need-app"}
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

// difference is one entry of differences.md: "### name", patterns in indented lines, and the reason
// as text.
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
				pattern, may := strings.CutPrefix(pattern, "? ")
				out = append(out, &difference{name: name, pattern: regexp.MustCompile(pattern), seen: may})
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
