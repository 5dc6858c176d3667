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
func (d *daemon) smart(first bool) bool {
	touched := d.watch() // from here on: who is told that it runs may touch the file at once
	pid := d.pidfileAlive()
	if pid != 0 {
		d.env.Print(fmt.Sprintf("[uwsgi-daemons] found valid/active pidfile for \"%s\" (pid: %d)", d.Command, pid))
	} else if err := d.startSmart(first); err != nil {
		d.env.Print(fmt.Sprintf("[uwsgi-daemons] unable to start %v", err))
		return d.wait()
	}
	freq := d.Freq
	if freq <= 0 {
		freq = smartFreq
	}
	seen, failed := pid != 0, 0
	for {
		switch pid := d.pidfileAlive(); {
		case pid != 0:
			seen, failed = true, 0
			if d.stat().PID != pid {
				d.set(pid, nil)
			}
		case seen: // it was there and is gone
			d.set(0, nil)
			return d.stopped()
		default:
			if failed++; failed >= freq {
				d.env.Print(fmt.Sprintf("[uwsgi-daemons] found changed pidfile for \"%s\": no process after %d checks",
					d.Command, failed))
				return d.stopped()
			}
		}
		if afterOr(d.stop, checkEvery) {
			return true
		}
		touched.Poll()
	}
}

// startSmart starts the program: with Daemonize it stays in the foreground and the pidfile is
// written here, else it goes to the background by itself and writes it.
func (d *daemon) startSmart(first bool) error {
	p, err := d.launch(first, false)
	if err != nil {
		return err
	}
	if d.Daemonize {
		if err := pidfile.Write(option.PathIn(d.env.Dir, d.Pidfile), p.PID()); err != nil {
			d.env.Print("[uwsgi-daemons] " + err.Error())
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
	case <-d.stop:
	case <-time.After(time.Minute): // it stays in the foreground after all; the pidfile decides
	}
	return nil
}

// pidfileAlive is the process that the pidfile names, 0 if there is none.
func (d *daemon) pidfileAlive() int {
	pid, err := pidfile.Read(option.PathIn(d.env.Dir, d.Pidfile))
	if err != nil || !d.env.alive(pid) {
		return 0
	}
	return pid
}
