package e2e

import (
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

const timing = `
import os, time, uwsgi
from uwsgidecorators import timer, rbtimer, cron, filemon, signal, get_free_signal

def say(*what):
    print(*what, flush=True)

@timer(1)
def tick(num):
    say("tick of", num, "in worker", uwsgi.worker_id())

@timer(1, target="worker2")
def second(num):
    say("second in worker", uwsgi.worker_id())

@rbtimer(1)
def raises(num):
    raise ValueError("of the handler")

@cron(-1, -1, -1, -1, -1)
def minute(num):
    say("the minute of", num)

@filemon("watched")
def changed(num):
    say("changed in", uwsgi.worker_id())

@signal(77, target="workers")
def everywhere(num):
    say("signal", num, "in worker", uwsgi.worker_id())

free = get_free_signal()

def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        uwsgi.signal(77)
    start_response("200 OK", [])
    return [repr((free, uwsgi.signal_registered(77), uwsgi.signal_registered(78))).encode()]
`

// TestTimers: what an application registers runs in the workers that it named, once a tick, however
// many of them register it.
func TestTimers(t *testing.T) {
	for name, more := range map[string][]string{"forked": nil, "lazy": {"--lazy-apps"}, "threads": {"--threads", "3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Tolerate("ValueError: of the handler")
			s.Write("app.py", timing)
			s.Start(append([]string{"--http", addr, "--module", "app", "--master", "-p", "2",
				"--stats", s.Path("stats")},
				more...)...)
			s.Log.Wait(t, `^tick of 0 in worker [12]`)
			s.Log.Wait(t, `^second in worker 2`)
			s.Log.Wait(t, `^ValueError: of the handler`)
			s.Log.Wait(t, `^the minute of 3`)
			if n := s.Log.Count(`^second in worker 1`); n != 0 {
				t.Errorf("worker 1 ran what is worker 2's %d times", n)
			}
			if a := harness.HTTP(t, addr).Get("/raise"); a.Body != "(5, True, None)" {
				t.Error(a.Body)
			}
			s.Log.Wait(t, `^signal 77 in worker 1`)
			s.Log.Wait(t, `^signal 77 in worker 2`)
			s.Log.Wait(t, `^tick of 0 in worker [12]`)
			if !harness.Within(20*time.Second, func() bool { // it has been seen without it by then
				s.Write("watched", time.Now().String())
				return s.Log.Count(`^changed in [12]`) > 0
			}) {
				t.Error("the file has changed")
			}
			if !harness.Within(20*time.Second, func() bool {
				list := statsOf(t, s.Path("stats"))["signals"].([]any)
				raised, failed := list[0].(map[string]any), list[2].(map[string]any)
				return len(list) == 6 && raised["ended"] == "ok" && raised["runs"].(float64) > 0 &&
					failed["ended"] == "ValueError" && failed["failures"].(float64) > 0
			}) {
				t.Error(statsOf(t, s.Path("stats"))["signals"])
			}
		})
	}
}
