package supervisor

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/loader/loadertest"
)

// ask connects and returns what the worker that takes the connection answers: "generation slot".
func (r *rig) ask() (string, error) {
	c, err := net.DialTimeout("tcp", r.addr, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	body, err := io.ReadAll(c)
	return strings.TrimSpace(string(body)), err
}

// underLoad asks all the time while do runs; every connection has to be answered.
func (r *rig) underLoad(do func()) (answers int) {
	r.Helper()
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			if answer, err := r.ask(); err != nil || answer == "" {
				r.Errorf("connection %d lost: %q, %v", n, answer, err)
			}
			n++
		}
	}()
	do()
	close(stop)
	return <-done
}

func TestReload(t *testing.T) {
	for _, processes := range []int{1, 2} {
		r := newRig(t, processes).up()
		old := r.pids()
		n := r.underLoad(func() {
			for range 3 {
				if err := r.reload(); err != nil {
					t.Error(err)
				}
			}
		})
		if n == 0 {
			t.Error("there was no load")
		}
		st := r.sup.Snapshot()
		if st.Generation != 4 || st.Reloads != 3 || st.LastReload.Error != "" || st.LastReload.Reason != "test" {
			t.Errorf("status: %+v", st)
		}
		for i, pid := range r.pids() {
			if slices.Contains(old, pid) || st.Workers[i].ID != i+1 {
				t.Errorf("worker %d is still %d", i+1, pid)
			}
		}
		if answer, _ := r.ask(); !strings.HasPrefix(answer, "4 ") {
			t.Errorf("answered by %q", answer)
		}
		r.stop()
		r.noErrors()
		if told := r.notes.all(); !slices.Equal(told,
			[]string{"READY", "RELOADING", "READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"}) {
			t.Errorf("told %q", told)
		}
		if r.logged("master.respawned", "gracefully (RE)spawned uWSGI master process (pid: ") < 0 ||
			r.logged("reload.retire", "...gracefully killing workers...") < 0 {
			t.Error("uWSGI's lines are missing")
		}
	}
}

// Old workers that do not leave in their mercy are killed.
func TestReloadKillsTheOldAfterTheMercy(t *testing.T) {
	r := newRig(t, 2, "ignores-drain")
	r.set.WorkerReloadMercy = 200 * time.Millisecond
	r.up()
	if err := r.reload(); err != nil {
		t.Fatal(err)
	}
	for r.count("worker.buried") < 2 {
		r.wait("worker.buried", "worker")
	}
	if r.count("worker.nomercy") != 2 {
		t.Error("no NO MERCY line for each")
	}
	r.stop()
}

// How a worker ended is not known where its loader has no time to tell: an old worker that has left
// is no alarm.
func TestReloadWithALoaderThatDoesNotTell(t *testing.T) {
	r := newRig(t, 1, "exits-untold").up()
	if err := r.reload(); err != nil {
		t.Fatal(err)
	}
	r.wait("worker.buried", "worker 1")
	r.stop()
	r.noErrors()
}

// A reload is over when the new generation serves alone; the old one may still be busy with
// requests.
func TestReloadDoesNotWaitForRequests(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 2, "drain-waits="+gate.Path).up()
	old := r.pids()
	slices.Sort(old)
	if err := r.reload(); err != nil {
		t.Fatal(err)
	}
	var leaving []int
	for _, w := range r.sup.Snapshot().Leaving {
		leaving = append(leaving, w.PID)
		if w.Status != "draining" || w.Generation != 1 || w.Accepting {
			t.Errorf("old worker: %+v", w)
		}
	}
	if !slices.Equal(leaving, old) {
		t.Errorf("leaving: %v, want %v", leaving, old)
	}
	gate.Open()
	r.wait("worker.buried", "")
	r.wait("worker.buried", "")
	r.stop()
	r.noErrors()
}

// A brutal reload does not wait for requests once the new workers serve.
func TestBrutalReload(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 1, "drain-waits="+gate.Path)
	r.next(nil)
	r.up()
	old := r.pids()[0]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.sup.BrutalReload(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	r.wait("worker.buried", "worker 1 buried")
	if r.logged("reload.retire", "...brutally killing workers...") < 0 {
		t.Error("nothing says that the workers are killed")
	}
	if now := r.pids()[0]; now == old {
		t.Errorf("worker %d serves still", now)
	}
	r.stop()
	r.noErrors()
}

func TestFailedReloadKeepsTheOld(t *testing.T) {
	for _, c := range []struct {
		name, roles, said string
		change            func(*Config)
	}{
		{"import", "import-fails", "ImportError: no module named fake", nil},
		{"exit", "import-exits=3", "exited with status 3", nil},
		{"workers", "dies-early", "ended 3 times before it could serve (the last one exited with status 1)", nil},
		{"lazy", "lazy lazy-fails", "ImportError: lazily", nil},
		{"interpreter", "", "/nonexistent/python", func(c *Config) { c.Python = "/nonexistent/python" }},
		{"settings", "", "no settings", func(c *Config) { c.Settings = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1)
			released := make(chan bool, 1)
			r.next(func(cfg *Config) {
				if c.change != nil {
					c.change(cfg)
				}
				cfg.Applied = func() { t.Error("a failed configuration was applied") }
				cfg.Release = func() { released <- true }
			}, strings.Fields(c.roles)...)
			r.up()
			old := r.pids()
			r.underLoad(func() {
				if err := r.reload(); err == nil || !strings.Contains(err.Error(), c.said) {
					t.Errorf("reload: %v, want %s", err, c.said)
				}
			})
			<-released
			st := r.sup.Snapshot()
			if !slices.Equal(r.pids(), old) || st.Phase != Running || st.LastReload.Error == "" || st.Reloads != 0 {
				t.Errorf("status: %+v, was %v", st, old)
			}
			if told := r.notes.all(); !slices.Equal(told, []string{"READY", "RELOADING", "READY"}) {
				t.Errorf("told %q", told)
			}
			r.stop()
			if r.logged("reload.failed", c.said) < 0 {
				t.Error("the log does not say why")
			}
		})
	}
}

func TestUnreadableConfiguration(t *testing.T) {
	r := newRig(t, 1)
	r.cfg.Reconfigure = func(context.Context) (*Config, error) { return nil, errors.New("line 7: unknown section") }
	r.up()
	old := r.pids()
	if err := r.reload(); err == nil || err.Error() != "configuration: line 7: unknown section" {
		t.Errorf("reload: %v", err)
	}
	if !slices.Equal(r.pids(), old) {
		t.Error("the workers have changed")
	}
	r.stop()
}

// Requests that come during a reload are answered by one more after it.
func TestReloadDuringReload(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 1)
	r.next(nil, "import-waits="+gate.Path)
	r.up()
	const callers = 4
	replies := make(chan error, callers)
	reload := func() { replies <- r.reload() }
	go reload()
	r.wait("reload.start", "")
	for range callers - 1 {
		go reload()
		r.wait("reload.queued", "")
	}
	gate.Open()
	for range callers {
		if err := <-replies; err != nil {
			t.Error(err)
		}
	}
	if st := r.sup.Snapshot(); st.Generation != 3 || st.Reloads != 2 {
		t.Errorf("generation %d after %d reloads, want 3 after 2", st.Generation, st.Reloads)
	}
	r.stop()
	r.noErrors()
}

// An import that hangs is given up when its mercy is over and another reload waits.
func TestHangingImportGivesWay(t *testing.T) {
	gate := loadertest.NewGate(t)
	r := newRig(t, 1)
	r.set.WorkerReloadMercy = 300 * time.Millisecond
	r.next(nil, "import-waits="+gate.Path)
	r.up()
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- r.reload() }()
	r.wait("reload.start", "")
	go func() { second <- r.reload() }()
	r.wait("reload.queued", "")
	if err := <-first; err == nil || !strings.Contains(err.Error(), "the new generation took longer than 300ms") {
		t.Errorf("first: %v", err)
	}
	gate.Open()
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
	r.stop()
	r.noErrors("reload.failed")
}

func TestReloadChangesTheNumberOfWorkers(t *testing.T) {
	r := newRig(t, 2)
	sizes := []struct{ processes, threads int }{{4, 1}, {1, 3}, {2, 1}}
	applied, released := make(chan int, 10), make(chan int, 10)
	step := 0
	r.next(func(cfg *Config) {
		n := step
		cfg.Settings.Processes, cfg.Settings.Threads = sizes[n].processes, sizes[n].threads
		cfg.Applied = func() { applied <- n }
		cfg.Release = func() { released <- n }
	})
	r.cfg.Release = func() { released <- -1 }
	r.up()
	asked := int64(0)
	for step = range sizes {
		for range 5 {
			if _, err := r.ask(); err != nil {
				t.Error(err)
			}
			asked++
		}
		if err := r.reload(); err != nil {
			t.Fatal(err)
		}
		if n := <-applied; n != step {
			t.Errorf("configuration %d was applied, want %d", n, step)
		}
		if n := <-released; n != step-1 {
			t.Errorf("configuration %d was released, want %d", n, step-1)
		}
		st := r.sup.Snapshot()
		if len(st.Workers) != sizes[step].processes || len(st.Workers[0].Cores) != sizes[step].threads {
			t.Errorf("%d workers of %d cores, want %+v", len(st.Workers), len(st.Workers[0].Cores), sizes[step])
		}
		if st.Requests != asked {
			t.Errorf("%d requests are counted, want %d", st.Requests, asked)
		}
	}
	r.stop()
	r.noErrors()
	select {
	case n := <-released:
		t.Errorf("configuration %d was released at the end", n)
	default:
	}
}

func TestExitOnReload(t *testing.T) {
	r := newRig(t, 1)
	r.set.ExitOnReload = true
	r.up()
	if err := r.reload(); !errors.Is(err, ErrStopping) {
		t.Errorf("reload: %v", err)
	}
	r.exit(0)
	if r.logged("reload.exit", "uWSGI: GAME OVER (insert coin)") < 0 {
		t.Error("not logged")
	}
}

func TestApplicationAsksForAReload(t *testing.T) {
	r := newRig(t, 2).up()
	r.signal(1, sigReload)
	r.wait("master.respawned", "")
	r.stop()
	r.noErrors()
}

// A generation that cannot be started leaves nothing open (rig's hygiene looks), be it larger than
// the one in force.
func TestUnstartableGeneration(t *testing.T) {
	r := newRig(t, 1)
	r.next(func(cfg *Config) {
		cfg.Settings.Processes = 9 // needs more rows
		cfg.WorkerStderr = func(int) (*os.File, error) { return nil, errors.New("no pipe is to be had") }
	})
	r.up()
	old := r.pids()
	if err := r.reload(); err == nil || !strings.Contains(err.Error(), "no pipe") {
		t.Errorf("reload: %v", err)
	}
	if !slices.Equal(r.pids(), old) {
		t.Error("the workers have changed")
	}
	r.stop()
}
