package e2e

import (
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestSlowImport: who waits for an import reads what is imported, and in which line it is.
func TestSlowImport(t *testing.T) {
	t.Parallel()
	for how, args := range map[string][]string{"once": {"--master"},
		"in each worker": {"--lazy-apps", "--processes", "2"}} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Setenv("_UWSGI_SLOW_IMPORT=20ms,100ms")
			s.Write("slow.py", `
import os, time

def wait_for_the_database():
    while not os.path.exists("open"):
        time.sleep(0.01)

wait_for_the_database()
application = lambda e, s: (s("200 OK", []), [b"awake"])[1]
`)
			s.Launch(append(args, "--http", addr, "--module", "slow")...)
			s.Log.Wait(t, `^importing slow \.\.\.$`)
			s.Log.Wait(t, `^importing slow takes \S+s so far; it is here:$`)
			s.Log.Wait(t, `^  File ".*/slow\.py", line [56] in wait_for_the_database$`)
			s.Log.Wait(t, `^  File ".*/slow\.py", line 8 in <module>$`)
			s.Write("open", "")
			s.Log.Wait(t, `^uWSGI is ready: \d of \d workers, http://`+addr+`/$`)
			if a := harness.HTTP(t, addr).Get("/"); a.Body != "awake" {
				t.Errorf("%s %q", a.Line, a.Body)
			}
		})
	}
}
