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

	mu    sync.Mutex
	pid   int // 0 = down
	count int // starts

	throttle int // seconds
}

func (k *daemon) stat() stats.Daemon {
	k.mu.Lock()
	defer k.mu.Unlock()
	return stats.Daemon{Command: k.Command, PID: k.pid, Respawns: max(0, k.count-1)}
}

func (k *daemon) set(pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pid = pid
	if pid != 0 {
		k.count++
	}
}

// signal sends a signal to the daemon's group, if it runs.
func (k *daemon) signal(sig syscall.Signal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pid > 1 {
		if syscall.Kill(-k.pid, sig) != nil {
			_ = syscall.Kill(k.pid, sig)
		}
	}
}

func (k *daemon) run() {
	defer close(k.done)
	for first := true; ; first = false {
		var ended bool
		if k.Pidfile != "" {
			ended = k.smart(first)
		} else {
			ended = k.attached(first)
		}
		if ended {
			return
		}
	}
}

// attached starts the program once and stays with it to its end. It returns true when the daemon is
// not to be started again.
func (k *daemon) attached(first bool) bool {
	began := time.Now()
	p, err := k.launch(first, true)
	if err != nil {
		k.env.Print(fmt.Sprintf("[uwsgi-daemons] unable to start %v", err))
		return k.wait()
	}
	k.set(p.PID())
	exited := make(chan string, 1)
	crash.Go(func() { exited <- p.Wait() })
	touched := k.watch()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case how := <-exited:
			k.set(0)
			if k.Control {
				k.env.Print(fmt.Sprintf("[uwsgi-daemons] control daemon \"%s\" (pid: %d) %s: stopping the instance",
					k.Command, p.PID(), how))
				k.env.Stop("attach-control-daemon")
				<-k.stop
				return true
			}
			if time.Since(began) > quickDeath {
				k.throttle = 0
				return k.stopped()
			}
			return k.wait()
		case <-tick.C:
			touched.Poll()
		case <-k.stop:
			k.end(p, exited)
			return true
		}
	}
}

// end stops the program: its signal once a second, SIGKILL after the mercy.
func (k *daemon) end(p Process, exited <-chan string) {
	sig := syscall.SIGTERM
	if k.StopSignal > 0 {
		sig = syscall.Signal(k.StopSignal)
	}
	mercy := time.NewTimer(k.env.Mercy)
	defer mercy.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	k.env.Print(fmt.Sprintf("[uwsgi-daemons] stopping daemon (pid: %d): %s", p.PID(), k.Command))
	_ = p.Signal(sig)
	for {
		select {
		case <-exited:
			k.set(0)
			return
		case <-again.C:
			_ = p.Signal(sig)
		case <-mercy.C:
			k.env.Print(fmt.Sprintf("[uwsgi-daemons] daemon did not die in time, killing (pid: %d): %s", p.PID(),
				k.Command))
			_ = p.Signal(syscall.SIGKILL)
		}
	}
}

// wait throttles the next start, a second longer each time; true = stopped meanwhile.
func (k *daemon) wait() bool {
	most := k.MaxThrottle
	if most <= 0 {
		most = maxThrottle
	}
	k.throttle = min(k.throttle+1, most)
	k.env.Print(fmt.Sprintf("[uwsgi-daemons] throttling \"%s\" for %d seconds", k.Command, k.throttle))
	return afterOr(k.stop, time.Duration(k.throttle)*time.Second)
}

func (k *daemon) stopped() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

// launch starts the program; bound: it dies with this process.
func (k *daemon) launch(first, bound bool) (Process, error) {
	verb := "respawning"
	if first {
		verb = "spawning"
	}
	cred, start := k.env.Credential, k.env.start
	if k.UID != "" || k.GID != "" {
		if k.env.Lookup == nil {
			return nil, fmt.Errorf("%q: nobody to ask about uid and gid", k.Command)
		}
		var err error
		if cred, err = k.env.Lookup(k.UID, k.GID); err != nil {
			return nil, err
		}
		if k.env.StartAs != nil && cred != nil {
			start = k.env.StartAs
		}
	}
	uid, gid := syscall.Geteuid(), syscall.Getegid()
	if cred != nil {
		uid, gid = int(cred.Uid), int(cred.Gid)
	}
	k.env.Print(fmt.Sprintf("[uwsgi-daemons] %s \"%s\" (uid: %d gid: %d)", verb, k.Command, uid, gid))
	return start(Command{Shell: k.Command, Dir: option.PathIn(k.env.Dir, k.Chdir), Env: k.env.Environ,
		Stdin: k.Stdin || k.env.HonourStdin, Stderr: k.env.Stderr,
		Credential: cred, Group: true, Free: !bound})
}

// watch watches the daemon's files: a touch makes it reload, or end and be started again.
func (k *daemon) watch() *touch.Watcher {
	t := touch.New(k.env.Dir, k.env.Timed)
	sig := syscall.SIGTERM
	switch {
	case k.ReloadSignal > 0:
		sig = syscall.Signal(k.ReloadSignal)
	case k.StopSignal > 0:
		sig = syscall.Signal(k.StopSignal)
	}
	for _, path := range k.Touch {
		t.Add(path, fmt.Sprintf("*** %s has been touched... reloading daemon \"%s\" !!! ***", path, k.Command),
			func() { k.signal(sig) }, k.env.Print)
	}
	return t
}
