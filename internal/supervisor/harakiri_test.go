package supervisor

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/option"
	"uwsgi/internal/scoreboard"
)

// busy makes a core of a worker look busy since then, as its data plane would.
func (r *rig) busy(slot, core int, since time.Duration) {
	r.Helper()
	r.do(func() {
		sl := r.sup.gen.slots[slot-1]
		occupy(r.sup.rows.board.Cell(sl.cur.row, core), r.sup.host.Monotonic()-int64(since))
	})
}

func occupy(c *scoreboard.Cell, started int64) {
	c.SetSnap([]byte("127.0.0.1"), []byte("GET"), []byte("/sleep"))
	c.StartedAt.Store(1795345605)
	c.Started.Store(started)
	c.State.Store(scoreboard.CellBusy)
}

func TestHarakiri(t *testing.T) {
	r := newRig(t, 1)
	r.set.Harakiri = 100 * time.Millisecond
	r.set.HarakiriVerbose = true
	r.set.Threads = 2
	stderr, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	defer w.Close()
	r.cfg.WorkerStderr = func(int) (*os.File, error) {
		return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), os.O_WRONLY, 0)
	}
	r.up()
	pid := r.pids()[0]
	r.busy(1, 1, 0)
	r.wait("harakiri", fmt.Sprintf("*** HARAKIRI ON WORKER 1 (pid: %d, try: 1) ***", pid))
	r.wait("harakiri.detail", "HARAKIRI: -- syscall> ")
	r.wait("harakiri.detail", "HARAKIRI: -- wchan> ")
	r.wait("harakiri.detail", "HARAKIRI triggered by worker 1 core 1 !!!")
	r.wait("harakiri.detail", "HARAKIRI !!! worker 1 status !!!")
	e := r.wait("harakiri.detail", "HARAKIRI [core 1] 127.0.0.1 - GET /sleep since 1795345605")
	if e.attrs[KeyRequest].String() != "127.0.0.1 GET /sleep" || e.attrs[KeyAge].Duration() < r.set.Harakiri ||
		e.attrs[KeyCore].Int64() != 1 {
		t.Errorf("attributes: %v", e.attrs)
	}
	r.wait("harakiri.detail", "HARAKIRI !!! end of worker 1 status !!!")
	lines := bufio.NewScanner(stderr)
	for _, want := range []string{"worker 1: stacks", "worker 1: harakiri"} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("the worker says %q, want %q", lines.Text(), want)
		}
	}
	r.wait("worker.died", fmt.Sprintf("DAMN ! worker 1 (pid: %d) died, killed by signal 9 :( trying respawn ...", pid))
	st := r.sup.Snapshot()
	if w := st.Workers[0]; w.Harakiris != 1 || w.PID == pid || w.PID == 0 {
		t.Errorf("worker: %+v", w)
	}
	r.stop()
	r.noErrors("harakiri", "harakiri.detail", "worker.died")
	if respawn, death := r.logged("worker.spawned", "Respawned"), r.logged("worker.died", ""); respawn > death {
		t.Error("the replacement waited for the death")
	}
}

// A worker that says it has answered is not kept for as long as its other requests might take.
func TestHarakiriAnswered(t *testing.T) {
	r := newRig(t, 1, "answers")
	r.set.Harakiri = 2 * time.Second
	r.set.WorkerReloadMercy = 10 * patience
	r.up()
	r.busy(1, 0, 2*time.Second)
	r.wait("harakiri", "")
	r.wait("worker.died", "killed by signal 9")
	r.stop()
}

// The replacement serves while the condemned one uses its grace.
func TestHarakiriReplacesAtOnce(t *testing.T) {
	r := newRig(t, 1)
	r.set.Harakiri = 50 * time.Millisecond
	r.set.HarakiriGrace = 10 * patience
	r.up()
	pid := r.pids()[0]
	r.busy(1, 0, 0)
	r.wait("worker.ready", "")
	st := r.sup.Snapshot()
	if len(st.Leaving) != 1 || st.Leaving[0].PID != pid || st.Leaving[0].Status != "dying" ||
		st.Workers[0].Status != "idle" {
		t.Errorf("status: %+v", st)
	}
	r.sup.Stop("test", true)
	r.wait("stop.graceful", "")
	r.sup.Stop("test", true)
	r.exit(0)
}

func TestHarakiriDuringStopIsNotFollowedByAWorker(t *testing.T) {
	r := newRig(t, 1, "ignores-drain")
	r.set.Harakiri = 200 * time.Millisecond
	r.set.HarakiriGrace = 50 * time.Millisecond
	r.up()
	r.busy(1, 0, 0)
	r.stop()
	if r.count("worker.nomercy") != 0 || r.count("harakiri") == 0 {
		t.Error("the deadline did not end the worker")
	}
	if r.count("worker.spawned") != 1 {
		t.Error("a worker was forked during the stop")
	}
}

// offline makes a supervisor without a loop whose generation has one process serving.
func offline(set *option.Settings, cores int) (*Supervisor, *scoreboard.Board) {
	set.Threads = cores
	start := time.Now()
	s := &Supervisor{
		cfg: &Config{Settings: set}, host: &Host{Monotonic: func() int64 { return int64(time.Since(start)) + 1 }},
		logf: func(slog.Level, string, string, ...slog.Attr) {},
	}
	board, err := scoreboard.New(1, cores)
	if err != nil {
		panic(err)
	}
	board.Row(0).Cells.Store(int32(cores))
	s.rows = &rows{board: board, used: []bool{true}}
	s.gen = &generation{cfg: s.cfg, rows: s.rows, state: loaded}
	sl := &slot{n: 1, gen: s.gen, active: true, tally: &tally{}}
	sl.cur = &process{slot: sl, gen: s.gen, state: serving, stuck: map[int]int64{}}
	s.gen.slots = []*slot{sl}
	return s, board
}

// The deadline of a request is met to the moment, not at the next poll, and each core has its own.
func TestHarakiriDeadline(t *testing.T) {
	for _, c := range []struct {
		name     string
		limit    time.Duration
		user     time.Duration // set_user_harakiri, seconds after the start of the request
		scan     time.Duration // since the start of the request
		wantWait time.Duration
	}{
		{"far away", 30 * time.Second, 0, 5 * time.Second, 25 * time.Second},
		{"near", 30 * time.Second, 0, 29700 * time.Millisecond, 300 * time.Millisecond},
		{"user's is sooner", 30 * time.Second, 5 * time.Second, 4900 * time.Millisecond, 100 * time.Millisecond},
		{"user's is later", 5 * time.Second, 30 * time.Second, 4900 * time.Millisecond, 100 * time.Millisecond},
		{"user's alone", 0, 5 * time.Second, 4900 * time.Millisecond, 100 * time.Millisecond},
		{"none", 0, 0, 90 * time.Second, time.Minute},
		{"shorter than a scan", 100 * time.Millisecond, 0, 0, 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := option.Default()
				set.Harakiri = c.limit
				s, board := offline(set, 2)
				defer s.rows.close()
				started := s.host.Monotonic()
				cell := board.Cell(0, 1)
				occupy(cell, started)
				if c.user > 0 {
					cell.Deadline.Store(started + int64(c.user))
				}
				time.Sleep(c.scan) // why: synctest's clock
				p := s.gen.slots[0].cur
				s.procs = map[*loader.Worker]*process{nil: p}
				s.scanHarakiri()
				if got := s.timers.wait(time.Now()); got != c.wantWait {
					t.Errorf("the next scan is in %s, want %s", got, c.wantWait)
				}
				if at := board.Row(0).NextScan.Load(); at != s.host.Monotonic()+int64(c.wantWait) {
					t.Errorf("the worker is told that it is at %d", at)
				}
				if p.state != serving {
					t.Errorf("the worker is %s", p.state)
				}
			})
		})
	}
}

func TestDeadlineOfAnIdleCore(t *testing.T) {
	s, board := offline(option.Default(), 1)
	defer s.rows.close()
	cell := board.Cell(0, 0)
	occupy(cell, 1000)
	cell.State.Store(scoreboard.CellIdle)
	if at, _ := deadline(cell, time.Second); at != 0 {
		t.Errorf("an idle core has the deadline %d", at)
	}
}

// With harakiri-queue-threshold a stuck request is left alone while nobody waits.
func TestHarakiriQueueThreshold(t *testing.T) {
	waiting := 4
	set := option.Default()
	set.Harakiri, set.HarakiriQueue = time.Second, 5
	s, _ := offline(set, 1)
	defer s.rows.close()
	s.cfg.Listeners = []Listener{{Queue: func() (int, int, error) { return waiting, 100, nil }}, {}}
	if s.overdue(s.gen.slots[0].cur) {
		t.Error("overdue with a short queue")
	}
	waiting = 5
	if !s.overdue(s.gen.slots[0].cur) {
		t.Error("not overdue with a long queue")
	}
}

// The other requests of a condemned worker get the time that they have anyway, but no more than a
// reload would give them.
func TestHarakiriGrace(t *testing.T) {
	for _, c := range []struct {
		name                         string
		harakiri, mercy, asked, want time.Duration
	}{
		{"their own deadline", 5 * time.Second, time.Minute, 0, 6 * time.Second},
		{"the mercy", 5 * time.Minute, 20 * time.Second, 0, 20 * time.Second},
		{"set_user_harakiri alone", 0, 20 * time.Second, 0, 20 * time.Second},
		{"harakiri-graceful-timeout", 5 * time.Second, time.Minute, 2 * time.Second, 2 * time.Second},
	} {
		set := option.Default()
		set.Harakiri, set.WorkerReloadMercy, set.HarakiriGrace = c.harakiri, c.mercy, c.asked
		if got := (&Config{Settings: set}).grace(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A worker is told before it is killed, be it for harakiri or because its mercy is over: its
// clients get an answer.
func TestGiveUp(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(*option.Settings)
		leave func(*rig)
		order string
	}{
		"harakiri": {func(s *option.Settings) { s.Harakiri, s.HarakiriGrace = 50*time.Millisecond, 50*time.Millisecond }, func(r *rig) { r.busy(1, 0, 0) }, "harakiri"},
		"mercy":    {func(s *option.Settings) { s.WorkerReloadMercy = 50 * time.Millisecond }, func(r *rig) { r.sup.ChainReload("test") }, "drain"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, "ignores-drain")
			c.set(r.set)
			stderr, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			defer w.Close()
			r.cfg.WorkerStderr = func(int) (*os.File, error) {
				return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), os.O_WRONLY, 0)
			}
			r.up()
			c.leave(r)
			orders := ""
			for lines := bufio.NewScanner(stderr); orders != c.order+" giveup"; {
				if !lines.Scan() {
					t.Fatalf("orders: %q", orders)
				}
				if order := strings.TrimPrefix(lines.Text(), "worker 1: "); order != "stacks" {
					orders = strings.TrimSpace(orders + " " + order)
				}
			}
			r.wait("worker.spawned", "Respawned uWSGI worker 1")
			r.sup.Stop("test", false)
			r.exit(0)
		})
	}
}

// A worker with an event loop is asked to cancel the request, and lives if that helps.
func TestHarakiriCancels(t *testing.T) {
	for name, obeys := range map[string]bool{"obeys": true, "stuck": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1)
			r.set.Harakiri = 100 * time.Millisecond
			r.up()
			r.do(func() { r.sup.rows.board.Row(r.sup.gen.slots[0].cur.row).Loop.Runs.Store(1) })
			pid := r.pids()[0]
			r.busy(1, 0, 0)
			r.wait("harakiri.cancel", fmt.Sprintf("*** HARAKIRI: a request of worker 1 (pid: %d) is over its time "+
				"and is cancelled: 127.0.0.1 GET /sleep ***", pid))
			if !obeys {
				r.wait("harakiri", fmt.Sprintf("*** HARAKIRI ON WORKER 1 (pid: %d, try: 1) ***", pid))
				return
			}
			r.do(func() { r.sup.rows.board.Cell(r.sup.gen.slots[0].cur.row, 0).State.Store(scoreboard.CellIdle) })
			r.busy(1, 0, 0) // the next one has its own time
			r.wait("harakiri.cancel", "is over its time and is cancelled")
			if got := r.pids()[0]; got != pid {
				t.Errorf("worker %d was replaced by %d", pid, got)
			}
		})
	}
}

// Requests that are over their time together are cancelled one after the other: the last of them
// is not stuck because it waits for the first ones.
func TestHarakiriCancelsManyAtOnce(t *testing.T) {
	r := newRig(t, 1)
	r.set.Harakiri = time.Minute
	r.set.Threads = 300
	r.up()
	r.do(func() {
		p, now := r.sup.gen.slots[0].cur, r.sup.host.Monotonic()
		row := r.sup.rows.board.Row(p.row)
		row.Loop.Runs.Store(1)
		row.Cells.Store(300)
		for core := range 300 {
			occupy(r.sup.rows.board.Cell(p.row, core), now-int64(2*time.Minute))
		}
		r.sup.scanHarakiri()
		first, last := p.cancelled[0], p.cancelled[299]
		if got := time.Duration(last.until - first.until); got != 299*cancelEach {
			t.Errorf("the last of 300 may take %v longer than the first one", got)
		}
		for core := range 299 { // … and is still waited for when the others have ended
			r.sup.rows.board.Cell(p.row, core).State.Store(scoreboard.CellIdle)
		}
		if left := r.sup.cancelRequest(p, 299, last.started, first.until, 0); left != 299*cancelEach {
			t.Errorf("%v are left to the last one", left)
		}
	})
}
