package e2e

import (
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// absentNames are those of uWSGI's module that nobody uses here.
var absentNames = []string{"SymbolsImporter", "SymbolsZipImporter", "ZipImporter", "embedded_data", "route"}

// testedElsewhere are those whose calls have tests of their own, beside those of a prefix.
var testedElsewhere = regexp.MustCompile(`^(__.*|websocket_.*|chunked_read|chunked_read_nb|reload|stop|disconnect|sendfile|signal_wait)$`)

// TestModuleCalls: the uwsgi module has every name of uWSGI's, and a call gives the same: value,
// type or exception.
func TestModuleCalls(t *testing.T) {
	t.Parallel()
	calls := readFile(t, "testdata/api/calls.txt")
	var asked []string
	differ := map[string]string{}
	for line := range strings.Lines(calls) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "! "); ok {
			expression, gives, _ := strings.Cut(rest, " => ")
			differ[expression] = gives
			line = expression
		}
		if line != "" && line[0] != '#' {
			asked = append(asked, line)
		}
	}
	s, addr := harness.New(t), harness.Addr(t)
	s.Setenv(harness.DebianPath)
	s.Tolerate(".")
	s.Copy("testdata/api/calls.py", "calls.py")
	s.Start("--http-socket", addr, "--module", "calls", "-p", "1", "--master")
	ask := func(addr string, expressions ...string) []string {
		a := harness.HTTP(t, addr).Do("POST", "/", strings.NewReader(strings.Join(expressions, "\n")))
		return strings.Split(a.Body, "\n")
	}
	const names = "' '.join(sorted(n for n in dir(u)))"
	ours, ourNames := ask(addr, asked...), ask(addr, names)[0]
	for i, line := range ours {
		if want, ok := differ[asked[i]]; ok && line != asked[i]+" => "+want {
			t.Errorf("%s, want %s", line, want)
		}
	}
	if _, err := exec.LookPath("uwsgi-core"); err != nil {
		t.Skip(err)
	}
	addr = harness.Addr(t)
	runOracle(t, s.Dir, []string{"--plugins", "rpc", "--http-socket", addr, "--module", "calls", "-p", "1", "--master"})
	harness.Eventually(t, "the real uWSGI answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	theirs, theirNames := ask(addr, asked...), ask(addr, names)[0]
	if len(theirs) != len(asked) || len(ours) != len(asked) {
		t.Fatalf("asked %d, theirs %d, ours %d", len(asked), len(theirs), len(ours))
	}
	for i, line := range theirs {
		if _, ok := differ[asked[i]]; ok == (line == ours[i]) {
			t.Errorf("uWSGI: %s\nours: %s", line, ours[i])
		}
	}
	quoted := func(answer string) []string {
		return strings.Fields(strings.Trim(strings.TrimPrefix(answer, names+" => "), "'"))
	}
	have := quoted(ourNames)
	for _, name := range quoted(theirNames) {
		switch absent := slices.Contains(absentNames, name); {
		case absent == slices.Contains(have, name):
			t.Errorf("uwsgi.%s: absent %v", name, !absent)
		case absent, testedElsewhere.MatchString(name), strings.Contains(calls, "u."+name), strings.Contains(calls, "'"+name+"'"):
		default:
			t.Errorf("uwsgi.%s is in no line of calls.txt", name)
		}
	}
}
