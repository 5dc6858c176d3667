package e2e

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// TestTooFewTasks: a limit on processes that leaves no room for the workers' threads is named, with
// what they need, and nothing dies of it in the middle of a word.
func TestTooFewTasks(t *testing.T) {
	needs.Root(t)
	for _, most := range []int{9, 14, 20} {
		t.Run(strconv.Itoa(most), func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Write("app.py", "def application(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n")
			if err := os.Chmod(s.Dir, 0o777); err != nil {
				t.Fatal(err)
			}
			id := strconv.Itoa(54300 + most) // the kernel counts what a user has
			s.Under("setpriv", "--reuid="+id, "--regid="+id, "--clear-groups", "prlimit", "--nproc="+strconv.Itoa(most))
			out, err := s.Command("--http-socket", s.Path("h.sock"), "--master", "--module", "app",
				"--threads", "4").CombinedOutput()
			if err == nil {
				t.Fatal("it served")
			}
			if text := string(out); !strings.Contains(text,
				"too few processes and threads: RLIMIT_NPROC of the user is "+strconv.Itoa(most)) ||
				strings.Contains(text, "Traceback") || strings.Contains(text, "Fatal Python") ||
				strings.Contains(text, "goroutine ") {
				t.Errorf("%s", text)
			}
		})
	}
}
