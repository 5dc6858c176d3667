package supervisor

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/stats"
)

func TestPause(t *testing.T) {
	r := newRig(t, 1).up()
	r.sup.TogglePause()
	r.wait("pause", "*** PAUSE (press start to resume, if you do not have a joypad send SIGTSTP) ***")
	r.wait("pause", "*** worker 1 suspended ***")
	if st := r.sup.Snapshot(); !st.Paused || st.Workers[0].Status != "pause" {
		t.Errorf("status: %+v", st)
	}
	r.sup.TogglePause()
	r.wait("pause", "*** (SIGTSTP received) resuming workers ***")
	r.wait("pause", "*** worker 1 resumed ***")
	r.stop()
	r.noErrors()
}

// hearOrders returns a function that fails the test unless the workers hear those orders next, in
// any order.
func hearOrders(r *rig) func(want ...string) {
	read, write, err := os.Pipe()
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { read.Close(); write.Close() })
	r.cfg.WorkerStderr = func(int) (*os.File, error) {
		return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", write.Fd()), os.O_WRONLY, 0)
	}
	lines := bufio.NewScanner(read)
	return func(want ...string) {
		r.Helper()
		var got []string
		for range want {
			if !lines.Scan() {
				r.Fatal(lines.Err())
			}
			got = append(got, lines.Text())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			r.Errorf("the workers heard %q, want %q", got, want)
		}
	}
}

func TestNewWorkersArePausedToo(t *testing.T) {
	r := newRig(t, 1)
	heard := hearOrders(r)
	r.up()
	r.sup.TogglePause()
	heard("worker 1: pause")
	r.signal(1, sigRecycle)
	heard("worker 1: drain", "worker 1: pause")
	r.wait("worker.recycled", "")
	r.stop()
}

// A worker that comes after the log was reopened is told so: its loader still has the old one.
func TestReopenRequestLog(t *testing.T) {
	r := newRig(t, 1)
	heard := hearOrders(r)
	r.up()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.sup.ReopenRequestLog(f); err != nil {
		t.Fatal(err)
	}
	f.Close() // the caller's affair
	heard("worker 1: accesslog")
	r.signal(1, sigRecycle)
	heard("worker 1: accesslog", "worker 1: drain")
	r.wait("worker.recycled", "")
	if n := r.count("worker.deaf"); n != 0 { // later, the old worker may have ended when it is told of the stop
		t.Errorf("%d orders were lost", n)
	}
	r.stop()
	r.noErrors()
}

// The keep-alive comes from the loop, first with READY: while the loop is stuck there is none.
func TestWatchdog(t *testing.T) {
	r := newRig(t, 1)
	r.cfg.Watchdog = 10 * time.Millisecond
	r.up()
	pings := func() int {
		n := 0
		for _, told := range r.notes.all() {
			if told == "WATCHDOG" {
				n++
			}
		}
		return n
	}
	if told := r.notes.all(); told[0] != "READY" || told[1] != "WATCHDOG" {
		t.Errorf("told %q", told)
	}
	for before := pings(); pings() < before+3; {
		r.do(func() {}) // the loop has gone round once more
	}
	r.do(func() {
		before := pings()
		time.Sleep(5 * r.cfg.Watchdog) // why: a stuck loop is what is tested
		if now := pings(); now != before {
			t.Errorf("%d pings while the loop was stuck", now-before)
		}
	})
	r.stop()
}

func TestStatusText(t *testing.T) {
	r := newRig(t, 2).up()
	r.busy(1, 0, 0)
	r.do(func() {
		r.sup.rows.board.Row(r.sup.gen.slots[1].cur.row).Requests.Store(12)
		if got, want := r.sup.statusText(), "1 busy, 1 idle workers; 12 requests"; got != want {
			t.Errorf("status %q, want %q", got, want)
		}
	})
	st := r.sup.Snapshot()
	if vars := stats.Vars("127.0.0.1 GET /sleep"); st.Workers[0].Status != "busy" ||
		!slices.Equal(st.Workers[0].Cores[0].Vars, vars) || st.Workers[1].Status != "idle" {
		t.Errorf("workers: %+v", st.Workers)
	}
	r.stop()
}

// A full queue is told of while it is full, and only then.
func TestQueueFull(t *testing.T) {
	r := newRig(t, 1)
	waiting := 5
	r.cfg.Listeners[0].FD, r.cfg.Listeners[0].Queue = 7, func() (int, int, error) { return waiting, 4, nil }
	r.up()
	r.wait("queue.full", `*** uWSGI listen queue of socket "`+r.addr+`" (fd: 7) full !!! (5/4) ***`)
	r.do(func() { waiting = 3 })
	before := r.count("queue.full")
	r.do(r.sup.checkQueues)
	if r.count("queue.full") != before {
		t.Error("a queue that is not full is said to be")
	}
	r.stop()
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no settings are fine")
	}
	r := newRig(t, 1)
	r.cfg.Python = ""
	if _, err := New(r.cfg); err == nil {
		t.Error("no interpreter is fine")
	}
	r.cfg.Python = "python3"
	r.set.Processes = -1
	if _, err := New(r.cfg); err == nil {
		t.Error("-1 workers are fine")
	}
}

// The loader and the workers mark their lines where the supervisor is who reads them, and only
// there.
func TestLinesAreMarkedForWhoReads(t *testing.T) {
	for _, read := range []bool{false, true} {
		r := newRig(t, 1)
		host := *r.cfg.Host
		marked := make(chan bool, 8)
		host.Start = func(spec loader.Spec) (*loader.Loader, error) {
			marked <- spec.Boot.Marked
			return loader.Start(spec)
		}
		r.cfg.Host = &host
		if !read {
			r.cfg.WorkerStderr = nil
		}
		r.up()
		if got := <-marked; got != read {
			t.Errorf("marked %t where the supervisor reads: %t", got, read)
		}
	}
}
