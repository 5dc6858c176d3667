package attached

import (
	"fmt"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/pidfile"
)

// smart stays with a program that a pidfile names: one that runs already is adopted, else it is
// started. It ends when the program is gone and has to be started again (false), or when the daemon
// is stopped (true): the program runs on then.
func (k *daemon) smart(first bool) bool {
	pid := k.pidfileAlive()
	if pid != 0 {
		k.env.Print(fmt.Sprintf("[uwsgi-daemons] found valid/active pidfile for \"%s\" (pid: %d)", k.Command, pid))
	} else if err := k.startSmart(first); err != nil {
		k.env.Print(fmt.Sprintf("[uwsgi-daemons] unable to start %v", err))
		return k.wait()
	}
	freq := k.Freq
	if freq <= 0 {
		freq = smartFreq
	}
	touched := k.watch()
	seen, failed := pid != 0, 0
	for {
		switch pid := k.pidfileAlive(); {
		case pid != 0:
			seen, failed = true, 0
			if k.stat().PID != pid {
				k.set(pid)
			}
		case seen: // it was there and is gone
			k.set(0)
			return k.stopped()
		default:
			if failed++; failed >= freq {
				k.env.Print(fmt.Sprintf("[uwsgi-daemons] found changed pidfile for \"%s\": no process after %d checks",
					k.Command, failed))
				return k.stopped()
			}
		}
		if afterOr(k.stop, checkEvery) {
			return true
		}
		touched.Poll()
	}
}

// startSmart starts the program: with Daemonize it stays in the foreground and the pidfile is
// written here, else it goes to the background by itself and writes it.
func (k *daemon) startSmart(first bool) error {
	p, err := k.launch(first, false)
	if err != nil {
		return err
	}
	if k.Daemonize {
		if err := pidfile.Write(option.PathIn(k.env.Dir, k.Pidfile), p.PID()); err != nil {
			k.env.Print("[uwsgi-daemons] " + err.Error())
		}
		crash.Go(func() { p.Wait() })
		return nil
	}
	ended := make(chan struct{})
	crash.Go(func() {
		defer close(ended)
		p.Wait()
	})
	select {
	case <-ended:
	case <-k.stop:
	case <-time.After(time.Minute): // it stays in the foreground after all; the pidfile decides
	}
	return nil
}

// pidfileAlive is the process that the pidfile names, 0 if there is none.
func (k *daemon) pidfileAlive() int {
	pid, err := pidfile.Read(option.PathIn(k.env.Dir, k.Pidfile))
	if err != nil || !k.env.alive(pid) {
		return 0
	}
	return pid
}
