package supervisor

import (
	"path/filepath"
	"testing"
)

// An application that holds a lock cannot be loaded twice at once: the old generation is stopped
// first then.
func TestExclusiveApplication(t *testing.T) {
	r := newRig(t, 2, "lock="+filepath.Join(t.TempDir(), "lock")).up()
	r.underLoad(func() {
		if err := r.reload(); err != nil {
			t.Error(err)
		}
	})
	if st := r.sup.Snapshot(); st.Reloads != 1 || st.Workers[0].PID == 0 {
		t.Errorf("status: %+v", st)
	}
	r.stop()
	r.noErrors()
	if r.logged("reload.exclusive", "reload-stop-first") < 0 {
		t.Error("the log does not name the option")
	}
}

func TestReloadStopFirst(t *testing.T) {
	r := newRig(t, 2, "lock="+filepath.Join(t.TempDir(), "lock"))
	r.set.ReloadStopFirst = true
	r.up()
	r.underLoad(func() {
		if err := r.reload(); err != nil {
			t.Error(err)
		}
	})
	r.stop()
	r.noErrors()
	if r.count("reload.exclusive") != 0 {
		t.Error("the new generation was tried beside the old one")
	}
	if stop, start := r.logged("worker.buried", ""), r.logged("master.respawned", ""); stop < 0 || stop > start {
		t.Error("the old generation was not stopped first")
	}
}

// With the old generation gone there is nothing to fall back to.
func TestReloadStopFirstFails(t *testing.T) {
	r := newRig(t, 1)
	r.set.ReloadStopFirst = true
	r.next(nil, "import-fails")
	r.up()
	if err := r.reload(); err == nil {
		t.Error("the reload succeeded")
	}
	r.exit(22)
}
