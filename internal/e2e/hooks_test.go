package e2e

import (
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// The hooks of a worker run in it, in the order they are written: after the fork, and when it
// begins to serve.
func TestWorkerHooks(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("hooked"))
	s.Start("--http", addr, "--module", "app", "-p", "2",
		"--hook-post-fork", "appendn:ran forked", "--hook-post-fork", "exec:echo executed >>ran", "--hook-accepting1", "safeexec:echo accepting >>ran; exit 7")
	b, err := os.ReadFile(s.Path("ran"))
	if err != nil {
		t.Fatal(err)
	}
	lines := string(b)
	for what, want := range map[string]int{"forked\n": 2, "executed\n": 2, "accepting\n": 1} {
		if n := strings.Count(lines, what); n != want {
			t.Errorf("%q ran %d times, want %d: %q", what, n, want, lines)
		}
	}
	if forked, executed, accepting := strings.Index(lines, "forked"), strings.Index(lines, "executed"),
		strings.Index(lines, "accepting"); forked > executed || accepting < executed {
		t.Errorf("the order: %q", lines)
	}
}
