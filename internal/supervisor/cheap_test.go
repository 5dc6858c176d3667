package supervisor

import (
	"net"
	"testing"
	"time"

	"uwsgi/internal/scoreboard"
)

// cheap: the application is imported, the workers come with the first connection, which is served.
func TestCheap(t *testing.T) {
	r := newRig(t, 3)
	r.set.Cheap = true
	r.up()
	st := r.sup.Snapshot()
	if st.Phase != Sleeping || st.Workers[0].Status != "cheap" || st.Workers[0].PID != 0 ||
		r.count("worker.spawned") != 0 {
		t.Errorf("status: %+v", st)
	}
	if r.logged("cheap", "cheap mode enabled: waiting for socket connection...") < 0 {
		t.Error("not logged")
	}
	if answer, err := r.ask(); err != nil || answer[:2] != "1 " {
		t.Errorf("answer %q, %v", answer, err)
	}
	if st := r.sup.Snapshot(); st.Phase != Running {
		t.Errorf("phase %s", st.Phase)
	}
	r.stop()
	r.noErrors()
}

func TestReloadWhileAsleep(t *testing.T) {
	r := newRig(t, 2)
	r.set.Cheap = true
	r.up()
	if err := r.reload(); err != nil {
		t.Fatal(err)
	}
	if st := r.sup.Snapshot(); st.Phase != Sleeping || st.Generation != 2 || r.count("worker.spawned") != 0 {
		t.Errorf("status: %+v", st)
	}
	if answer, err := r.ask(); err != nil || answer[:2] != "2 " {
		t.Errorf("answer %q, %v", answer, err)
	}
	r.stop()
	r.noErrors()
}

func TestFailedReloadWhileAsleep(t *testing.T) {
	r := newRig(t, 1)
	r.set.Cheap = true
	r.next(nil, "import-fails")
	r.up()
	if err := r.reload(); err == nil {
		t.Fatal("the reload succeeded")
	}
	if answer, err := r.ask(); err != nil || answer != "1 1" {
		t.Errorf("answer %q, %v", answer, err)
	}
	r.stop()
	r.noErrors("reload.failed")
}

func TestStopWhileAsleep(t *testing.T) {
	r := newRig(t, 1)
	r.set.Cheap = true
	r.up()
	r.stop()
	r.noErrors()
}

// idle: workers without requests go, and come back with the next connection.
func TestIdle(t *testing.T) {
	r := newRig(t, 2)
	r.set.Idle = time.Millisecond
	r.up()
	r.wait("idle", "workers have been inactive for more than 0 seconds")
	r.wait("worker.buried", "")
	r.wait("worker.buried", "")
	if answer, err := r.ask(); err != nil || answer[:2] != "1 " {
		t.Errorf("answer %q, %v", answer, err)
	}
	r.stop()
	r.noErrors()
}

func TestBusyIsNotIdle(t *testing.T) {
	r := newRig(t, 1)
	r.set.Idle = time.Hour
	clock := r.cfg.Host.Monotonic
	// a machine that was not booted just now
	r.cfg.Host.Monotonic = func() int64 { return clock() + int64(24*time.Hour) }
	r.up()
	r.busy(1, 0, 2*time.Hour)
	// Time goes on by two hours; to put the start back by as much would give a time before the
	// machine was up.
	check := func() bool {
		asleep := false
		r.do(func() {
			clock := r.sup.host.Monotonic
			r.sup.idle.since = clock()
			r.sup.host.Monotonic = func() int64 { return clock() + int64(2*time.Hour) }
			r.sup.checkIdle()
			r.sup.host.Monotonic = clock
			asleep = r.sup.phase == Sleeping
		})
		return asleep
	}
	if check() {
		t.Error("a busy worker was put to sleep")
	}
	r.do(func() { r.sup.rows.board.Cell(r.sup.gen.slots[0].cur.row, 0).State.Store(scoreboard.CellIdle) })
	if !check() {
		t.Error("an idle worker was not put to sleep")
	}
	r.stop()
}

func TestDieOnIdle(t *testing.T) {
	r := newRig(t, 1)
	r.set.Idle, r.set.DieOnIdle = time.Millisecond, true
	r.up()
	r.exit(0)
	r.noErrors()
}

// The watch over the sockets takes no connection: it is still there for the worker.
func TestConnectionIsOnlyWatched(t *testing.T) {
	r := newRig(t, 1)
	r.set.Cheap = true
	r.up()
	var conns []net.Conn
	for range 5 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.SetDeadline(time.Now().Add(patience))
		buf := make([]byte, 10)
		if n, err := c.Read(buf); err != nil || n == 0 {
			t.Errorf("lost: %v", err)
		}
		c.Close()
	}
	r.stop()
}

func TestCheaper(t *testing.T) {
	r := newRig(t, 3)
	r.set.Cheaper, r.set.CheaperAlgo = 1, "manual"
	r.up()
	states := func(want ...string) {
		t.Helper()
		for i, w := range r.sup.Snapshot().Workers {
			if w.Status != want[i] {
				t.Errorf("worker %d is %s, want %s", i+1, w.Status, want[i])
			}
		}
	}
	states("idle", "cheap", "cheap")
	r.sup.Cheaper(+1)
	r.wait("worker.spawned", "spawned uWSGI worker 2 (pid: ")
	r.wait("worker.ready", "")
	states("idle", "idle", "cheap")
	r.sup.Cheaper(-1)
	r.wait("worker.cheaped", "uWSGI worker 1 cheaped.") // the oldest
	r.wait("worker.buried", "worker 1 killed successfully")
	states("cheap", "idle", "cheap")
	r.sup.Cheaper(-1) // cheaper=1 stays
	states("cheap", "idle", "cheap")
	if err := r.reload(); err != nil {
		t.Fatal(err)
	}
	states("idle", "cheap", "cheap")
	for range 5 {
		r.sup.Cheaper(+1)
	}
	r.wait("worker.spawned", "worker 3")
	r.wait("worker.ready", "")
	if st := r.sup.Snapshot(); st.Workers[1].Status == "starting" || st.Workers[2].Status == "starting" {
		r.wait("worker.ready", "")
	}
	states("idle", "idle", "idle")
	r.stop()
	r.noErrors()
}

// The spare algorithm, driven by the load that the scoreboard shows.
func TestCheaperFollowsTheLoad(t *testing.T) {
	r := newRig(t, 2)
	r.set.Cheaper, r.set.CheaperOverload = 1, time.Second
	r.set.CheckInterval = time.Hour // it is checked by hand
	r.up()
	r.busy(1, 0, 0)
	check := func() { r.do(func() { r.sup.checkCheaper() }) }
	check()
	if r.count("worker.spawned") != 1 {
		t.Error("a worker was added at once")
	}
	check()
	r.wait("worker.spawned", "worker 2")
	r.wait("worker.ready", "")
	r.do(func() { r.sup.rows.board.Cell(r.sup.gen.slots[0].cur.row, 0).State.Store(scoreboard.CellIdle) })
	check()
	r.wait("worker.cheaped", "")
	r.stop()
	r.noErrors()
}

func TestBusynessVerbose(t *testing.T) {
	for _, verbose := range []bool{true, false} {
		r := newRig(t, 2)
		r.set.Cheaper, r.set.CheaperAlgo, r.set.CheaperOverload, r.set.Busyness.Verbose = 1,
			"busyness", time.Second, verbose
		r.up()
		r.do(r.sup.checkCheaper)
		if got := r.count("cheaper.busyness") > 0; got != verbose {
			t.Errorf("verbose is %v, logged: %v", verbose, got)
		}
		r.stop()
		r.noErrors()
	}
}
