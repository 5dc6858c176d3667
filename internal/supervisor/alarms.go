package supervisor

import (
	"errors"
	"fmt"
	"syscall"

	"uwsgi/internal/loader"
)

// alarm raises alarms of this configuration.
func (c *Config) alarm(names []string, text string) {
	if c.Alarm == nil {
		return
	}
	for _, name := range names {
		c.Alarm(name, text)
	}
}

// crashAlarm tells of a process that a fault of its own has ended.
func (c *Config) crashAlarm(what string, pid int, exit loader.Exit) {
	switch sig := exit.Signal(); sig {
	case syscall.SIGSEGV:
		c.alarm(c.Settings.AlarmSegfault, fmt.Sprintf("!!! uWSGI process %d got Segmentation Fault !!! (%s)", pid,
			what))
	case syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGABRT:
		c.alarm(c.Settings.AlarmSegfault, fmt.Sprintf("!!! uWSGI process %d was ended by signal %d (%v) !!! (%s)", pid,
			int(sig), sig, what))
	}
}

// RaiseSignal raises one of uWSGI's signals in the generation in force.
func (s *Supervisor) RaiseSignal(n int) error {
	err := errors.New("the instance has ended")
	s.call(func() {
		if s.gen == nil || s.gen.signals == nil {
			err = fmt.Errorf("nobody has registered signal %d", n)
			return
		}
		err = nil
		s.raise(s.gen, n, false)
		s.tickSchedule()
	})
	return err
}
