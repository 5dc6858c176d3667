package e2e

import (
	"os"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// touch gives a file another time of change, as touch(1) does, far enough from the last for any
// clock.
func touch(t *testing.T, path string) {
	t.Helper()
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
}

// TestTouchReload: a file that is touched reloads the code, one with the configuration in it too.
func TestTouchReload(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("old"))
	s.Write("touch-me", "")
	s.Start("--http", addr, "--module", "app", "--touch-reload", "touch-me", "--check-interval", "1")
	s.Write("app.py", version("new"))
	touch(t, s.Path("touch-me"))
	s.Log.Wait(t, `touch-me has been touched`)
	s.Log.Wait(t, `^gracefully \(RE\)spawned uWSGI master process`)
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "new" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// TestTouchWorkers: the workers are replaced, the code is the loader's.
func TestTouchWorkers(t *testing.T) {
	for _, option := range []string{"--touch-workers-reload", "--touch-chain-reload"} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", who)
			s.Write("touch-me", "")
			s.Start("--http", addr, "--module", "app", "-p", "2", option, "touch-me")
			touch(t, s.Path("touch-me"))
			s.Log.Wait(t, `^Respawned uWSGI worker 1`)
			s.Log.Wait(t, `^Respawned uWSGI worker 2`)
			if a := harness.HTTP(t, addr).Get("/"); a.Status != 200 {
				t.Errorf("%s", a.Line)
			}
		})
	}
}

// TestAutoreload: a changed module of the application reloads it.
func TestAutoreload(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("old"))
	s.Start("--http", addr, "--module", "app", "--py-autoreload", "1")
	harness.HTTP(t, addr).Get("/")
	s.Log.Wait(t, `^uWSGI is ready`)
	s.Write("app.py", version("new"))
	touch(t, s.Path("app.py"))
	s.Log.Wait(t, `module/file .*app.py has been modified`)
	s.Log.Wait(t, `^gracefully \(RE\)spawned uWSGI master process`)
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "new" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}
