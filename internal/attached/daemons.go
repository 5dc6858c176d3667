// Package attached runs programs beside the application: attached daemons, which it keeps running,
// and timed commands. Each has a goroutine, and none of them can hold the supervisor's loop up.
package attached

import (
	"os"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/schedule"
	"uwsgi/internal/stats"
)

// Env is the world around attached daemons and timed commands.
type Env struct {
	Credential *syscall.Credential // whom they run as; nil = this user
	Environ    []string            // nil = this process's
	Dir        string              // "" = this process's
	Stderr     *os.File            // stdout and stderr of theirs; nil = this process's
	Mercy      time.Duration       // reload-mercy: from the stop signal to SIGKILL; 0 = 3 s
	// Lease says which of several instances runs what is unique among them; nil = there is one.
	Lease       schedule.Lease
	HonourStdin bool                // daemons-honour-stdin
	Print       func(string)        // a line to the log
	Timed       func(string)        // a dated line
	Stop        func(reason string) // attach-control-daemon: its end stops the instance
	Look        func()              // a timed command may be due that the clock does not tell of
	// Lookup finds the identity of uid= and gid= of attach-daemon2.
	Lookup func(uid, gid string) (*syscall.Credential, error)
	// StartAs starts one with such an identity, where this process may not; nil = it may.
	StartAs func(Command) (Process, error)

	start func(Command) (Process, error) // nil = the operating system; tests
	alive func(pid int) bool
}

func (e *Env) fill() {
	if e.Mercy <= 0 {
		e.Mercy = 3 * time.Second
	}
	if e.alive == nil {
		e.alive = func(pid int) bool { return syscall.Kill(pid, 0) == nil }
	}
	if e.Look == nil {
		e.Look = func() {}
	}
	if e.Stop == nil {
		e.Stop = func(string) {}
	}
}

// Daemons runs programs beside the application and keeps them running: attach-daemon and its
// relatives. They die with this process, but for the smart ones, which a pidfile finds again after
// a reload and after a stop.
type Daemons struct {
	spawn *Spawner

	mu   sync.Mutex // guards what follows
	env  *Env       // of daemons to come
	list []*daemon
}

// StartDaemons starts every daemon of the list; it returns at once.
func StartDaemons(list []option.Daemon, env Env) *Daemons {
	env.fill()
	d := &Daemons{env: &env}
	if env.start == nil {
		d.spawn = NewSpawner()
		env.start = d.spawn.Start
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range list {
		d.list = append(d.list, d.begin(o))
	}
	return d
}

func (d *Daemons) begin(o option.Daemon) *daemon {
	k := &daemon{Daemon: o, env: d.env, stop: make(chan struct{}), done: make(chan struct{})}
	crash.Go(k.run)
	return k
}

// Reload goes over to a new configuration, and returns when what had to stop has: a smart daemon
// that stays in the list is left alone, one with a reload signal gets it, every other one is
// stopped and started again, in the world of the new configuration.
func (d *Daemons) Reload(list []option.Daemon, env Env) {
	d.mu.Lock()
	defer d.mu.Unlock()
	env.start, env.alive = d.env.start, d.env.alive
	env.fill()
	d.env = &env
	kept := map[*daemon]bool{}
	next := make([]*daemon, len(list))
	for i, o := range list {
		j := slices.IndexFunc(d.list, func(k *daemon) bool {
			return !kept[k] && same(k.Daemon, o) && (o.Pidfile != "" || o.ReloadSignal > 0)
		})
		if j < 0 {
			continue
		}
		next[i] = d.list[j]
		kept[d.list[j]] = true
		if o.ReloadSignal > 0 {
			d.list[j].signal(syscall.Signal(o.ReloadSignal))
		}
	}
	halt(slices.DeleteFunc(slices.Clone(d.list), func(k *daemon) bool { return kept[k] }))
	for i, o := range list {
		if next[i] == nil {
			next[i] = d.begin(o)
		}
	}
	d.list = next
}

// Stop stops every daemon but the smart ones and waits for them: their stop signal each second,
// SIGKILL after the mercy.
func (d *Daemons) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	halt(d.list)
	d.list = nil
	if d.spawn != nil {
		d.spawn.Close()
	}
}

func halt(list []*daemon) {
	for _, k := range list {
		close(k.stop)
	}
	for _, k := range list {
		<-k.done
	}
}

// Stats describes every daemon.
func (d *Daemons) Stats() []stats.Daemon {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []stats.Daemon
	for _, k := range d.list {
		out = append(out, k.stat())
	}
	return out
}

// same reports whether two configurations ask for the same daemon.
func same(a, b option.Daemon) bool {
	a.Origin, b.Origin = option.Origin{}, option.Origin{}
	return reflect.DeepEqual(a, b)
}
