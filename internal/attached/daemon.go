package attached

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/stats"
	"uwsgi/internal/touch"
)

const (
	quickDeath  = 3 * time.Second // a daemon that lived no longer is throttled
	maxThrottle = 180             // seconds, where max_throttle says nothing
	smartFreq   = 10              // failed checks, where freq says nothing
	checkEvery  = time.Second
)

// daemon is one program that is kept running. Its goroutine, run, owns it but for what mu guards.
type daemon struct {
	option.Daemon
	env  *Env
	stop chan struct{} // closed: stop it and end
	done chan struct{} // closed when run has ended

	mu      sync.Mutex
	pid     int     // 0 = down
	process Process // of that id; nil where a pidfile names it
	count   int     // starts

	throttle int // seconds
}

func (d *daemon) stat() stats.Daemon {
	d.mu.Lock()
	defer d.mu.Unlock()
	return stats.Daemon{Command: d.Command, PID: d.pid, Respawns: max(0, d.count-1)}
}

func (d *daemon) set(pid int, p Process) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pid, d.process = pid, p
	if pid != 0 {
		d.count++
	}
}

// signal sends a signal to the daemon's group, if it runs.
func (d *daemon) signal(sig syscall.Signal) {
	d.mu.Lock()
	pid, p := d.pid, d.process
	d.mu.Unlock()
	switch {
	case p != nil:
		_ = p.Signal(sig)
	case pid > 1:
		if syscall.Kill(-pid, sig) != nil {
			_ = syscall.Kill(pid, sig)
		}
	}
}

func (d *daemon) run() {
	defer close(d.done)
	for first := true; ; first = false {
		var ended bool
		if d.Pidfile != "" {
			ended = d.smart(first)
		} else {
			ended = d.attached(first)
		}
		if ended {
			return
		}
	}
}

// attached starts the program once and stays with it to its end. It returns true when the daemon is
// not to be started again.
func (d *daemon) attached(first bool) bool {
	began := time.Now()
	p, err := d.launch(first, true)
	if err != nil {
		d.env.Print(fmt.Sprintf("[uwsgi-daemons] unable to start %v", err))
		return d.wait()
	}
	d.set(p.PID(), p)
	exited := make(chan string, 1)
	crash.Go(func() { exited <- p.Wait() })
	touched := d.watch()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case how := <-exited:
			d.set(0, nil)
			if d.Control {
				d.env.Print(fmt.Sprintf("[uwsgi-daemons] control daemon \"%s\" (pid: %d) %s: stopping the instance",
					d.Command, p.PID(), how))
				d.env.Stop("attach-control-daemon")
				<-d.stop
				return true
			}
			if time.Since(began) > quickDeath {
				d.throttle = 0
				return d.stopped()
			}
			return d.wait()
		case <-tick.C:
			touched.Poll()
		case <-d.stop:
			d.end(p, exited)
			return true
		}
	}
}

// end stops the program: its signal once a second, SIGKILL after the mercy.
func (d *daemon) end(p Process, exited <-chan string) {
	sig := syscall.SIGTERM
	if d.StopSignal > 0 {
		sig = syscall.Signal(d.StopSignal)
	}
	mercy := time.NewTimer(d.env.Mercy)
	defer mercy.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	d.env.Print(fmt.Sprintf("[uwsgi-daemons] stopping daemon (pid: %d): %s", p.PID(), d.Command))
	_ = p.Signal(sig)
	for {
		select {
		case <-exited:
			d.set(0, nil)
			return
		case <-again.C:
			_ = p.Signal(sig)
		case <-mercy.C:
			d.env.Print(fmt.Sprintf("[uwsgi-daemons] daemon did not die in time, killing (pid: %d): %s", p.PID(),
				d.Command))
			_ = p.Signal(syscall.SIGKILL)
		}
	}
}

// wait throttles the next start, a second longer each time; true = stopped meanwhile.
func (d *daemon) wait() bool {
	most := d.MaxThrottle
	if most <= 0 {
		most = maxThrottle
	}
	d.throttle = min(d.throttle+1, most)
	d.env.Print(fmt.Sprintf("[uwsgi-daemons] throttling \"%s\" for %d seconds", d.Command, d.throttle))
	return afterOr(d.stop, time.Duration(d.throttle)*time.Second)
}

func (d *daemon) stopped() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

// launch starts the program; bound: it dies with this process.
func (d *daemon) launch(first, bound bool) (Process, error) {
	verb := "respawning"
	if first {
		verb = "spawning"
	}
	cred, start := d.env.Credential, d.env.start
	if d.UID != "" || d.GID != "" {
		if d.env.Lookup == nil {
			return nil, fmt.Errorf("%q: nobody to ask about uid and gid", d.Command)
		}
		var err error
		if cred, err = d.env.Lookup(d.UID, d.GID); err != nil {
			return nil, err
		}
		if d.env.StartAs != nil && cred != nil {
			start = d.env.StartAs
		}
	}
	uid, gid := syscall.Geteuid(), syscall.Getegid()
	if cred != nil {
		uid, gid = int(cred.Uid), int(cred.Gid)
	}
	d.env.Print(fmt.Sprintf("[uwsgi-daemons] %s \"%s\" (uid: %d gid: %d)", verb, d.Command, uid, gid))
	return start(Command{Shell: d.Command, Dir: option.PathIn(d.env.Dir, d.Chdir), Env: d.env.Environ,
		Stdin: d.Stdin || d.env.HonourStdin, Stderr: d.env.Stderr,
		Credential: cred, Group: true, Free: !bound})
}

// watch watches the daemon's files: a touch makes it reload, or end and be started again.
func (d *daemon) watch() *touch.Watcher {
	t := touch.New(d.env.Dir, d.env.Timed)
	sig := syscall.SIGTERM
	switch {
	case d.ReloadSignal > 0:
		sig = syscall.Signal(d.ReloadSignal)
	case d.StopSignal > 0:
		sig = syscall.Signal(d.StopSignal)
	}
	for _, path := range d.Touch {
		t.Add(path, fmt.Sprintf("*** %s has been touched... reloading daemon \"%s\" !!! ***", path, d.Command),
			func() { d.signal(sig) }, d.env.Print)
	}
	return t
}
