package chaos

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// stack is how a dumped traceback begins.
const stack = `^(Current t|T)hread 0x`

// A view that never returns, whatever it holds: the client gets its 504, the stacks are in the log,
// the requests of the worker's other threads are answered, a new worker serves.
func TestHarakiri(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		stack bool // the interpreter can be asked where it is
	}{
		"deadlock":      {"/deadlock?harakiri=1", true},
		"sleeping":      {"/sleep?s=3600&harakiri=1", true},
		"GIL held in C": {"/gil?harakiri=1", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "-p", "2", "--threads", "4", "--harakiri", "60")
			r.Allow(`HARAKIRI`, `DAMN ! worker \d \(pid: \d+\) died, killed by signal 9`)
			for range scale(1, 5) {
				mark := r.Log.Mark()
				var beside sync.WaitGroup
				if name != "GIL held in C" { // nobody else runs Python then
					for range 6 {
						// past the deadline of the one that is stuck
						beside.Go(func() { r.answers("/sleep?s=1.5", 200) })
					}
				}
				r.answers(c.path, 504)
				beside.Wait()
				r.Log.WaitFrom(t, mark, `HARAKIRI ON WORKER`)
				if c.stack {
					r.Log.WaitFrom(t, mark, stack)
				}
				r.Log.WaitFrom(t, mark, `Respawned uWSGI worker`)
				r.serving(2)
			}
			r.serves()
		})
	}
}

// The answers of the other threads arrive though they take longer than a moment: each has until its
// own deadline.
func TestHarakiriBesideLongRequests(t *testing.T) {
	r := start(t, "-p", "1", "--threads", "4", "--harakiri", "60")
	r.Allow(`HARAKIRI`, `DAMN ! worker \d \(pid: \d+\) died, killed by signal 9`)
	mark := r.Log.Mark()
	var all sync.WaitGroup
	all.Go(func() { r.answers("/deadlock?harakiri=3", 504) })
	harness.Eventually(t, "a request under way", func() bool { return connections(r) > 0 })
	all.Go(func() { r.answers("/sleep?s=1.5", 200) })
	r.answers("/sleep?s=2", 200) // begun after the one that is stuck, and until long before its deadline
	all.Go(func() { r.answers("/sleep?s=2.5", 200) })
	r.Log.WaitFrom(t, mark, `HARAKIRI ON WORKER`)
	all.Wait()
	r.Log.WaitFrom(t, mark, `died, killed by signal 9`)
	r.serves()
}

// Who is still not served when the mercy is over gets an answer, too, whatever it is that keeps the
// worker.
func TestMercyEnds(t *testing.T) {
	for name, path := range map[string]string{"asleep": "/sleep?s=3600", "deadlock": "/deadlock",
		"GIL held in C": "/gil"} {
		for how, end := range map[string]func(*rig){
			"reload": func(r *rig) { r.Reload() },
			"stop":   func(r *rig) { r.Signal(syscall.SIGTERM) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				r := start(t, "-p", "1", "--threads", "2", "--reload-mercy", "1")
				r.fds = 0
				r.Allow(`NO MERCY`)
				var asked sync.WaitGroup
				asked.Go(func() { r.answers(path, 504) })
				harness.Eventually(t, "a request under way", func() bool { return connections(r) > 0 })
				end(r)
				asked.Wait()
				if how == "reload" {
					r.serves()
				} else if code := r.Exit(); code != 0 {
					t.Errorf("exit status %d", code)
				}
			})
		}
	}
}

// answers asks from any goroutine.
func (r *rig) answers(path string, want int) {
	tally.sent.Add(1)
	a, err := r.http().Try("GET", path, nil, "Connection: close")
	if err != nil || a.Status != want {
		tally.lost.Add(1)
		r.t.Errorf("%s: %+v %v, want %d", path, a, err, want)
		return
	}
	note(want)
}

// Harakiri again and again under load: of a thousand requests only the stuck ones are not answered
// right.
func TestHarakiriUnderLoad(t *testing.T) {
	r := start(t, "-p", "2", "--threads", "4", "--harakiri", "60")
	r.Allow(`HARAKIRI`, `DAMN ! worker \d \(pid: \d+\) died, killed by signal 9`)
	c := traffic(r.addr, "/sleep?s=0.01", "slept\n", 4, true)
	for range scale(1, 10) {
		r.answers("/deadlock?harakiri=1", 504)
	}
	c.await(t, 300)
	median, p99 := c.end(t)
	t.Logf("%d requests beside %d stuck ones: half within %v, 99 of 100 within %v", c.good, scale(2, 10),
		median.Round(time.Millisecond), p99.Round(time.Millisecond))
}

// Without a limit on them stuck requests take their threads and nothing else: the others serve.
func TestStuckThreads(t *testing.T) {
	r := start(t, "-p", "2", "--threads", "4", "--reload-mercy", "1")
	var stuck []func()
	for range 4 {
		c := harness.Dial(t, r.addr)
		fmt.Fprintf(c, "GET /sleep?s=3600 HTTP/1.1\r\nHost: a\r\n\r\n")
		tally.sent.Add(1)
		tally.onPurpose.Add(1)
		stuck = append(stuck, func() { c.Close() })
	}
	c := traffic(r.addr, "/", "hello\n", 4, true)
	c.await(t, 2000)
	c.end(t)
	r.Allow(`NO MERCY`) // at the end, they are still stuck
	for _, leave := range stuck {
		leave()
	}
	r.fds = 0 // a stuck view keeps its connection
}

// user is a user of this process's own: the limit on processes is one a user.
func user(n int) int { return 1_000_000 + 8*os.Getpid() + n }

// limited is a server whose user may have only so many processes, threads among them.
func limited(t *testing.T, uid, nproc int, args ...string) *rig {
	t.Helper()
	r := newRig(t)
	r.sock = r.Path("run/uwsgi.sock")
	r.Write("run/.keep", "")
	r.begin(append([]string{"--uid", fmt.Sprint(uid), "--gid", fmt.Sprint(uid), "--limit-nproc", fmt.Sprint(nproc)},
		args...)...)
	return r
}

// A view that forks until nothing more can be forked: a clear error for that request, and service
// goes on meanwhile and afterwards.
func TestForkBomb(t *testing.T) {
	r := limited(t, user(1), 60, "-p", "2", "--threads", "2")
	c := traffic(r.addr, "/", "hello\n", 2, true)
	for range scale(2, 10) {
		a := r.expect(200, "/forkbomb?s=0.3", "children, then")
		if !strings.Contains(a.Body, "Resource temporarily unavailable") {
			t.Errorf("%q", a.Body)
		}
		c.await(t, 100)
		harness.Eventually(t, "the end of the children", func() bool { return len(r.Processes()) <= 4 })
	}
	c.end(t)
	r.serves()
}

// Threads that never end, until no more can be had: the same, and the server's own threads do
// without new ones.
func TestEndlessThreads(t *testing.T) {
	for _, daemon := range []string{"1", "0"} {
		t.Run("daemon="+daemon, func(t *testing.T) {
			r := limited(t, user(2), 80, "-p", "2", "--threads", "2", "--reload-mercy", "2")
			c := traffic(r.addr, "/", "hello\n", 2, true)
			a := r.expect(200, "/threads?daemon="+daemon, "threads, then")
			if !strings.Contains(a.Body, "can't start new thread") {
				t.Errorf("%q", a.Body)
			}
			c.await(t, 3000)
			c.end(t)
			r.serves()
			if daemon == "0" {
				r.Allow(`NO MERCY`) // threads that are not daemons are waited for, as long as the mercy is
			}
			r.fds = 0 // the process is full of the application's
		})
	}
}

// Recursion to death is an exception, a 500 and a traceback.
func TestRecursion(t *testing.T) {
	r := start(t, "-p", "1", "--threads", "2")
	r.Allow(`Traceback`)
	before := r.expect(200, "/pid", "").Body
	for range 5 {
		r.expect(500, "/recurse", "")
	}
	r.Log.Wait(t, `RecursionError`)
	if after := r.expect(200, "/pid", "").Body; after != before {
		t.Errorf("worker %s served before, %s does now", before, after)
	}
}
