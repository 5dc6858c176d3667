package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCrashedWorkerIsReplaced(t *testing.T) {
	r := newRig(t, 2).up()
	old := r.pids()
	r.signal(2, syscall.SIGKILL)
	r.wait("worker.died", fmt.Sprintf("DAMN ! worker 2 (pid: %d) died, killed by signal 9 :( trying respawn ...",
		old[1]))
	r.wait("worker.ready", "")
	st := r.sup.Snapshot()
	if w := st.Workers[1]; w.PID == old[1] || w.Status != "idle" || w.Spawns != 2 || st.Workers[0].PID != old[0] {
		t.Errorf("workers: %+v", st.Workers)
	}
	r.stop()
	r.noErrors("worker.died")
	if r.logged("worker.spawned", fmt.Sprintf("Respawned uWSGI worker 2 (new pid: %d)", st.Workers[1].PID)) < 0 {
		t.Error("not logged")
	}
	if r.count("worker.toofast") != 0 {
		t.Error("the first death was not followed at once")
	}
}

// The requests of a worker that is gone stay in every sum.
func TestCountsSurviveAWorker(t *testing.T) {
	r := newRig(t, 1).up()
	for range 7 {
		if _, err := r.ask(); err != nil {
			t.Fatal(err)
		}
	}
	r.signal(1, syscall.SIGKILL)
	r.wait("worker.ready", "")
	if _, err := r.ask(); err != nil {
		t.Fatal(err)
	}
	st := r.sup.Snapshot()
	if w := st.Workers[0]; st.Requests != 8 || w.Requests != 8 || w.Delta != 1 {
		t.Errorf("%d requests in all, %d of the slot, %d of the process; want 8, 8, 1",
			st.Requests, w.Requests, w.Delta)
	}
	var base int64
	r.do(func() { base = r.sup.rows.board.Row(r.sup.gen.slots[0].cur.row).Base.Load() })
	if base != 7 {
		t.Errorf("Base = %d, want 7", base)
	}
	r.stop()
}

// Quick deaths are followed by growing pauses; the other slots do not wait with that one.
func TestCrashLoopBacksOff(t *testing.T) {
	r := newRig(t, 2).up()
	for range 3 {
		r.signal(1, syscall.SIGKILL)
		r.wait("worker.ready", "")
	}
	r.stop()
	r.noErrors("worker.died")
	delays := []int64{}
	for _, e := range r.seen {
		if e.event == "worker.toofast" {
			delays = append(delays, e.attrs["delay"].Duration().Milliseconds())
		}
	}
	if !slices.Equal(delays, []int64{10, 20}) {
		t.Errorf("delays %v ms, want [10 20]", delays)
	}
	if r.logged("worker.toofast", "worker respawning too fast !!! i have to sleep a bit (1 seconds)...") < 0 {
		t.Error("uWSGI's line is missing")
	}
}

// When no worker can be brought to serve any more, the service manager has to decide.
func TestNoWorkerCanRun(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 2, "dies-unless="+flag).up()
	os.Remove(flag)
	for _, pid := range r.pids() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	r.exit(1)
	if r.logged("exit", "no worker could be brought to serve") < 0 {
		t.Error("not logged")
	}
}

// Workers that fail to come up for a moment, be it often, do not end an instance that has served,
// even without forkbomb-delay.
func TestWorkersThatFailForAMoment(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 2, "dies-unless="+flag)
	r.set.ForkbombDelay = 0
	r.endures = endurance{limit: time.Hour, pause: time.Millisecond}
	r.up()
	os.Remove(flag)
	for _, pid := range r.pids() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	for range 40 {
		r.wait("worker.died", "")
	}
	if n := r.count("worker.toofast"); n < 36 { // each but the first of a slot, and the two that may be to come
		t.Errorf("%d pauses", n)
	}
	os.WriteFile(flag, nil, 0o600)
	r.wait("worker.ready", "")
	r.wait("worker.ready", "")
	r.stop()
	r.noErrors("worker.died")
}

func TestDieOnNoWorkers(t *testing.T) {
	r := newRig(t, 2)
	r.set.DieOnNoWorkers = true
	r.up()
	r.do(func() { // both at once: neither can be replaced in between
		for _, sl := range r.sup.gen.slots {
			sl.notBefore = time.Now().Add(time.Hour)
			sl.cur.w.Kill()
		}
	})
	r.exit(1)
	if r.logged("exit", "die-on-no-workers") < 0 {
		t.Error("not logged")
	}
}

func TestOneSlotServesOn(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 2, "dies-unless="+flag).up()
	os.Remove(flag)
	r.signal(1, syscall.SIGKILL)
	for range 6 {
		r.wait("worker.died", "worker 1")
	}
	if answer, err := r.ask(); err != nil || answer != "1 2" {
		t.Errorf("answer %q, %v", answer, err)
	}
	os.WriteFile(flag, nil, 0o600)
	r.wait("worker.ready", "worker 1")
	r.stop()
}

// A loader that dies takes no request with it: its workers serve until a new generation does.
func TestLoaderIsKilled(t *testing.T) {
	r := newRig(t, 2).up()
	before := r.sup.Snapshot()
	n := r.underLoad(func() {
		if err := syscall.Kill(before.LoaderPID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.wait("master.respawned", "")
	})
	if n == 0 {
		t.Error("there was no load")
	}
	after := r.sup.Snapshot()
	if after.LoaderPID == before.LoaderPID || after.LoaderPID == 0 || after.Generation != 2 || after.LastReload != nil {
		t.Errorf("status: %+v", after)
	}
	r.stop()
	r.noErrors("loader.died")
	if told := r.notes.all(); !slices.Equal(told, []string{"READY", "STOPPING"}) {
		t.Errorf("told %q", told)
	}
	if r.count("worker.died") != 0 {
		t.Error("a worker died")
	}
}

// With code that does not load any more the workers serve on, and the loader is tried again until
// it does.
func TestLoaderIsKilledAndTheCodeIsBroken(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 1, "import-unless="+flag).up()
	os.Remove(flag)
	old := r.pids()
	syscall.Kill(r.sup.Snapshot().LoaderPID, syscall.SIGKILL)
	r.wait("reload.failed", "")
	r.wait("reload.failed", "")
	if !slices.Equal(r.pids(), old) {
		t.Error("the worker has changed")
	}
	if answer, err := r.ask(); err != nil || answer != "1 1" {
		t.Errorf("answer %q, %v", answer, err)
	}
	os.WriteFile(flag, nil, 0o600)
	r.wait("master.respawned", "")
	r.stop()
	r.noErrors("loader.died", "reload.failed")
}

func TestLoaderIsKilledAndNothingCanRun(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 1, "import-unless="+flag).up()
	os.Remove(flag)
	st := r.sup.Snapshot()
	syscall.Kill(st.LoaderPID, syscall.SIGKILL)
	syscall.Kill(st.Workers[0].PID, syscall.SIGKILL)
	r.exit(22)
	if r.logged("exit", "no loader could be started") < 0 {
		t.Error("not logged")
	}
}

// What an application's children leave behind comes to the supervisor, which collects it; a child
// that someone here waits for is left to them.
func TestOrphansAreCollected(t *testing.T) {
	reaped := make(chan int, 10)
	r := newRig(t, 1, "orphans")
	real := *r.cfg.Host
	r.cfg.Host.Reap = func(pid int) {
		real.Reap(pid)
		reaped <- pid
	}
	r.up()
	pid := <-reaped
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("waitid of the orphan: %v, want ECHILD", err)
	}
	r.stop()
	r.noErrors()
}

func TestOrphansOfThisTickAreLeftAlone(t *testing.T) {
	var reaped []int
	zombies := []int{7, 8}
	s := &Supervisor{host: &Host{Zombies: func() []int { return zombies },
		Reap: func(pid int) { reaped = append(reaped, pid) }}, orphans: map[int]bool{}}
	s.reapOrphans()
	if reaped != nil {
		t.Errorf("reaped %v at first sight", reaped)
	}
	zombies = []int{8, 9}
	s.reapOrphans()
	if !slices.Equal(reaped, []int{8}) {
		t.Errorf("reaped %v, want the one that was there before", reaped)
	}
}

// A loader that does not fork any more, because of what the application left in it, is replaced.
func TestLoaderThatDoesNotFork(t *testing.T) {
	r := newRig(t, 1, "forks-once")
	r.next(nil)
	r.up()
	first := r.pids()[0]
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.wait("worker.died", "")
	r.do(func() {
		p := r.sup.gen.slots[0].cur
		if p == nil || p.state != forking || p.death == nil {
			t.Fatalf("%+v", p)
		}
		r.sup.unanswered(p)
	})
	r.wait("loader.stuck", "has not forked worker 1 for 30s")
	r.wait("loader.died", "")
	r.wait("worker.spawned", "worker 1")
	r.wait("master.respawned", "")
	r.stop()
	r.noErrors("worker.died", "loader.stuck", "loader.died", "worker.notforked")
}
