package control

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// instance is a process that these commands look at and signal.
type instance interface {
	pid() int
	comm() string        // name of its program, "" if unknown
	uid() (uint32, bool) // the user it acts as; false where /proc hides it
	signal(sig syscall.Signal) error
	close()
}

// handle is a process that stays the same one from the first look to the signal: pidfd_open(2).
type handle struct {
	id int
	fd int // -1 where the kernel or a sandbox has no pidfds
}

func openProcess(pid int) (instance, error) {
	h := handle{id: pid, fd: -1}
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case err == nil:
		h.fd = fd
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
			return nil, err
		}
	case errors.Is(err, unix.EINVAL):
		return nil, syscall.ESRCH // a thread's id, or one that no process can have
	default:
		return nil, err
	}
	return h, nil
}

func (h handle) pid() int { return h.id }

func (h handle) uid() (uint32, bool) {
	s, ok := standingOf(h.id)
	return s.uid, ok
}

func (h handle) comm() string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(h.id) + "/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (h handle) signal(sig syscall.Signal) error {
	if h.fd < 0 {
		return syscall.Kill(h.id, sig)
	}
	return unix.PidfdSendSignal(h.fd, sig, nil, 0)
}

func (h handle) close() {
	if h.fd >= 0 {
		unix.Close(h.fd)
	}
}
