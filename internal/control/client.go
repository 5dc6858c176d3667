package control

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// SignalError is a process that could not be signalled; uWSGI exits with 255 then.
type SignalError struct{ Err error }

func (e *SignalError) Error() string { return "signal_pidfile()/kill(): " + sentence(e.Err) }

func (e *SignalError) Unwrap() error { return e.Err }

// client is the operating system as these commands see it.
type client struct {
	kill func(pid int, sig syscall.Signal) error
	comm func(pid int) string // name of the process's program, "" if unknown
}

var system = client{
	kill: syscall.Kill,
	comm: func(pid int) string {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	},
}

// Reload reloads the instance that a pidfile, or a number, names, waits for the outcome and tells it on out. An instance without a control socket
// (uWSGI itself) gets SIGHUP, and nothing is known of what comes of it.
func Reload(target string, out io.Writer) error { return system.reload(target, out) }

func (c client) reload(target string, out io.Writer) error {
	pid, err := c.find(target)
	if err != nil {
		return err
	}
	answer, err := Ask(pid, Request{Command: "reload"})
	switch {
	case errors.Is(err, ErrNoControl):
		return c.signal(pid, target, syscall.SIGHUP)
	case err != nil:
		return err
	case !answer.OK:
		return fmt.Errorf("reload failed: %s", answer.Message)
	}
	if answer.Message != "" {
		fmt.Fprintln(out, answer.Message)
	}
	return nil
}

// Stop sends SIGINT to the instance that a pidfile, or a number, names.
func Stop(target string, _ io.Writer) error { return system.send(target, syscall.SIGINT) }

// Pause pauses the instance that a pidfile, or a number, names, or resumes it: --pause, --suspend and --resume are one command.
func Pause(target string) error { return system.send(target, syscall.SIGTSTP) }

func (c client) send(target string, sig syscall.Signal) error {
	pid, err := c.find(target)
	if err != nil {
		return err
	}
	return c.signal(pid, target, sig)
}

// signal makes sure that the process is an instance before it is signalled: the number in an old pidfile may be another program's by now.
func (c client) signal(pid int, target string, sig syscall.Signal) error {
	if !ControlExists(pid) {
		if name := c.comm(pid); name != "" && !strings.Contains(strings.ToLower(name), "uwsgi") {
			return &SignalError{fmt.Errorf("%s names process %d, which is %s: the pidfile is out of date", target, pid, name)}
		}
	}
	if err := c.kill(pid, sig); err != nil {
		return &SignalError{err}
	}
	return nil
}

// find reads the process id that target is or holds, and makes sure that the process exists.
func (c client) find(target string) (int, error) {
	pid, err := strconv.Atoi(target)
	if err != nil {
		if pid, err = ReadPidfile(target); err != nil {
			return 0, err
		}
	}
	if pid <= 1 {
		return 0, fmt.Errorf("%s: %d is not the process id of an instance", target, pid)
	}
	if err := c.kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return 0, &SignalError{err}
	}
	return pid, nil
}

// ConnectAndRead copies what arrives at an address (HOST:PORT, a path, @abstract) to out until its end: --connect-and-read.
func ConnectAndRead(address string, out io.Writer) error {
	network := "unix"
	if strings.Contains(address, ":") && !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		network = "tcp"
	}
	conn, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		return fmt.Errorf("connect-and-read = %s: %w", address, err)
	}
	defer conn.Close()
	if _, err := io.Copy(out, conn); err != nil {
		return fmt.Errorf("connect-and-read = %s: %w", address, err)
	}
	return nil
}

// sentence spells an errno as the C library does: with a capital.
func sentence(err error) string {
	t := err.Error()
	if t != "" && t[0] >= 'a' && t[0] <= 'z' {
		t = string(t[0]-'a'+'A') + t[1:]
	}
	return t
}
