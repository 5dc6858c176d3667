package e2e

import (
	"sync"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// patchedThreads is what gevent's monkey patches leave of threads for us: whoever starts one
// through threading gets something else, here nothing that ever runs. Four requests at once meet.
const patchedThreads = `
import threading, time
for name in "_start_new_thread", "_start_joinable_thread":
    if hasattr(threading, name):
        setattr(threading, name, lambda *args, **kwargs: None)
here = []
def application(environ, start_response):
    here.append(threading.current_thread().daemon)
    end = time.monotonic() + 20
    while len(here) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    start_response("200 OK", [])
    return [b"%d %r" % (len(here), any(here))]
`

// TestPatchedThreads: an application that has turned Python's threads into greenlets is served on
// threads all the same, and can be stopped with some of its own left.
func TestPatchedThreads(t *testing.T) {
	for _, lazy := range []string{"--lazy-apps=false", "--lazy-apps"} {
		t.Run(lazy, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", patchedThreads)
			s.Start("--http", addr, "--module", "app", "--threads", "4", lazy)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if a := harness.HTTP(t, addr).Get("/"); a.Body != "4 False" {
						t.Errorf("%s %q", a.Line, a.Body)
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestPatchedLoader: the loader of an application that has turned os.fork and os.waitpid into
// gevent's, and runs no hub, tells at once how each worker has ended.
func TestPatchedLoader(t *testing.T) {
	for name, args := range map[string][]string{
		"by us":       {"--gevent", "10", "--gevent-monkey-patch"},
		"by itself":   {"--gevent", "10"},
		"on a thread": {"--threads", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", patchedLoader)
			s.Start(append(args, "--http", addr, "--module", "app", "--master", "--forkbomb-delay", "0",
				"--home", harness.Async(t))...)
			s.Tolerate(`DAMN !`)
			site := harness.HTTP(t, addr)
			asked := func() {
				if a := site.Get("/"); a.Body != "process" {
					t.Errorf("a process of the application's: %s %q", a.Line, a.Body)
				}
			}
			asked()
			site.Try("GET", "/kill", nil)
			s.Log.Wait(t, `^DAMN ! worker 1 \(pid: \d+\) died, killed by signal 9 `)
			s.Log.Wait(t, `^Respawned uWSGI worker 1`)
			asked()
		})
	}
}

const patchedLoader = `
import gevent.monkey
gevent.monkey.patch_all()
import os, signal, subprocess
subprocess.check_call(["true"])
def application(environ, start_response):
    if environ["PATH_INFO"] == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [])
    return [subprocess.check_output(["echo", "-n", "process"])]
`
