package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"uwsgi/internal/escape"
	"uwsgi/internal/pidfile"
)

// SignalError is a process that could not be signalled; uWSGI exits with 255 then.
type SignalError struct{ Err error }

func (e *SignalError) Error() string {
	errno, rest := syscall.Errno(0), e.Err.Error()
	if errors.As(e.Err, &errno) { // the C library's words first, as uWSGI prints them
		rest = sentence(errno) + strings.TrimSuffix(": "+strings.TrimSuffix(rest, errno.Error()), ": ")
	}
	return "signal_pidfile()/kill(): " + rest
}

func (e *SignalError) Unwrap() error { return e.Err }

// client is the operating system as these commands see it.
type client struct {
	open func(pid int) (instance, error)
}

var system = client{open: openProcess}

// Reload reloads the instance that a pidfile, or a number, names, waits for the outcome and tells
// it on out. An instance without a control socket (uWSGI itself) gets SIGHUP, and nothing is known
// of what comes of it.
func Reload(target string, out io.Writer) error { return system.reload(target, out) }

func (c client) reload(target string, out io.Writer) error {
	p, err := c.find(target)
	if err != nil {
		return err
	}
	defer p.close()
	answer, err := Ask(context.Background(), p.pid(), Request{Command: "reload"})
	switch {
	case errors.Is(err, ErrNoControl):
		return signal(p, target, syscall.SIGHUP)
	case err != nil:
		return err
	case !answer.OK:
		return fmt.Errorf("reload failed: %s", escape.Lines(answer.Message))
	}
	if answer.Message != "" {
		fmt.Fprintln(out, escape.Lines(answer.Message))
	}
	return nil
}

// Stop sends SIGINT to the instance that a pidfile, or a number, names.
func Stop(target string, _ io.Writer) error { return system.send(target, syscall.SIGINT) }

// Pause pauses the instance that a pidfile, or a number, names, or resumes it: --pause, --suspend
// and --resume are one command.
func Pause(target string) error { return system.send(target, syscall.SIGTSTP) }

func (c client) send(target string, sig syscall.Signal) error {
	p, err := c.find(target)
	if err != nil {
		return err
	}
	defer p.close()
	return signal(p, target, sig)
}

// signal makes sure that the process is an instance before it is signalled: the number in an old
// pidfile may be another program's by now.
func signal(p instance, target string, sig syscall.Signal) error {
	if !ControlExists(p.pid()) {
		if name := p.comm(); !strings.Contains(strings.ToLower(name), "uwsgi") && (name != "" || p.pid() == 1) {
			return &SignalError{fmt.Errorf("%s is %s, no instance%s", named(target, p.pid()), escape.String(name),
				outOfDate(target))}
		}
	}
	if err := p.signal(sig); err != nil {
		return &SignalError{err}
	}
	return nil
}

// named is a process as the caller named it.
func named(target string, pid int) string {
	if isPIDFile(target) {
		return fmt.Sprintf("process %d of %s", pid, target)
	}
	return fmt.Sprintf("process %d", pid)
}

// outOfDate is what to say of a target that names no instance any more.
func outOfDate(target string) string {
	if isPIDFile(target) {
		return ": the pidfile is out of date"
	}
	return ""
}

func isPIDFile(target string) bool {
	_, err := strconv.Atoi(target)
	return err != nil
}

// find opens the process that target is or names. A pidfile names its owner's processes and root's
// any: else whoever may write one could have root, who only meant that instance, stop another's.
func (c client) find(target string) (instance, error) {
	pid, err := strconv.Atoi(target)
	owner := uint32(0)
	if err != nil {
		if pid, owner, err = pidfile.ReadOwned(target); err != nil {
			if errors.Is(err, fs.ErrNotExist) && !strings.Contains(target, "/") {
				err = fmt.Errorf("%w (give the path of a pidfile, or a process id: uwsgi list tells them; "+
					"a unit is systemctl's)", err)
			}
			return nil, err
		}
	}
	if pid < 1 {
		return nil, fmt.Errorf("%s: %d is not the process id of an instance", target, pid)
	}
	p, err := c.open(pid)
	if errors.Is(err, syscall.ESRCH) {
		err = fmt.Errorf("%s has ended%s: %w", named(target, pid), outOfDate(target), syscall.ESRCH)
	}
	if err != nil {
		return nil, &SignalError{err}
	}
	if uid, ok := p.uid(); ok && owner != 0 && owner != uid {
		p.close()
		return nil, fmt.Errorf("pidfile %s belongs to user %d and names process %d of user %d: "+
			"give the number in place of the file if that is what you mean", target, owner, pid, uid)
	}
	return p, nil
}

// ConnectAndRead copies what arrives at an address (HOST:PORT, a path, @abstract) to out until its
// end, escaped but for newlines and tabs: --connect-and-read.
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
	text := &printable{w: out}
	if _, err := io.Copy(text, conn); err != nil {
		return fmt.Errorf("connect-and-read = %s: %w", address, err)
	}
	return text.flush()
}

// printable passes on what a terminal may be shown.
type printable struct {
	w    io.Writer
	part []byte // of a character whose end has not come
}

func (p *printable) Write(b []byte) (int, error) {
	text := append(p.part, b...)
	whole := len(text)
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				whole = i
			}
			break
		}
	}
	p.part = slices.Clone(text[whole:])
	return len(b), p.put(text[:whole])
}

func (p *printable) flush() error { return p.put(p.part) }

func (p *printable) put(text []byte) error {
	var out []byte
	for len(text) > 0 {
		n := bytes.IndexAny(text, "\n\t")
		if n < 0 {
			out = escape.Append(out, text)
			break
		}
		out = append(escape.Append(out, text[:n]), text[n])
		text = text[n+1:]
	}
	_, err := p.w.Write(out)
	return err
}

// sentence spells an errno as the C library does: with a capital.
func sentence(errno syscall.Errno) string {
	t := errno.Error()
	return strings.ToUpper(t[:1]) + t[1:]
}
