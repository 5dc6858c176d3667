package emperor

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/listen"
)

// processes is the runner whose vassals are children.
type processes struct {
	Config
	results chan<- result
	start   chan *startRequest
	quit    chan struct{}

	list map[string]*child // by name
	gone map[string]*child // by name: those told to stop, which may still be at it
	all  sync.WaitGroup
}

// child is one vassal's goroutine, and what it is told.
type child struct {
	orders chan change  // the last one only: see tell
	pid    atomic.Int64 // 0 = it does not run
	ended  chan struct{}
}

// tell leaves an order for serve, in place of one that it has not come to yet: whoever gives orders
// never waits, however long a hook or the end of a process takes. Only one goroutine may call it.
func (k *child) tell(c change) {
	select {
	case <-k.orders:
	default:
	}
	k.orders <- c
}

type startRequest struct {
	cmd  *exec.Cmd
	done chan error
}

func newProcesses(c Config, results chan<- result) *processes {
	p := &processes{Config: c, results: results, list: map[string]*child{}, gone: map[string]*child{},
		start: make(chan *startRequest), quit: make(chan struct{})}
	crash.Go(p.starter)
	return p
}

// starter starts every child from one thread that lives as long as the emperor: their parent-death
// signal is that thread's.
func (p *processes) starter() {
	runtime.LockOSThread()
	for {
		select {
		case r := <-p.start:
			r.done <- r.cmd.Start()
		case <-p.quit:
			return
		}
	}
}

func (p *processes) apply(batch []change) {
	maps.DeleteFunc(p.gone, func(_ string, k *child) bool {
		select {
		case <-k.ended:
			return true
		default:
			return false
		}
	})
	for _, c := range batch {
		k := p.list[c.name]
		if k == nil {
			if c.op == stop {
				continue
			}
			k = &child{orders: make(chan change, 1), ended: make(chan struct{})}
			p.list[c.name] = k
			before := p.gone[c.name]
			p.all.Go(crash.Guarded(func() {
				defer close(k.ended)
				if before != nil { // it holds the sockets, and ends in its own time
					<-before.ended
				}
				p.serve(k)
			}))
		}
		k.tell(c)
		if c.op == stop {
			delete(p.list, c.name)
			p.gone[c.name] = k
		}
	}
}

// sweep has nothing to do: children end with the emperor.
func (p *processes) sweep(map[string]vassal) {}

func (p *processes) pids() map[string]int {
	out := map[string]int{}
	for name, k := range p.list {
		out[name] = int(k.pid.Load())
	}
	return out
}

func (p *processes) leave() {
	for _, k := range p.list {
		k.tell(change{op: stop})
	}
	p.all.Wait()
	close(p.quit)
}

// serve keeps one vassal running until it is told to stop.
func (p *processes) serve(k *child) {
	e := &p.Settings.Emperor
	var v vassal
	var cmd *exec.Cmd
	var exited chan error
	var again <-chan time.Time
	pause := e.Throttle
	var born time.Time
	begin := func() {
		var err error
		if cmd, err = p.spawn(v); err != nil {
			p.results <- result{change{start, v}, err}
			cmd, again = nil, time.After(pause)
			pause = p.longer(pause)
			return
		}
		born, again = time.Now(), nil
		k.pid.Store(int64(cmd.Process.Pid))
		exited = make(chan error, 1)
		c, ended := cmd, exited
		crash.Go(func() { ended <- c.Wait() })
		p.results <- result{change{start, v}, nil}
	}
	for {
		select {
		case o := <-k.orders:
			if o.op == stop {
				if cmd != nil {
					p.end(cmd, exited)
				}
				if v.name != "" {
					p.results <- result{change{stop, v}, hook(context.Background(), e.StopHook, v)}
				}
				return
			}
			v = o.vassal
			if cmd != nil {
				p.results <- result{o, cmd.Process.Signal(syscall.SIGHUP)}
				continue
			}
			pause = e.Throttle
			begin()
		case err := <-exited:
			cmd, exited = nil, nil
			k.pid.Store(0)
			if err == nil {
				p.Log(slog.LevelInfo, "emperor.exit",
					"[emperor] vassal "+v.id+" has ended; touch its file to have it started again")
				continue
			}
			if time.Since(born) > time.Minute {
				pause = e.Throttle
			}
			p.Log(slog.LevelError, "emperor.died",
				fmt.Sprintf("[emperor] vassal %s died (%v), started again in %v", v.id, err, pause))
			again = time.After(pause)
			pause = p.longer(pause)
		case <-again:
			begin()
		}
	}
}

func (p *processes) longer(pause time.Duration) time.Duration {
	if p.Settings.Emperor.NoBlacklist {
		return pause
	}
	return min(max(2*pause, time.Second), max(p.Settings.Emperor.MaxThrottle, time.Second))
}

// spawn starts a vassal's process.
func (p *processes) spawn(v vassal) (*exec.Cmd, error) {
	e := &p.Settings.Emperor
	if err := hook(context.Background(), e.StartHook, v); err != nil {
		return nil, err
	}
	cmd := exec.Command(p.Binary, v.arguments(e)...)
	cmd.Env, cmd.Dir = slices.Concat(p.Environ, v.environ()), v.dir
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	var err error
	if cmd.SysProcAttr.Credential, err = p.credential(v); err != nil {
		return nil, err
	}
	r := &startRequest{cmd: cmd, done: make(chan error)}
	p.start <- r
	return cmd, <-r.done
}

// credential is who a vassal's process runs as.
func (p *processes) credential(v vassal) (*syscall.Credential, error) {
	if v.judge != byItself {
		return v.credential()
	}
	id, err := listen.Lookup(p.Settings.UID, p.Settings.GID, p.Settings.AddGIDs, p.Settings.NoInitgroups)
	if err != nil {
		return nil, err
	}
	return id.Credential, nil
}

// end stops a child: in its own time, then at once.
func (p *processes) end(cmd *exec.Cmd, exited <-chan error) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-exited:
	case <-time.After(max(p.Settings.Emperor.CurseTolerance, time.Second)):
		_ = cmd.Process.Kill()
		<-exited
	}
}
