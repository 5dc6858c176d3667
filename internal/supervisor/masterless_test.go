package supervisor

import (
	"path/filepath"
	"testing"
)

func newMasterless(t *testing.T, processes int) *rig {
	r := newRig(t, processes, "worker-lock="+filepath.Join(t.TempDir(), "lock"), "lazy")
	r.set.Master = false
	return r
}

// Without a master the first worker has imported the application when what comes after that is
// done.
func TestMasterless(t *testing.T) {
	r := newMasterless(t, 1)
	called, spawned := 0, false
	r.cfg.Loaded = func() {
		called++
		spawned = len(r.sup.procs) == 1
	}
	r.up()
	if err := r.reload(); err != nil { // two of them cannot have the lock at once
		t.Error(err)
	}
	if st := r.sup.Snapshot(); len(st.Workers[0].Apps) != 1 || st.Reloads != 1 {
		t.Errorf("status: %+v", st)
	}
	r.stop()
	r.noErrors()
	if called != 1 || !spawned {
		t.Errorf("called %d times, after the fork: %v", called, spawned)
	}
}

// A worker that is to be replaced leaves first where the next one needs what it holds.
func TestMasterlessRecycling(t *testing.T) {
	r := newMasterless(t, 1).up()
	old := r.pids()[0]
	r.underLoad(func() {
		r.signal(1, sigRecycle)
		r.wait("worker.exclusive", "")
		r.wait("worker.ready", "")
	})
	if now := r.pids()[0]; now == old || now == 0 {
		t.Errorf("worker %d, was %d", now, old)
	}
	r.stop()
	r.noErrors()
}

// Where two workers cannot have the application side by side it is imported once for all of them,
// at later reloads, too.
func TestMasterlessExclusive(t *testing.T) {
	r := newMasterless(t, 2).up()
	if err := r.reload(); err != nil {
		t.Error(err)
	}
	if n := r.count("start.exclusive"); n != 1 {
		t.Errorf("%d times", n)
	}
	r.stop()
	r.noErrors()
}
