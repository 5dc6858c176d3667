package loader

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// process is a child or grandchild that is watched and signalled through its pidfd, so never
// mistaken for another of the same number.
type process struct {
	pid   int
	pidfd *os.File // non-blocking, polled by the runtime; nil = it had ended, and was reaped, before we could open it
	raw   syscall.RawConn
}

func newProcess(pid int, pidfd *os.File) (*process, error) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		pidfd.Close()
		return nil, fmt.Errorf("pidfd of %d: %w", pid, err)
	}
	return &process{pid: pid, pidfd: pidfd, raw: raw}, nil
}

// openProcess makes the pidfd here, for a process that cannot have been reaped yet.
func openProcess(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, unix.O_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	return newProcess(pid, os.NewFile(uintptr(fd), fmt.Sprintf("pidfd of %d", pid)))
}

// endedProcess is one that had ended, and was reaped, before we could open it.
func endedProcess(pid int) *process { return &process{pid: pid} }

// wait returns once the process has ended, or with an error once close was called.
func (p *process) wait() error {
	if p.raw == nil {
		return nil
	}
	return p.raw.Read(func(fd uintptr) bool {
		return readable(fd)
	})
}

// ended reports whether the process has ended, reaped or not.
func (p *process) ended() bool {
	over := true
	if p.raw != nil {
		p.raw.Control(func(fd uintptr) { over = readable(fd) })
	}
	return over
}

// reaped reports whether the process has ended and its number may be another's.
func (p *process) reaped() bool {
	var err error = unix.ESRCH
	if p.raw != nil {
		p.raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), 0, nil, 0) })
	}
	return err == unix.ESRCH
}

func readable(fd uintptr) bool {
	set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(set, 0)
	return err == nil && n == 1
}

// reap takes the status of a process that has ended and is our child, by birth or because its
// parent died.
func (p *process) reap() Exit {
	if p.raw == nil {
		return Exit{}
	}
	var info childInfo
	var err error
	cerr := p.raw.Control(func(fd uintptr) {
		for {
			err = unix.Waitid(unix.P_PIDFD, int(fd), (*unix.Siginfo)(unsafe.Pointer(&info)),
				unix.WEXITED|unix.WNOHANG, nil)
			if err != unix.EINTR {
				return
			}
		}
	})
	if cerr != nil || err != nil || info.pid == 0 {
		return Exit{}
	}
	return Exit{Known: true, Status: info.waitStatus()}
}

// signal sends sig; a process that has ended is no error.
func (p *process) signal(sig syscall.Signal) error {
	if p.raw == nil {
		return nil
	}
	var err error
	if cerr := p.raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); cerr != nil {
		return nil // closed: it has ended and was reaped
	}
	if err != nil && err != unix.ESRCH {
		return fmt.Errorf("send signal %d to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// enlisted are all loaders and workers that have not been reported as gone.
var enlisted sync.Map // *process → nil

// KillAll ends every loader and every worker of this program at once, from any goroutine: the last
// thing that is done for them.
func KillAll() {
	enlisted.Range(func(p, _ any) bool {
		p.(*process).signal(syscall.SIGKILL)
		return true
	})
}

func (p *process) enlist() { enlisted.Store(p, nil) }

func (p *process) close() {
	enlisted.Delete(p)
	if p.pidfd != nil {
		p.pidfd.Close()
	}
}

// childInfo is the kernel's siginfo_t as waitid fills it.
type childInfo struct {
	signo, errno, code int32
	_                  [unsafe.Sizeof(uintptr(0))/4 - 1]int32 // the union is aligned like a pointer
	pid                int32
	uid                uint32
	status             int32
	_                  [128]byte
}

// Values of si_code for SIGCHLD.
const (
	cldExited = 1
	cldDumped = 3
)

// waitStatus is the same report in the form of wait4.
func (i *childInfo) waitStatus() unix.WaitStatus {
	switch i.code {
	case cldExited:
		return unix.WaitStatus(uint32(i.status&0xff) << 8)
	case cldDumped:
		return unix.WaitStatus(uint32(i.status&0x7f) | 0x80)
	}
	return unix.WaitStatus(uint32(i.status & 0x7f))
}

// knowsDump reports whether it has a handler for the dump signal, which would else end it.
func (p *process) knowsDump() bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return false // it has ended
	}
	for line := range strings.Lines(string(status)) {
		if set, ok := strings.CutPrefix(line, "SigCgt:"); ok {
			caught, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			return err == nil && caught&(1<<(DumpSignal-1)) != 0
		}
	}
	return false
}
