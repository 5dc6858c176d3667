package supervisor

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/loader/loadertest"
)

// A worker asks for its replacement once. Under load it has served its max-requests before it was
// heard that it is ready …
func TestRecyclingAskedForBeforeReady(t *testing.T) {
	r := newRig(t, 2, "asks-early=recycle="+filepath.Join(t.TempDir(), "asked")).up()
	r.wait("worker.spawned", "Respawned uWSGI worker 1")
	r.wait("worker.buried", "worker 1")
	r.stop()
	r.noErrors()
}

// … or while its generation is still coming up.
func TestRecyclingAskedForBeforeTheGenerationIsInForce(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 2)
	r.next(nil, "ready-waits="+gate.Path, "asks=recycle="+filepath.Join(t.TempDir(), "asked"))
	r.up()
	over := make(chan error, 1)
	go func() { over <- r.reload() }()
	r.whenAsked()
	gate.Open()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	r.wait("worker.spawned", "Respawned uWSGI worker 1")
	r.wait("worker.recycled", "")
	r.stop()
	r.noErrors()
}

// whenAsked waits until worker 1 of the generation that is coming up is ready and has asked.
func (r *rig) whenAsked() {
	r.Helper()
	for asked := false; !asked; {
		r.wait("worker.ready", "worker 1 ")
		r.do(func() {
			asked = r.sup.rollout != nil && r.sup.rollout.gen != nil && r.sup.rollout.gen.slots[0].serves()
		})
	}
	for asked, late := false, time.After(patience); !asked; {
		select {
		case <-late:
			r.Fatal("the worker does not ask")
		default:
			r.do(func() { asked = r.sup.rollout.gen.slots[0].cur.early != "" || r.sup.queued != nil })
		}
	}
}

// Code that changes after the new generation has loaded it, before that is in force: its worker
// tells, and the reload follows.
func TestReloadAskedForByAGenerationThatIsComingUp(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 2)
	r.next(nil, "ready-waits="+gate.Path, "asks=reload="+filepath.Join(t.TempDir(), "asked"))
	r.up()
	over := make(chan error, 1)
	go func() { over <- r.reload() }()
	r.whenAsked()
	gate.Open()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	r.wait("master.respawned", "")
	r.wait("master.respawned", "")
	if st := r.sup.Snapshot(); st.Reloads != 2 || st.Generation != 3 {
		t.Errorf("%+v", st)
	}
	r.stop()
	r.noErrors()
}

// A reload that comes to nothing while a worker of the new generation serves already: that one
// finishes what it has begun.
func TestFailedReloadDrainsWhatServes(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 2)
	r.next(nil, "never-ready=2", "drain-waits="+gate.Path)
	r.up()
	over := make(chan error, 1)
	go func() { over <- r.reload() }()
	serving, loader := 0, 0
	for serving == 0 {
		r.wait("worker.ready", "worker 1 ")
		r.do(func() {
			if t := r.sup.rollout; t != nil && t.gen != nil && t.gen.slots[0].serves() {
				serving, loader = t.gen.slots[0].cur.pid, t.gen.ld.PID()
			}
		})
	}
	if err := syscall.Kill(loader, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-over; err == nil || !strings.Contains(err.Error(),
		"was killed by signal 9 before the new generation could serve") {
		t.Fatalf("reload: %v", err)
	}
	var states []string
	for _, w := range r.sup.Snapshot().Leaving {
		if w.PID == serving {
			states = append(states, w.Status)
		}
	}
	if len(states) != 1 || states[0] != "draining" {
		t.Errorf("the worker that served is %q", states)
	}
	gate.Open()
	if e := r.wait("worker.buried", "worker 1 "); e.attrs[KeyExit].String() != "0" {
		t.Errorf("it ended otherwise: %v", e)
	}
	r.stop()
	r.noErrors("reload.failed")
}

// A reload that is asked for while the application is imported for the first time is kept until
// then, however long that takes.
func TestReloadDuringALongFirstImport(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 1, "import-waits="+gate.Path)
	r.set.ReloadMercy = 10 * time.Millisecond
	r.start()
	over := make(chan error, 1)
	go func() { over <- r.reload() }()
	r.wait("reload.queued", "")
	r.do(func() {
		if r.sup.rollout.limit != nil {
			t.Error("the first start has to be over within the mercy")
		}
	})
	gate.Open()
	if err := <-over; err != nil {
		t.Error(err)
	}
	r.stop()
	r.noErrors()
}
