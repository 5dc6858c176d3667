package chaos

import (
	"strings"
	"sync"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// A loop that is stuck: its stacks are in the log, every client of that worker gets an answer,
// another worker takes its place.
func TestEventedStuckLoop(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		t.Parallel() // most of it is waiting
		for name, path := range map[string]string{"asleep": "/stuck", "GIL held in C": "/gil"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := startEvented(t, loop, "-p", "1", "--harakiri", "4", "--reload-mercy", "3")
				r.fds = 0
				r.Allow(`HARAKIRI`, `DAMN ! worker \d \(pid: \d+\) died, killed by signal 9`)
				r.Tolerate(`response to .* was cut off`)
				for range scale(1, 5) {
					mark := r.Log.Mark()
					idle := harness.Dial(t, r.addr) // has asked once, and asks again while the loop is stuck
					if a := harness.Ask(t, idle, head("GET", "/")); a.Status != 200 {
						t.Fatalf("%+v", a)
					}
					streamed := harness.Send(t, r.addr, head("GET", "/endless"))
					harness.ReadUntil(t, streamed, "tick")
					var others sync.WaitGroup
					for range 10 {
						others.Go(func() { r.answered(t, "/sleep?s=3.5", 200, 503, 504) })
					}
					harness.Eventually(t, "all are in hand", func() bool { return connections(r) >= 12 })
					others.Go(func() { r.answered(t, path, 504) })
					harness.Eventually(t, "it is stuck", func() bool { return connections(r) >= 13 })
					others.Go(func() { r.answered(t, "/", 200, 503, 504) }) // comes when it is stuck
					others.Go(func() {
						a := harness.Ask(t, idle, head("GET", "/"))
						if a.Status != 200 && a.Status != 503 && a.Status != 504 {
							t.Errorf("a connection that was idle: %+v", a)
						}
					})
					others.Wait()
					r.Log.WaitFrom(t, mark, `HARAKIRI ON WORKER`)
					if name != "GIL held in C" {
						r.Log.WaitFrom(t, mark, stack)
						r.Log.WaitFrom(t, mark, `(^|in )stuck(Mon|$)`) // a stack is written in pieces, between lines of others
					}
					r.Log.WaitFrom(t, mark, `Respawned uWSGI worker`)
					if n := strings.Count(strings.Join(r.Log.Lines(mark), "\n"), "HARAKIRI ON WORKER"); n != 1 {
						t.Errorf("the whole state of the worker %d times", n)
					}
					r.serving(1)
					r.serves()
				}
			})
		}
	})
}

// answered asks and expects one of those statuses.
func (r *rig) answered(t *testing.T, path string, statuses ...int) {
	tally.sent.Add(1)
	a, err := r.http().Try("GET", path, nil, "Connection: close")
	for _, s := range statuses {
		if err == nil && a.Status == s {
			note(s)
			return
		}
	}
	tally.lost.Add(1)
	t.Errorf("%s: %+v %v, want %v", path, a, err, statuses)
}

// A request that is over its time while the loop runs is cancelled; the others, tasks in the
// background and WebSockets go on, and so does the worker.
func TestEventedOverTime(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		t.Parallel() // most of it is waiting
		r := startEvented(t, loop, "-p", "1", "--stats", "stats.sock", "--harakiri", "4")
		r.Tolerate(`HARAKIRI|response to .* was cut off|uwsgi\.Harakiri: `)
		before := r.clean()
		socket := openSocket(t, r.addr, "/socket")
		var all sync.WaitGroup
		for range scale(5, 50) {
			all.Go(func() { r.answered(t, "/patient", 504) })
			all.Go(func() { r.answered(t, "/sleep?s=1.8", 200) })
			all.Go(func() { r.answered(t, "/background?s=5", 200) })
			all.Go(func() {
				if loop == "gevent" { // a WSGI request has its time from the beginning
					return
				}
				if err := exact(r.addr, "/stream?n=90&s=0.05", "end\n"); err != nil { // longer, but never silent
					t.Error(err)
				}
			})
		}
		all.Wait()
		echoes(t, socket, "it is open for longer than harakiri")
		socket.Close()
		after := r.clean()
		if after.PID != before.PID || after.Cancelled != scale(5, 50) {
			t.Errorf("%+v", after)
		}
	})
}

// One that does not let itself be cancelled is given up: its client has its 504, the worker is
// replaced and the requests beside it are answered.
func TestEventedStubborn(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		t.Parallel() // most of it is waiting
		r := startEvented(t, loop, "-p", "1", "--harakiri", "4", "--reload-mercy", "5")
		r.fds = 0
		r.Allow(`HARAKIRI`)
		r.Tolerate(`DAMN ! worker \d \(pid: \d+\) died, killed by signal 9`)
		for range scale(1, 5) {
			mark := r.Log.Mark()
			var all sync.WaitGroup
			all.Go(func() { r.answered(t, "/stubborn", 504) })
			for range 5 {
				all.Go(func() { r.answered(t, "/sleep?s=1", 200) })
			}
			all.Wait()
			r.Log.WaitFrom(t, mark, `Respawned uWSGI worker`)
			r.serving(1)
			r.serves()
			if n := strings.Count(strings.Join(r.Log.Lines(mark), "\n"), "HARAKIRI ON WORKER"); n != 1 {
				t.Errorf("%d times harakiri", n)
			}
		}
	})
}
