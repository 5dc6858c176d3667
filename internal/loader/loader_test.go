package loader_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/loader"
	"uwsgi/internal/loader/loadertest"
	"uwsgi/internal/option"
	"uwsgi/internal/scoreboard"
	"uwsgi/internal/wire"
)

// bench is a loader under test and what it reports.
type bench struct {
	*testing.T
	events chan loader.Event
	done   chan struct{}
	ld     *loader.Loader
	forked []*loader.Worker
}

func start(t *testing.T, change func(*loader.Spec), roles ...string) *bench {
	t.Helper()
	loadertest.Hygiene(t)
	board, err := scoreboard.New(4, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(board.FD())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, events: make(chan loader.Event), done: make(chan struct{})}
	spec := loader.Spec{
		Python: exe, LibDir: t.TempDir(), Env: loadertest.Env(roles...),
		Boot:       wire.Boot{Settings: option.Default(), Generation: 7},
		Scoreboard: board.FD(), Events: b.events, Done: b.done,
	}
	if change != nil {
		change(&spec)
	}
	if b.ld, err = loader.Start(spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.ld.Kill()
		for _, w := range b.forked {
			w.Kill()
		}
		close(b.done)
		b.ld.Wait()
	})
	return b
}

// next returns the next event, which has to be an E.
func next[E loader.Event](b *bench) E {
	b.Helper()
	select {
	case e := <-b.events:
		want, ok := e.(E)
		if !ok {
			b.Fatalf("event %T %+v, want %T", e, e, want)
		}
		return want
	case <-time.After(20 * time.Second):
		b.Fatalf("no event, want %T", *new(E))
	}
	panic("unreachable")
}

func (b *bench) fork(slot, row int) *loader.Worker {
	b.Helper()
	return b.forkWith(slot, row, nil)
}

func (b *bench) forkWith(slot, row int, stderr *os.File) *loader.Worker {
	b.Helper()
	w, err := b.ld.Fork(loader.Fork{Slot: slot, Row: row, Reason: "start", First: true}, stderr)
	if err != nil {
		b.Fatal(err)
	}
	b.forked = append(b.forked, w)
	return w
}

func TestWorkerLivesAndDrains(t *testing.T) {
	b := start(t, nil)
	if e := next[loader.Loaded](b); e.Python != "3.99" || len(e.Apps) != 1 || e.Apps[0].Source != "fake" {
		t.Errorf("loaded: %+v", e)
	}
	w := b.fork(1, 2)
	if next[loader.Forked](b).Worker != w || w.PID() == 0 {
		t.Fatalf("forked another worker, or without a pid: %d", w.PID())
	}
	next[loader.WorkerReady](b)
	w.Drain("test", true)
	if e := next[loader.WorkerGone](b); !e.Exit.Clean() || e.Worker != w {
		t.Errorf("gone: %+v", e.Exit)
	}
	b.ld.Quit()
	if e := next[loader.LoaderGone](b); !e.Exit.Clean() {
		t.Errorf("loader gone: %+v", e.Exit)
	}
}

func TestKilledWorkerIsReportedByItsParent(t *testing.T) {
	b := start(t, nil)
	next[loader.Loaded](b)
	w := b.fork(1, 0)
	next[loader.Forked](b)
	next[loader.WorkerReady](b)
	w.Kill()
	if e := next[loader.WorkerGone](b); e.Exit.Signal() != syscall.SIGKILL || e.Exit.Code() != -1 {
		t.Errorf("gone: %+v", e.Exit)
	}
	if err := w.Kill(); err != nil {
		t.Errorf("killing what has ended: %v", err)
	}
}

// When the loader dies its workers serve on, and their status is still learned: we are their parent
// then.
func TestWorkersOutliveTheLoader(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	b := start(t, nil)
	next[loader.Loaded](b)
	w := b.fork(1, 0)
	next[loader.Forked](b)
	next[loader.WorkerReady](b)
	b.ld.Kill()
	if e := next[loader.LoaderGone](b); e.Exit.Signal() != syscall.SIGKILL {
		t.Errorf("loader gone: %+v", e.Exit)
	}
	if _, err := b.ld.Fork(loader.Fork{Slot: 2, Row: 1, Reason: "start"}, nil); err == nil {
		t.Error("a dead loader took an order")
	}
	w.Signal(syscall.SIGUSR1)
	if e := next[loader.WorkerRecycle](b); e.Reason != "max-requests" {
		t.Errorf("recycle: %+v", e)
	}
	w.Signal(syscall.SIGTERM)
	if e := next[loader.WorkerGone](b); e.Exit.Signal() != syscall.SIGTERM {
		t.Errorf("gone: %+v", e.Exit)
	}
}

func TestForkIsAlwaysAnswered(t *testing.T) {
	for role, want := range map[string]string{
		"fork-fails": "Resource temporarily unavailable",
		"fork-dies":  "the loader ended before it answered",
	} {
		t.Run(role, func(t *testing.T) {
			b := start(t, nil, role)
			next[loader.Loaded](b)
			w := b.fork(1, 0)
			if e := next[loader.ForkFailed](b); e.Worker != w || e.Error != want {
				t.Errorf("fork failed: %+v", e)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Run("import", func(t *testing.T) {
		b := start(t, nil, "import-fails")
		if e := next[loader.Failed](b); e.Code != 22 || e.Exclusive || e.Error != "ImportError: no module named fake" {
			t.Errorf("failed: %+v", e)
		}
		if e := next[loader.LoaderGone](b); e.Exit.Code() != 22 {
			t.Errorf("gone: %+v", e.Exit)
		}
	})
	t.Run("exit", func(t *testing.T) {
		b := start(t, nil, "import-exits=3")
		if e := next[loader.LoaderGone](b); e.Exit.Code() != 3 {
			t.Errorf("gone: %+v", e.Exit)
		}
	})
	t.Run("lazy", func(t *testing.T) {
		b := start(t, nil, "lazy", "lazy-exclusive")
		next[loader.Loaded](b)
		b.fork(1, 0)
		next[loader.Forked](b)
		if e := next[loader.WorkerFailed](b); !e.Exclusive || e.Code != 22 {
			t.Errorf("failed: %+v", e)
		}
		if e := next[loader.WorkerGone](b); e.Exit.Code() != 22 {
			t.Errorf("gone: %+v", e.Exit)
		}
	})
	t.Run("no interpreter", func(t *testing.T) {
		loadertest.Hygiene(t)
		_, err := loader.Start(loader.Spec{Python: "/nonexistent/python", Boot: wire.Boot{Settings: option.Default()}})
		if err == nil || !os.IsNotExist(unwrap(err)) {
			t.Errorf("err = %v", err)
		}
	})
}

func unwrap(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

// limit-as is a soft limit of the loader's, which takes it off itself before it forks.
func TestAddressSpaceLimit(t *testing.T) {
	const limit = 64 << 30
	b := start(t, func(s *loader.Spec) { s.Limits = loader.Limits{AS: limit, Files: 512} })
	var lim unix.Rlimit
	get := func(pid, what int) uint64 {
		t.Helper()
		if err := unix.Prlimit(pid, what, nil, &lim); err != nil {
			t.Fatal(err)
		}
		return lim.Cur
	}
	if n := get(b.ld.PID(), unix.RLIMIT_AS); n != limit || lim.Max == limit {
		t.Errorf("loader: RLIMIT_AS %d, hard %d", n, lim.Max)
	}
	if n := get(b.ld.PID(), unix.RLIMIT_NOFILE); n != 512 {
		t.Errorf("loader: RLIMIT_NOFILE %d", n)
	}
	next[loader.Loaded](b)
}

// A worker's stderr is the file that came with its fork.
func TestWorkerStderr(t *testing.T) {
	b := start(t, nil)
	next[loader.Loaded](b)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	worker := b.forkWith(1, 0, w)
	w.Close()
	next[loader.Forked](b)
	next[loader.WorkerReady](b)
	worker.Signal(loader.DumpSignal)
	buf := make([]byte, 100)
	n, err := r.Read(buf)
	if err != nil || string(buf[:n]) != "worker 1: stacks\n" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
}
