package attached

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/pidfile"
	"uwsgi/internal/stats"
	"uwsgi/internal/testlog"
)

// fakeProc is a process that ends when it is told to.
type fakeProc struct {
	pid    int
	exit   chan string
	mu     sync.Mutex
	got    []syscall.Signal
	onTerm bool // ends at SIGTERM; else only at SIGKILL
}

func (p *fakeProc) PID() int     { return p.pid }
func (p *fakeProc) Wait() string { return <-p.exit }

func (p *fakeProc) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, sig)
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM && p.onTerm {
		p.exit <- "killed"
	}
	return nil
}

func (p *fakeProc) signals() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprint(p.got)
}

// fakeHost starts fakeProcs.
type fakeHost struct {
	mu     sync.Mutex
	procs  []*fakeProc
	specs  []Command
	onTerm bool
	fail   error
	alive  map[int]bool
}

func (h *fakeHost) start(sp Command) (Process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return nil, h.fail
	}
	p := &fakeProc{pid: 1<<22 + len(h.procs), exit: make(chan string, 4), onTerm: h.onTerm}
	h.procs = append(h.procs, p)
	h.specs = append(h.specs, sp)
	return p, nil
}

func (h *fakeHost) at(i int) *fakeProc {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.procs[i]
}

func (h *fakeHost) free(i int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.specs[i].Free
}

func (h *fakeHost) last() *fakeProc { return h.at(h.started() - 1) }

func (h *fakeHost) started() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.procs)
}

func (h *fakeHost) isAlive(pid int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.alive[pid]
}

func (h *fakeHost) setAlive(pid int, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.alive == nil {
		h.alive = map[int]bool{}
	}
	h.alive[pid] = on
}

func fakeEnv(h *fakeHost, log *testlog.Lines) Env {
	return Env{Print: log.Add, Timed: log.Add, start: h.start, alive: h.isAlive}
}

func TestDaemonThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{onTerm: true}, testlog.New()
		d := StartDaemons([]option.Daemon{{Command: "redis"}}, fakeEnv(h, log))
		synctest.Wait()
		for i := 1; i <= 3; i++ { // dies at once, waits a second longer each time
			h.last().exit <- "exited with status 1"
			synctest.Wait()
			if log.Count(fmt.Sprintf("[uwsgi-daemons] throttling %q for %d seconds", "redis", i)) != 1 ||
				h.started() != i {
				t.Fatalf("%d: %d started\n%s", i, h.started(), log)
			}
			time.Sleep(time.Duration(i) * time.Second) // why: synctest's clock
			synctest.Wait()
			if h.started() != i+1 {
				t.Fatalf("%d: %d started", i, h.started())
			}
		}
		time.Sleep(10 * time.Second) // why: synctest's clock; lives long: started again at once
		h.last().exit <- "exited with status 0"
		synctest.Wait()
		if h.started() != 5 || d.Stats()[0] != (stats.Daemon{Command: "redis", PID: 1<<22 + 4, Respawns: 4}) {
			t.Errorf("%d started, %+v", h.started(), d.Stats())
		}
		d.Stop()
		if got := h.last().signals(); got != "[terminated]" {
			t.Error(got)
		}
		if !strings.HasPrefix(log.String(), "[uwsgi-daemons] spawning \"redis\" (uid: ") ||
			log.Count("[uwsgi-daemons] respawning \"redis\"") != 4 {
			t.Errorf("%s", log)
		}
	})
}

func TestDaemonThatWillNotDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{}, testlog.New()
		env := fakeEnv(h, log)
		env.Mercy = 2500 * time.Millisecond
		d := StartDaemons([]option.Daemon{{Command: "x", StopSignal: 2}}, env)
		synctest.Wait()
		began := time.Now()
		d.Stop()
		if got := h.last().signals(); got != "[interrupt interrupt interrupt killed]" ||
			time.Since(began) != 2500*time.Millisecond {
			t.Error(got, time.Since(began))
		}
		log.Wait("[uwsgi-daemons] daemon did not die in time, killing (pid: ")
	})
}

func TestControlDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{onTerm: true}, testlog.New()
		env := fakeEnv(h, log)
		stopped := make(chan string, 1)
		env.Stop = func(reason string) { stopped <- reason }
		d := StartDaemons([]option.Daemon{{Command: "x", Control: true}}, env)
		synctest.Wait()
		h.last().exit <- "exited with status 0"
		if <-stopped != "attach-control-daemon" || h.started() != 1 {
			t.Error("started again")
		}
		d.Stop()
	})
}

func TestDaemonReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{onTerm: true}, testlog.New()
		path := filepath.Join(t.TempDir(), "pid")
		if err := pidfile.Write(path, 77); err != nil {
			t.Fatal(err)
		}
		h.setAlive(77, true)
		plain, smart := option.Daemon{Command: "plain"}, option.Daemon{Command: "smart", Pidfile: path}
		d := StartDaemons([]option.Daemon{plain, smart}, fakeEnv(h, log))
		synctest.Wait()
		log.Wait(`[uwsgi-daemons] found valid/active pidfile for "smart" (pid: 77)`)
		first := h.last()
		smart.Origin.Line = 99 // moved in its file: still the same
		next := fakeEnv(h, log)
		next.Dir = "/next"
		d.Reload([]option.Daemon{plain, smart}, next)
		synctest.Wait()
		if h.started() != 2 || h.specs[1].Dir != "/next" || first.signals() != "[terminated]" || log.Count(`[uwsgi-daemons] found valid`) != 1 {
			t.Errorf("%d started, %s\n%s", h.started(), first.signals(), log)
		}
		if st := d.Stats(); len(st) != 2 || st[1].PID != 77 {
			t.Errorf("%+v", st)
		}
		d.Stop()
		if h.started() != 2 {
			t.Error("the smart daemon was started")
		}
	})
}

// TestDaemonReloadSignal: a daemon that stays is signalled by who has started it, which may be the
// keeper: its process id alone may be another's by now, and is nothing that every user may signal.
func TestDaemonReloadSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{onTerm: true}, testlog.New()
		list := []option.Daemon{{Command: "x", ReloadSignal: int(syscall.SIGHUP)}}
		d := StartDaemons(list, fakeEnv(h, log))
		synctest.Wait()
		d.Reload(list, fakeEnv(h, log))
		if got := h.last().signals(); got != "[hangup]" || h.started() != 1 {
			t.Error(got, h.started())
		}
		d.Stop()
	})
}

func TestSmartDaemonIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{}, testlog.New()
		path := filepath.Join(t.TempDir(), "pid")
		d := StartDaemons([]option.Daemon{{Command: "celery", Pidfile: path, Daemonize: true, Freq: 3}},
			fakeEnv(h, log))
		synctest.Wait()
		p := h.last()
		if got, err := pidfile.Read(path); err != nil || got != p.pid || !h.free(0) {
			t.Fatal(got, err)
		}
		h.setAlive(p.pid, true)
		time.Sleep(5 * time.Second) // why: synctest's clock
		if h.started() != 1 {
			t.Fatal("started again")
		}
		time.Sleep(500 * time.Millisecond) // why: synctest's clock; between two checks
		h.setAlive(p.pid, false)
		p.exit <- "exited"
		time.Sleep(time.Second) // why: synctest's clock
		if h.started() != 2 {
			t.Errorf("%d started\n%s", h.started(), log)
		}
		// The second one never comes to life: three checks, then again.
		h.last().exit <- "exited"
		time.Sleep(3 * time.Second) // why: synctest's clock
		if h.started() != 3 {
			t.Errorf("%d started\n%s", h.started(), log)
		}
		d.Stop()
		h.last().exit <- "exited"
	})
}

func TestDaemonThatCannotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := &fakeHost{fail: os.ErrPermission}, testlog.New()
		d := StartDaemons([]option.Daemon{{Command: "x"}, {Command: "y", UID: "5"}}, fakeEnv(h, log))
		time.Sleep(1500 * time.Millisecond) // why: synctest's clock
		if log.Count("[uwsgi-daemons] unable to start permission denied") != 2 || log.Count(`[uwsgi-daemons] unable to start "y": nobody to ask`) != 2 {
			t.Errorf("%s", log)
		}
		d.Stop()
	})
}

// TestDaemonForReal runs a shell: its output, its environment, its group, its end.
func TestDaemonForReal(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	log := testlog.New()
	d := StartDaemons([]option.Daemon{{Command: `trap 'echo bye; exit 0' TERM; echo "$X $(pwd)"; echo up > ` + fifo + `; sleep 1000 & wait`, Chdir: "/"}},
		Env{Print: log.Add, Timed: log.Add, Stderr: f, Environ: []string{"X=hello", "PATH=/usr/bin:/bin"}})
	up, err := os.ReadFile(fifo) // waits until it runs
	if err != nil || string(up) != "up\n" {
		t.Fatal(string(up), err)
	}
	pid := d.Stats()[0].PID
	d.Stop()
	log.Wait(`[uwsgi-daemons] spawning "trap 'echo bye; exit 0' TERM; echo "$X $(pwd)";`) // as it is written, its quotation marks too
	b, err := os.ReadFile(out)
	if err != nil || string(b) != "hello /\nbye\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := syscall.Kill(-pid, 0); err == nil {
		// sleep got the signal too: it may still be a zombie of init for a moment, never running.
		if s, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); len(s) > 0 {
			t.Errorf("the daemon lives: %s", s)
		}
	}
}

func TestEnding(t *testing.T) {
	s := NewSpawner()
	defer s.Close()
	for shell, want := range map[string]string{"exit 0": "exited with status 0", "exit 3": "exited with status 3",
		"kill -9 $$": "killed by signal 9"} {
		p, err := s.Start(Command{Shell: shell, Group: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Wait(); got != want {
			t.Errorf("%s: %s", shell, got)
		}
		if err := p.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) { // the number may be another's
			t.Errorf("signalled what was waited for: %v", err)
		}
	}
	if _, err := s.Start(Command{Shell: "true", Dir: "/no/such/dir"}); err == nil {
		t.Error("no error")
	}
}
