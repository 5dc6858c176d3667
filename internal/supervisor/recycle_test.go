package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The replacement is ready before the old worker is told to leave.
func TestRecycling(t *testing.T) {
	r := newRig(t, 2).up()
	old := r.pids()
	r.underLoad(func() {
		r.signal(1, sigRecycle)
		r.wait("worker.buried", "")
	})
	now := r.pids()
	if now[0] == old[0] || now[1] != old[1] {
		t.Errorf("workers %v, were %v", now, old)
	}
	r.stop()
	r.noErrors()
	order := []int{
		r.logged("worker.spawned", fmt.Sprintf("Respawned uWSGI worker 1 (new pid: %d)", now[0])),
		r.logged("worker.ready", fmt.Sprintf("(pid: %d)", now[0])),
		r.logged("worker.recycled", fmt.Sprintf("...The work of process %d is done. Seeya!", old[0])),
		r.logged("worker.buried", fmt.Sprintf("worker 1 killed successfully (pid: %d)", old[0])),
	}
	for i, at := range order {
		if at < 0 || i > 0 && at < order[i-1] {
			t.Errorf("order of the log: %v", order)
		}
	}
}

// Workers that ask together are replaced one after the other.
func TestRecyclingIsOneAtATime(t *testing.T) {
	r := newRig(t, 3).up()
	r.do(func() {
		for _, sl := range r.sup.gen.slots {
			r.sup.recycleProcess(sl.cur, "max-requests")
		}
	})
	for range 3 {
		r.wait("worker.recycled", "")
	}
	r.stop()
	r.noErrors()
	coming := 0
	for _, e := range r.seen[r.logged("ready", ""):] {
		switch e.event {
		case "worker.spawned":
			if coming++; coming > 1 {
				t.Error("two replacements at once")
			}
		case "worker.recycled":
			coming--
		}
	}
}

func TestRecyclingWaitsForTheMinimumLifetime(t *testing.T) {
	r := newRig(t, 1)
	r.set.MinWorkerLifetime = 300 * time.Millisecond
	r.up()
	r.signal(1, sigRecycle)
	r.signal(1, sigRecycle)
	r.wait("worker.recycled", "")
	r.do(func() {
		if age := time.Since(r.sup.startedAt); age < r.set.MinWorkerLifetime {
			t.Errorf("recycled after %s", age)
		}
	})
	r.stop()
	r.noErrors()
	if n := r.count("worker.recycled"); n != 1 {
		t.Errorf("recycled %d times", n)
	}
}

// An exception that is watched for does not wait for the minimum lifetime, even where a worker
// waits for it already.
func TestRecyclingAfterAnException(t *testing.T) {
	r := newRig(t, 1)
	r.set.MinWorkerLifetime = time.Hour
	r.up()
	pid := r.pids()[0]
	r.do(func() {
		p := r.sup.gen.slots[0].cur
		r.sup.recycleProcess(p, "max-requests")
		r.sup.recycleProcess(p, reasonException)
	})
	r.wait("worker.recycled", fmt.Sprintf("... monitored exception detected, respawning worker 1 (pid: %d)...", pid))
	r.stop()
	r.noErrors()
}

func TestMaximumLifetime(t *testing.T) {
	r := newRig(t, 1)
	r.set.MaxWorkerLifetime = 200 * time.Millisecond
	r.up()
	old := r.pids()[0]
	r.wait("worker.lifetime", "worker 1 lifetime reached, it was running for 0 second(s)")
	r.wait("worker.buried", fmt.Sprintf("(pid: %d)", old))
	r.stop()
	r.noErrors()
}

// A replacement that cannot come up leaves the old worker where it is, and is tried again.
func TestRecyclingSurvivesABadReplacement(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 1, "dies-unless="+flag).up()
	old := r.pids()
	os.Remove(flag)
	r.signal(1, sigRecycle)
	for range 6 {
		r.wait("worker.died", "worker 1")
	}
	if !slices.Equal(r.pids(), old) {
		t.Error("the old worker is gone")
	}
	os.WriteFile(flag, nil, 0o600)
	r.wait("worker.recycled", fmt.Sprintf("process %d", old[0]))
	r.stop()
	r.noErrors("worker.died")
}

func TestWorkersReload(t *testing.T) {
	for _, graceful := range []bool{true, false} {
		r := newRig(t, 2).up()
		old := r.pids()
		gen := r.sup.Snapshot().Generation
		r.sup.ReloadWorkers("test", graceful)
		for range 2 {
			r.wait("worker.buried", "")
		}
		for range 2 {
			if r.count("worker.ready") < 4 {
				r.wait("worker.ready", "")
			}
		}
		st := r.sup.Snapshot()
		for i, w := range st.Workers {
			if w.PID == old[i] || w.PID == 0 {
				t.Errorf("graceful %v: worker %d is %d", graceful, i+1, w.PID)
			}
		}
		if st.Generation != gen {
			t.Error("the loader was replaced too")
		}
		r.stop()
		r.noErrors()
	}
}

func TestChainReload(t *testing.T) {
	r := newRig(t, 2).up()
	old := r.pids()
	r.underLoad(func() {
		r.sup.ChainReload("test")
		r.wait("chain.start", "chain reload starting...")
		r.wait("chain.next", "chain next victim is worker 1")
		r.wait("chain.next", "chain next victim is worker 2")
		r.wait("chain.done", "chain reloading complete")
	})
	for i, pid := range r.pids() {
		if pid == old[i] {
			t.Errorf("worker %d was not replaced", i+1)
		}
	}
	r.stop()
	r.noErrors()
}

// measured is a host on which every worker is of that size.
func measured(rss, vsz int64) func(int) (int64, int64, error) {
	return func(int) (int64, int64, error) { return rss, vsz, nil }
}

func TestMemoryLimits(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name     string
		rss, vsz int64
		set      func(*rig)
		want     string // event
	}{
		{"rss", 101 * mib, 0, func(r *rig) { r.set.ReloadOnRSS = 100 * mib }, "worker.recycled"},
		{"as", 0, 1101 * mib, func(r *rig) { r.set.ReloadOnAS = 100 * mib }, "worker.recycled"},
		{"as within what the data plane reserved", 0, 1099 * mib, func(r *rig) { r.set.ReloadOnAS = 100 * mib }, ""},
		{"evil rss", 101 * mib, 0, func(r *rig) { r.set.EvilReloadOnRSS = 100 * mib }, "worker.evil"},
		{"evil as", 0, 1101 * mib, func(r *rig) { r.set.EvilReloadOnAS = 100 * mib }, "worker.evil"},
		{"evil between the looks of mem-collector-freq", 101 * mib, 0, func(r *rig) { r.set.EvilReloadOnRSS, r.set.MemCollectorFreq = 100*mib, time.Hour }, ""},
		{"uss", 0, 0, func(r *rig) { r.set.ReloadOnUSS = 1 }, "worker.recycled"},
		{"pss", 0, 0, func(r *rig) { r.set.ReloadOnPSS = 1 }, "worker.recycled"},
		{"uss is far from the limit", 0, 0, func(r *rig) { r.set.ReloadOnUSS, r.set.ReloadOnPSS = 1<<40, 1<<40 }, ""},
		{"none", 1 << 40, 1 << 40, func(r *rig) {}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1)
			c.set(r)
			r.cfg.Host.Memory = measured(c.rss, c.vsz)
			r.up()
			pid := r.pids()[0]
			r.do(func() {
				row := r.sup.rows.board.Row(r.sup.gen.slots[0].cur.row)
				row.ASOverhead.Store(1000 * mib)
				row.Requests.Store(1)
				for range sharesEvery {
					r.sup.sampleMemory()
				}
			})
			switch c.want {
			case "":
				r.do(func() {
					if sl := r.sup.gen.slots[0]; sl.replace != "" || sl.cur.state != serving {
						t.Error("the worker is being replaced")
					}
				})
			case "worker.evil":
				r.wait("worker.evil", fmt.Sprintf("(pid: %d) ***", pid))
				r.wait("worker.died", fmt.Sprintf("DAMN ! worker 1 (pid: %d) died, killed by signal 9", pid))
				r.wait("worker.ready", "")
			default:
				r.wait(c.want, fmt.Sprintf("...The work of process %d is done. Seeya!", pid))
			}
			r.stop()
			r.noErrors("worker.evil", "worker.died")
		})
	}
}

// A worker that is too large before its first request would be too large for ever.
func TestMemoryLimitBelowTheApplication(t *testing.T) {
	r := newRig(t, 1)
	r.set.ReloadOnRSS = 1
	r.up()
	r.do(func() { r.sup.sampleMemory() })
	r.do(func() {
		if r.sup.gen.slots[0].replace != "" {
			t.Error("the worker is being replaced")
		}
	})
	r.stop()
}
