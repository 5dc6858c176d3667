package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// no-server loads the application and exits: a way to try it, lazy-apps or not, sockets or none.
func TestNoServer(t *testing.T) {
	for args, want := range map[string]struct {
		code  int
		lines []string
		never string
	}{
		"--module app": {0, []string{"WSGI app 0", "no-server mode requested. Goodbye."}, "spawned uWSGI worker"},
		"--module app --lazy-apps -p 2 --attach-daemon false": {0,
			[]string{"WSGI app 0", "no-server mode requested. Goodbye."}, "spawn"},
		"--module app --exec-post-app true": {0,
			[]string{"WSGI app 0", `running "true" (post-app)`, "no-server mode"}, "FAIL"},
		"--module nosuch": {22, []string{"GAME OVER", "No module named 'nosuch'"},
			"no-server mode"},
		"--module nosuch --need-app=false": {0,
			[]string{"No module named 'nosuch'", "no-server mode"}, "GAME OVER"},
	} {
		for _, socket := range []bool{false, true} {
			t.Run(args, func(t *testing.T) {
				t.Parallel()
				s := harness.New(t)
				s.Write("app.py", who)
				s.Tolerate("nosuch|GAME OVER|unable to load|status 22")
				line := strings.Fields("--no-server " + args)
				if socket {
					line = append(line, "--master", "--http-socket", harness.Addr(t), "--pidfile", s.Path("pid"),
						"--vacuum")
				}
				s.Launch(line...)
				if code := s.Exit(); code != want.code {
					t.Errorf("exit status %d, want %d", code, want.code)
				}
				s.Log.Wait(t, regexp.QuoteMeta(want.lines[len(want.lines)-1])) // the log is read beside the process
				text, at := s.Log.String(), 0
				for _, line := range want.lines {
					i := strings.Index(text[at:], line)
					if i < 0 {
						t.Fatalf("no %q, or not in its place", line)
					}
					at += i
				}
				if strings.Contains(text, want.never) {
					t.Errorf("%q is in the log", want.never)
				}
				if _, err := os.Stat(s.Path("pid")); err == nil && want.code == 0 {
					t.Error("it leaves a pidfile")
				}
			})
		}
	}
}
