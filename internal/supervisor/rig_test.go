package supervisor

import (
	"context"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/loader/loadertest"
	"uwsgi/internal/option"
	"uwsgi/internal/wire"
)

func TestMain(m *testing.M) {
	loadertest.Main()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// patience bounds every wait of a test; it is reached by failures only.
const patience = 30 * time.Second

// entry is one line of the server log.
type entry struct {
	event, text string
	level       slog.Level
	attrs       map[string]slog.Value
}

// rig is an instance under test.
type rig struct {
	*testing.T
	cfg  Config
	set  *option.Settings
	sup  *Supervisor
	code chan int

	entries chan entry
	seen    []entry // taken from entries so far
	notes   *notes
	addr    string
	endures endurance
}

// newRig prepares an instance of so many fake workers with those roles; start starts it.
func newRig(t *testing.T, processes int, roles ...string) *rig {
	t.Helper()
	loadertest.Hygiene(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	set := option.Default()
	set.Processes, set.Master = processes, true
	set.ForkbombDelay = 80 * time.Millisecond
	set.MinWorkerLifetime = 0
	r := &rig{T: t, set: set, code: make(chan int, 1), entries: make(chan entry, 10000), notes: &notes{},
		endures: endurance{limit: time.Second, pause: 10 * time.Millisecond}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	t.Cleanup(func() { f.Close() })
	r.addr = ln.Addr().String()
	r.cfg = Config{
		Settings: set, Python: exe, LibDir: t.TempDir(), Env: loadertest.Env(roles...),
		Listeners: []Listener{{Listener: wire.Listener{Name: r.addr, Protocol: "http"}, File: f}},
		Notify:    r.notes, Host: System(),
		WorkerStderr: func(int) (*os.File, error) { return os.OpenFile(os.DevNull, os.O_WRONLY, 0) },
		Log: func(level slog.Level, event, text string, attrs ...slog.Attr) {
			e := entry{event: event, text: text, level: level, attrs: map[string]slog.Value{}}
			for _, a := range attrs {
				e.attrs[a.Key] = a.Value
			}
			r.entries <- e
		},
	}
	return r
}

func (r *rig) start() *rig {
	r.Helper()
	var err error
	if r.sup, err = New(r.cfg); err != nil {
		r.Fatal(err)
	}
	r.sup.endurance = r.endures
	go func() { r.code <- r.sup.Run(context.Background()) }()
	r.Cleanup(func() {
		r.sup.Stop("cleanup", false)
		<-r.sup.done
		if r.Failed() {
			r.drainLog()
			for _, e := range r.seen {
				r.Logf("%-18s %s", e.event, e.text)
			}
		}
	})
	return r
}

// up starts the instance and waits until it serves.
func (r *rig) up() *rig {
	r.Helper()
	r.start()
	r.wait("ready", "")
	return r
}

// accepting waits until so many workers take connections.
func (r *rig) accepting(want int) {
	r.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // why: a snapshot has no event to wait for
		n := 0
		for _, w := range r.sup.Snapshot().Workers {
			if w.Accepting {
				n++
			}
		}
		if n == want {
			return
		}
		if time.Now().After(late) {
			r.Fatalf("%d workers accept", n)
		}
	}
}

// wait returns the next log entry of that event whose text contains a part.
func (r *rig) wait(event, part string) entry {
	r.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-r.entries:
			r.seen = append(r.seen, e)
			if e.event == event && strings.Contains(e.text, part) {
				return e
			}
		case <-late:
			r.Fatalf("no %s %q", event, part)
		}
	}
}

// exit waits for the end of the instance, which has to be with that code.
func (r *rig) exit(want int) {
	r.Helper()
	select {
	case code := <-r.code:
		if code != want {
			r.Errorf("exit code %d, want %d", code, want)
		}
	case <-time.After(patience):
		r.Fatal("the instance does not end")
	}
	r.drainLog()
}

func (r *rig) stop() {
	r.Helper()
	r.sup.Stop("test", true)
	r.exit(0)
}

func (r *rig) drainLog() {
	for {
		select {
		case e := <-r.entries:
			r.seen = append(r.seen, e)
		default:
			return
		}
	}
}

// logged says where in the log so far the first entry with that event and part of the text is, -1 =
// nowhere.
func (r *rig) logged(event, part string) int {
	r.drainLog()
	return slices.IndexFunc(r.seen, func(e entry) bool { return e.event == event && strings.Contains(e.text, part) })
}

// count is how many entries of that event there were.
func (r *rig) count(event string) int {
	r.drainLog()
	n := 0
	for _, e := range r.seen {
		if e.event == event {
			n++
		}
	}
	return n
}

// noErrors fails the test for every entry at error level but those of the named events.
func (r *rig) noErrors(but ...string) {
	r.Helper()
	r.drainLog()
	for _, e := range r.seen {
		if e.level >= slog.LevelError && !slices.Contains(but, e.event) {
			r.Errorf("error logged: %s %s", e.event, e.text)
		}
	}
}

// pids are the process ids of the workers in force, by slot.
func (r *rig) pids() []int {
	var out []int
	for _, w := range r.sup.Snapshot().Workers {
		out = append(out, w.PID)
	}
	return out
}

// do runs something in the loop.
func (r *rig) do(f func()) {
	r.Helper()
	if !r.sup.call(f) {
		r.Fatal("the instance has ended")
	}
}

// reload reloads with a changed configuration.
func (r *rig) reload() error {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.sup.Reload(ctx, "test")
}

// next makes reloads use a configuration with those roles and settings.
func (r *rig) next(change func(*Config), roles ...string) {
	r.cfg.Reconfigure = func(context.Context) (*Config, error) {
		cfg := r.cfg
		set := *r.set
		cfg.Settings = &set
		cfg.Env = loadertest.Env(roles...)
		if change != nil {
			change(&cfg)
		}
		return &cfg, nil
	}
}

// notes is a service manager that remembers what it was told.
type notes struct {
	mu   sync.Mutex
	told []string
}

func (n *notes) add(what string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, what)
	return nil
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.told)
}

func (n *notes) Ready(string) error                { return n.add("READY") }
func (n *notes) Reloading(string) error            { return n.add("RELOADING") }
func (n *notes) Stopping(string) error             { return n.add("STOPPING") }
func (n *notes) Status(text string) error          { return nil }
func (n *notes) Failed(text string, _ int) error   { return n.add("FAILED " + text) }
func (n *notes) Watchdog() error                   { return n.add("WATCHDOG") }
func (n *notes) ExtendTimeout(time.Duration) error { return nil }

// Signals that a fake worker understands.
const (
	sigRecycle = syscall.SIGUSR1
	sigReload  = syscall.SIGUSR2
)

// signal sends a signal to the worker of a slot.
func (r *rig) signal(slot int, sig syscall.Signal) {
	r.Helper()
	if err := syscall.Kill(r.sup.Snapshot().Workers[slot-1].PID, sig); err != nil {
		r.Fatal(err)
	}
}
