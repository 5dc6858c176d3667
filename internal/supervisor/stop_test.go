package supervisor

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/loader/loadertest"
)

// A worker that does not leave in its mercy is killed.
func TestNoMercy(t *testing.T) {
	r := newRig(t, 2, "ignores-drain")
	r.set.WorkerReloadMercy = 100 * time.Millisecond
	r.up()
	r.stop()
	r.noErrors()
	if r.count("worker.nomercy") != 2 || r.logged("worker.nomercy",
		"is taking too much time to die...NO MERCY !!!") < 0 {
		t.Error("no NO MERCY line for each")
	}
}

// reload-mercy, where it is set, bounds the whole.
func TestMercyOfTheWhole(t *testing.T) {
	for _, c := range []struct{ worker, whole, want time.Duration }{
		{0, 0, 60 * time.Second},
		{5 * time.Second, 0, 5 * time.Second},
		{60 * time.Second, 8 * time.Second, 8 * time.Second},
		{5 * time.Second, 8 * time.Second, 5 * time.Second},
	} {
		r := newRig(t, 1)
		r.set.WorkerReloadMercy, r.set.ReloadMercy = c.worker, c.whole
		if got := r.cfg.mercy(); got != c.want {
			t.Errorf("worker %s, whole %s: %s, want %s", c.worker, c.whole, got, c.want)
		}
	}
}

func TestSecondStopCutsTheFirstShort(t *testing.T) {
	r := newRig(t, 2, "ignores-drain").up()
	r.sup.Stop("first", true)
	r.wait("stop.graceful", "graceful shutdown triggered...")
	r.sup.Stop("second", true)
	r.exit(0)
	r.noErrors()
	if r.count("worker.nomercy") != 0 {
		t.Error("the mercy ran out")
	}
}

func TestStopAtOnce(t *testing.T) {
	r := newRig(t, 2, "ignores-drain").up()
	r.sup.Stop("SIGQUIT", false)
	r.exit(0)
	r.noErrors()
	if r.logged("stop.start", "SIGINT/SIGTERM received...killing workers...") < 0 {
		t.Error("not logged")
	}
}

// Requests under way are waited for.
func TestStopWaitsForRequests(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 1, "drain-waits="+gate.Path).up()
	r.sup.Stop("test", true)
	r.wait("stop.graceful", "")
	if st := r.sup.Snapshot(); st.Phase != Stopping || len(st.Leaving) != 1 || st.Leaving[0].Status != "draining" {
		t.Errorf("status: %+v", st)
	}
	gate.Open()
	r.exit(0)
	r.noErrors()
}

func TestCancelIsAGracefulStop(t *testing.T) {
	r := newRig(t, 1)
	var err error
	if r.sup, err = New(r.cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.code <- r.sup.Run(ctx) }()
	r.wait("ready", "")
	cancel()
	r.exit(0)
	r.noErrors()
}

func TestStopDuringReload(t *testing.T) {
	t.Run("configuration", func(t *testing.T) {
		r := newRig(t, 1)
		r.cfg.Reconfigure = func(ctx context.Context) (*Config, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		r.up()
		stopDuringReload(r, "reload.start")
	})
	t.Run("import", func(t *testing.T) {
		gate := loadertest.NewGate(t)
		r := newRig(t, 2)
		r.next(nil, "import-waits="+gate.Path)
		r.up()
		stopDuringReload(r, "reload.start")
	})
	t.Run("workers", func(t *testing.T) {
		r := newRig(t, 2)
		r.next(nil, "never-ready")
		r.up()
		stopDuringReload(r, "worker.spawned")
	})
}

// stopDuringReload begins a reload, waits for a log event, stops and wants every caller to be
// answered.
func stopDuringReload(r *rig, event string) {
	r.Helper()
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- r.reload() }()
	r.wait(event, "")
	go func() { second <- r.reload() }()
	r.wait("reload.queued", "")
	r.stop()
	for _, reply := range []chan error{first, second} {
		if err := <-reply; !errors.Is(err, ErrStopping) {
			r.Errorf("reload during a stop: %v", err)
		}
	}
	r.noErrors()
}

func TestHooks(t *testing.T) {
	phases := make(chan string, 10)
	fail := make(chan string, 1)
	r := newRig(t, 1)
	r.cfg.Hooks = func(_ context.Context, phase string) error {
		phases <- phase
		select {
		case bad := <-fail:
			if bad == phase {
				return errors.New("hook says no")
			}
			fail <- bad
		default:
		}
		return nil
	}
	r.up()
	for _, want := range []string{"pre-app", "post-app", "master-start"} {
		if got := <-phases; got != want {
			t.Errorf("hooks of %s ran, want %s", got, want)
		}
	}
	fail <- "post-app"
	if err := r.reload(); err == nil || err.Error() != "hooks of phase post-app: hook says no" {
		t.Errorf("reload: %v", err)
	}
	// the old ones end before the new ones begin
	for _, want := range []string{"as-user-atexit", "pre-app", "post-app"} {
		if got := <-phases; got != want {
			t.Errorf("hooks of %s ran at the reload, want %s", got, want)
		}
	}
	r.stop()
	if got := <-phases; got != "as-user-atexit" {
		t.Errorf("hooks of %s ran at the end", got)
	}
	r.noErrors("reload.failed")
}

func TestHookFailsAtStart(t *testing.T) {
	r := newRig(t, 1)
	r.cfg.Hooks = func(_ context.Context, phase string) error {
		if phase == "pre-app" {
			return errors.New("hook says no")
		}
		return nil
	}
	r.start().exit(1)
}

// With shutdown-delay a stop that was asked for serves on first: it counts as stopping, reloads are
// refused, a worker that dies is replaced. Being asked again ends the delay.
func TestShutdownDelay(t *testing.T) {
	r := newRig(t, 2)
	r.set.ShutdownDelay = time.Hour
	r.up()
	r.sup.Shutdown("test")
	r.wait("stop.delayed", "stopping in 3600 seconds (shutdown-delay)")
	r.do(func() {}) // what follows the line has been done
	if told := r.notes.all(); told[len(told)-1] != "STOPPING" {
		t.Errorf("told %q", told)
	}
	if err := r.reload(); !errors.Is(err, ErrStopping) {
		t.Errorf("reload: %v", err)
	}
	r.signal(1, syscall.SIGKILL)
	r.wait("worker.ready", "worker 1")
	if answer, err := r.ask(); err != nil || answer == "" {
		t.Errorf("answer %q, %v", answer, err)
	}
	if st := r.sup.Snapshot(); st.Phase != Closing {
		t.Errorf("phase %v", st.Phase)
	}
	r.sup.Shutdown("test")
	r.exit(0)
	r.noErrors("worker.died")
}

// The delay ends by itself, and also one that begins while the instance sleeps or reloads.
func TestShutdownDelayEnds(t *testing.T) {
	t.Run("running", func(t *testing.T) {
		r := newRig(t, 1)
		r.set.ShutdownDelay = 20 * time.Millisecond
		r.up()
		r.sup.Shutdown("test")
		r.wait("stop.graceful", "")
		r.exit(0)
		r.noErrors()
	})
	t.Run("asleep", func(t *testing.T) {
		r := newRig(t, 1)
		r.set.Cheap, r.set.ShutdownDelay = true, time.Hour
		r.up()
		r.sup.Shutdown("test")
		r.wait("worker.ready", "")
		if answer, err := r.ask(); err != nil || answer == "" {
			t.Errorf("answer %q, %v", answer, err)
		}
		r.sup.Stop("test", false)
		r.exit(0)
		r.noErrors()
	})
	t.Run("reloading", func(t *testing.T) {
		gate := loadertest.NewGate(t)
		r := newRig(t, 1)
		r.set.ShutdownDelay = time.Hour
		r.next(nil, "import-waits="+gate.Path)
		r.up()
		over := make(chan error, 1)
		go func() { over <- r.reload() }()
		r.wait("reload.start", "")
		for coming := false; !coming; {
			r.do(func() { coming = r.sup.rollout != nil && r.sup.rollout.gen != nil })
		}
		r.sup.Shutdown("test")
		if err := <-over; !errors.Is(err, ErrStopping) {
			t.Errorf("reload: %v", err)
		}
		if answer, err := r.ask(); err != nil || answer != "1 1" {
			t.Errorf("answer %q, %v", answer, err)
		}
		gate.Open()
		r.sup.Shutdown("test")
		r.exit(0)
		r.noErrors()
	})
}

// What a stop still waits for after graceful-timeout is killed.
func TestStopWithin(t *testing.T) {
	r := newRig(t, 1, "ignores-drain")
	r.cfg.StopWithin = 20 * time.Millisecond
	r.up()
	r.sup.Shutdown("test")
	r.wait("stop.late", "graceful-timeout")
	r.exit(0)
	r.noErrors()
}
