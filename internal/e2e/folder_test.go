package e2e

import (
	"net"
	"os"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// The start enters the application's folder; no reload makes the process leave it: what goes on in
// it meanwhile (hooks, smart daemons, timed commands) counts on it. Every relative path starts
// where it should all the same, after a reload that names another folder too.
func TestReloadsStayInTheFolder(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("one/app.py", version("one"))
	s.Write("two/app.py", version("two"))
	config := func(dir string) {
		s.Write("uwsgi.ini", "[uwsgi]\nchdir = "+dir+
			"\nmodule = app\nhttp-socket = app.sock\nstats = stats.sock\nmaster-fifo = fifo\n"+
			"touch-reload = touched\nvacuum = true\n"+
			"hook-as-user = exec:pwd > as-user\nhook-as-user = write:as-user2 x\nhook-pre-app = exec:pwd > pre-app\nhook-pre-app = cd:..\nhook-pre-app = exec:pwd > pre-app\n")
	}
	config("one")
	s.Start("uwsgi.ini")
	cwd := func() string {
		t.Helper()
		at, err := os.Readlink("/proc/" + itoa(s.PID) + "/cwd")
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	look := func(dir string) {
		t.Helper()
		if at := cwd(); at != s.Path("one") {
			t.Errorf("in %s: the process is in %s", dir, at)
		}
		c, err := net.Dial("unix", s.Path(dir+"/app.sock"))
		if err != nil {
			t.Fatal(err)
		}
		if a := harness.Ask(t, c, "GET / HTTP/1.0\r\n\r\n"); a.Body != dir {
			t.Errorf("in %s: %q answers", dir, a.Body)
		}
		harness.Eventually(t, "what is relative is in "+dir, func() bool {
			return harness.Exists(s.Path(dir+"/stats.sock")) && harness.Exists(s.Path(dir+"/fifo"))
		})
		for file, want := range map[string]string{"as-user": s.Dir, dir + "/pre-app": s.Path(dir), "pre-app": s.Dir} {
			if got := readFile(t, s.Path(file)); got != want+"\n" {
				t.Errorf("in %s: %s holds %q, want %s", dir, file, got, want)
			}
			os.Remove(s.Path(file))
		}
	}
	look("one")
	s.Reload()
	look("one")
	config("two")
	s.Reload()
	look("two")
	config("missing")
	s.Allow("reload failed")
	s.Signal(syscall.SIGHUP)
	s.Log.Wait(t, `reload failed: .*chdir\(\) to .*missing: no such file or directory`)
	if at := cwd(); at != s.Path("one") {
		t.Errorf("after a reload that failed the process is in %s", at)
	}
	m := s.Log.Mark()
	s.Write("two/touched", "")
	s.Log.WaitFrom(t, m, `touched has been touched`)
	s.Log.WaitFrom(t, m, `reload failed`)
}
