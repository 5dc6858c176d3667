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
