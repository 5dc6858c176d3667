package e2e

import (
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const who = `
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        start_response("200 OK", [])(b"begun")
        time.sleep(float(environ["QUERY_STRING"]))
    else:
        start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`

// kin finds a worker and its loader.
func kin(t *testing.T, site *harness.Client) (worker, loader int) {
	t.Helper()
	worker = atoi(t, site.Get("/").Body)
	return worker, harness.Parent(worker)
}

func TestKillWorker(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Start("--http", addr, "--module", "app", "-p", "1")
	s.Allow(`^DAMN ! worker 1 \(pid: \d+\) died, killed by signal 9 :\( trying respawn`)
	site := harness.HTTP(t, addr)
	victim, _ := kin(t, site)
	harness.Signal(t, victim, syscall.SIGKILL)
	s.Log.Wait(t, `^Respawned uWSGI worker 1`)
	if next, _ := kin(t, harness.HTTP(t, addr)); next == victim {
		t.Errorf("%d serves though it was killed", next)
	}
}

// A crash in native code is a worker's own end, nobody else's, and the log shows where in the
// application it came from.
func TestCrash(t *testing.T) {
	for path, signal := range map[string]string{"/segfault": "11", "/abort": "6", "/main": "11"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", `
import ctypes, os
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/segfault" or path == "/main":
        ctypes.string_at(0)
    if path == "/abort":
        os.abort()
    start_response("200 OK", [])
    return [b"up"]
`)
			threads := "2"
			if path == "/main" {
				threads = "1"
			}
			s.Start("--http", addr, "--module", "app", "-p", "1", "--threads", threads)
			s.Allow("^DAMN ! worker 1 .* killed by signal "+signal+" ", "Fatal Python error: ")
			if signal == "11" {
				s.Allow(`^!!! uWSGI process \d+ got Segmentation Fault !!!$`)
			}
			if a, err := harness.HTTP(t, addr).Try("GET", path, nil); err == nil {
				t.Errorf("the crash answered %s", a.Line)
			}
			s.Log.Wait(t, `^  File ".*/app.py", line \d+ in application`)
			s.Log.Wait(t, `^Respawned uWSGI worker 1`)
			if a := harness.HTTP(t, addr).Get("/"); a.Body != "up" {
				t.Errorf("%s", a.Line)
			}
		})
	}
}

// Without its loader an instance serves on, and a new generation takes over.
func TestKillLoader(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", who)
	s.Allow(`its workers serve on, a new generation will replace them`)
	s.Start("--http", addr, "--module", "app", "-p", "2")
	worker, loader := kin(t, harness.HTTP(t, addr))
	if loader == s.PID || harness.Parent(loader) != s.PID {
		t.Fatalf("worker %d, its parent %d, the supervisor %d", worker, loader, s.PID)
	}
	mark := s.Log.Mark()
	harness.Signal(t, loader, syscall.SIGKILL)
	s.Log.WaitFrom(t, mark, `the loader \(pid: \d+\) was killed by signal 9; its workers serve on`)
	s.Log.WaitFrom(t, mark, `^gracefully \(RE\)spawned uWSGI master process`)
	harness.Eventually(t, "the old worker's end", func() bool { return !harness.Alive(worker) })
	if next, _ := kin(t, harness.HTTP(t, addr)); next == worker {
		t.Errorf("%d serves still", next)
	}
}

// Nobody outlives a supervisor that is killed: loader, workers, and what they forked for themselves
// to serve, end. How soon is measured among the tests of faults, beside a process that ends then.
func TestKillSupervisor(t *testing.T) {
	for name, path := range map[string]string{"idle": "", "busy": "/slow?600"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", who)
			s.Start("--http", addr, "--module", "app", "-p", "2", "--threads", "2")
			if path != "" {
				c := harness.Send(t, addr, "GET "+path+" HTTP/1.0\r\n\r\n")
				harness.ReadUntil(t, c, "begun")
			}
			s.Signal(syscall.SIGKILL)
			if code := s.Exit(); code != -int(syscall.SIGKILL) {
				t.Errorf("exit status %d", code)
			}
			harness.Eventually(t, "nobody is left", func() bool { return len(s.Processes()) == 0 })
		})
	}
}
