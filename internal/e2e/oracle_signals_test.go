package e2e

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// targeted is an application with a signal for each target; who runs it writes so to a file.
const targeted = `
import os, uwsgi

def ran(num):
    who = "mule %d" % uwsgi.mule_id() if uwsgi.mule_id() else "worker %d" % uwsgi.worker_id()
    if targets[num] in ("", "worker", "mule"):
        who = who.split()[0]
    fd = os.open("ran", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"%d %s in %s\n" % (num, targets[num].encode(), who.encode()))
    os.close(fd)

targets = ["", "worker", "worker1", "workers", "mule", "mule1", "mule2", "mules", "farm_f", "farm2"]
for number, target in enumerate(targets):
    uwsgi.register_signal(number, target, ran)

def application(environ, start_response):
    for number in range(len(targets)):
        uwsgi.signal(number)
    start_response("200 OK", [])
    return [b"raised"]
`

// TestOracleOfSignals: who runs what is what it is on the real uWSGI, in mules with a program, too.
func TestOracleOfSignals(t *testing.T) {
	t.Parallel()
	waits := "import uwsgi\nwhile True:\n    uwsgi.signal_wait()\n"
	args := []string{"--module", "app", "--master", "-p", "2", "--mule", "--mule=waits.py",
		"--farm", "f:1", "--farm", "g:1"}
	dir, addr := t.TempDir(), harness.Addr(t)
	for name, text := range map[string]string{"app.py": targeted, "waits.py": waits} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	runOracle(t, dir, append([]string{"--http-socket", addr}, args...))
	want := ranThere(t, addr, dir, 12)

	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", targeted)
	s.Write("waits.py", waits)
	s.LooseFDs() // its mules come after it is ready
	s.Start(append([]string{"--http-socket", addr}, args...)...)
	if got := ranThere(t, addr, s.Dir, len(want)); !slices.Equal(got, want) {
		t.Errorf("uWSGI:\n%s\nhere:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// ranThere raises the signals and gives what has run, sorted, once it is so much.
func ranThere(t *testing.T, addr, dir string, much int) (lines []string) {
	t.Helper()
	harness.Eventually(t, "it answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "raised" {
		t.Fatal(a.Line)
	}
	harness.Eventually(t, "the signals run", func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "ran"))
		lines = strings.Split(strings.TrimSpace(string(b)), "\n")
		return len(lines) >= much
	})
	slices.Sort(lines)
	return lines
}
