package supervisor

import (
	"crypto/rand"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

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

// MuleMessage puts a message into the queue of a mule, 0 = that of all mules
// (internal/python/uwsgi_mule.py).
func (s *Supervisor) MuleMessage(n int, message string) error {
	err := errors.New("the instance has ended")
	s.call(func() { err = s.queues.send(n, message) })
	return err
}

// inlineMessage is the longest message that travels in its packet.
const inlineMessage = 32 << 10

func (m *muleQueues) send(n int, message string) error {
	name := "shared"
	if n > 0 {
		name = fmt.Sprintf("mule %d", n)
	}
	ends, ok := m.ends[name]
	if !ok {
		return fmt.Errorf("there is no mule %d", n)
	}
	if len(message) > inlineMessage {
		return fmt.Errorf("a message of %d bytes is too long for a mule", len(message))
	}
	packet := make([]byte, 16, 16+len(message))
	rand.Read(packet) // its identity
	packet = append(packet, message...)
	raw, err := ends[0].SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := raw.Control(func(fd uintptr) {
		serr = unix.Sendto(int(fd), packet, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	}); err != nil {
		return err
	}
	if serr == unix.EAGAIN || serr == unix.ENOBUFS {
		return fmt.Errorf("the queue of messages (%s) is full", name)
	}
	return serr
}
