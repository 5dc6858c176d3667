package supervisor

import (
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/loader/loadertest"
)

func TestStartAndStop(t *testing.T) {
	r := newRig(t, 2)
	r.cfg.Watchdog = patience
	r.up()
	r.accepting(2)
	st := r.sup.Snapshot()
	if st.Phase != Running || st.Generation != 1 || len(st.Workers) != 2 ||
		len(st.Workers[0].Apps) != 1 || st.LoaderPID == 0 {
		t.Errorf("status: %+v", st)
	}
	for i, w := range st.Workers {
		if w.ID != i+1 || w.PID == 0 || w.Status != "idle" || !w.Accepting || w.Spawns != 1 || w.RSS == 0 {
			t.Errorf("worker: %+v", w)
		}
	}
	if told := r.notes.all(); !slices.Equal(told, []string{"READY", "WATCHDOG"}) {
		t.Errorf("told %q", told)
	}
	r.stop()
	r.noErrors()
	if r.count("worker.buried") != 2 || r.logged("worker.buried", "worker 1 buried after 0 seconds") < 0 {
		t.Error("workers are not buried")
	}
	for _, line := range []string{"spawned uWSGI master process (pid: ", "spawned uWSGI worker 2 (pid: ",
		"graceful shutdown triggered...", "goodbye to uWSGI."} {
		if !slices.ContainsFunc(r.seen, func(e entry) bool { return strings.Contains(e.text, line) }) {
			t.Errorf("not logged: %s", line)
		}
	}
	if told := r.notes.all(); told[len(told)-1] != "STOPPING" {
		t.Errorf("told %q", told)
	}
	if st := r.sup.Snapshot(); st.Phase != Stopped || len(st.Leaving) != 0 {
		t.Errorf("status after the end: %+v", st)
	}
	if err := r.reload(); err != ErrStopped {
		t.Errorf("reload after the end: %v", err)
	}
}

// READY is not said before the last worker is ready.
func TestReadyMeansEveryWorker(t *testing.T) {
	r := newRig(t, 3).up()
	r.stop()
	ready := r.logged("ready", "")
	n := 0
	for _, e := range r.seen[:ready] {
		if e.event == "worker.ready" {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d workers were ready before READY", n)
	}
}

func TestStartFailures(t *testing.T) {
	for _, c := range []struct {
		name, roles string
		code        int
		log, said   string
	}{
		{"import", "import-fails", 22, "start.failed", "ImportError: no module named fake"},
		{"exit in import", "import-exits=3", 3, "start.failed", "exited with status 3"},
		{"killed in import", "import-exits=0", 1, "start.failed", "before the new generation could serve"},
		{"worker dies", "dies-early", 1, "start.failed", "ended 3 times before it could serve"},
		{"lazy import", "lazy lazy-fails", 22, "start.failed", "ImportError: lazily"},
		{"no fork", "fork-fails", 1, "start.failed", "Resource temporarily unavailable"},
		{"loader dies", "fork-dies", 9, "start.failed", "exited with status 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 2, strings.Fields(c.roles)...).start()
			r.exit(c.code)
			if r.logged(c.log, c.said) < 0 {
				t.Errorf("not logged: %s", c.said)
			}
			if last := r.seen[len(r.seen)-1]; last.event != c.log {
				t.Errorf("%s, %q, comes after the reason", last.event, last.text)
			}
			for _, told := range r.notes.all() {
				if told == "READY" {
					t.Error("READY was said")
				}
			}
		})
	}
}

func TestInterpreterIsMissing(t *testing.T) {
	r := newRig(t, 1)
	r.cfg.Python = "/nonexistent/python"
	r.start().exit(1)
	if r.logged("start.failed", "/nonexistent/python") < 0 {
		t.Error("the log does not name it")
	}
}

func TestNoWorkersWanted(t *testing.T) {
	r := newRig(t, 0).up()
	r.stop()
	r.noErrors()
}

func TestStopDuringStart(t *testing.T) {
	t.Run("import", func(t *testing.T) {
		gate := loadertest.NewGate(t)
		r := newRig(t, 1, "import-waits="+gate.Path).start()
		r.stop()
		r.noErrors()
	})
	t.Run("workers", func(t *testing.T) {
		r := newRig(t, 2, "never-ready").start()
		r.wait("worker.spawned", "worker 2")
		r.stop()
		r.noErrors()
	})
	t.Run("fork hangs", func(t *testing.T) {
		r := newRig(t, 2, "fork-hangs").start()
		r.wait("master.spawned", "")
		r.stop()
		r.noErrors()
	})
}

func TestReloadDuringStartWaits(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 1, "import-waits="+gate.Path).start()
	done := make(chan error)
	go func() { done <- r.reload() }()
	r.wait("reload.queued", "")
	gate.Open()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if g := r.sup.Snapshot().Generation; g != 2 {
		t.Errorf("generation %d", g)
	}
	r.stop()
	r.noErrors()
}

// Loaded comes once, when the application is imported and nothing is forked yet; never for one that
// cannot be imported.
func TestLoaded(t *testing.T) {
	for role, want := range map[string]int{"lazy": 1, "import-fails": 0} {
		t.Run(role, func(t *testing.T) {
			r := newRig(t, 1, role)
			called, early := 0, false
			r.cfg.Loaded = func() {
				called++
				early = r.sup.gen == nil && len(r.sup.procs) == 0
			}
			r.start()
			if want == 0 {
				r.exit(ExitNoApp)
			} else {
				r.wait("ready", "")
				if err := r.reload(); err != nil {
					t.Error(err)
				}
				r.stop()
			}
			if called != want || early != (want == 1) {
				t.Errorf("called %d times, before the fork: %v", called, early)
			}
		})
	}
}
