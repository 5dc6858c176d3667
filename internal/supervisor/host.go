package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
	"uwsgi/internal/loader"
	"uwsgi/internal/sys"
)

// Host is the operating system as the supervisor uses it; time is package time, so that synctest
// can hold it.
type Host struct {
	PID       int
	Start     func(loader.Spec) (*loader.Loader, error)
	Subreaper func() error
	Zombies   func() []int // children that have ended and nobody waited for
	Reap      func(pid int)
	Monotonic func() int64 // ns, the clock of the scoreboard
	Memory    func(pid int) (rss, vsz int64, err error)
	Shares    func(pid int) (uss, pss int64, err error)
	// MainThread is how long a process's first thread was on a CPU.
	MainThread func(pid int) (time.Duration, error)
	OOMKills   func() int64 // how often the kernel has killed for want of memory in our cgroup
	// Connection waits until one of the listening sockets has a connection; the end of ctx ends it.
	Connection func(ctx context.Context, listeners []*os.File) error
	Blocked    func(pid int) (syscall, wchan string) // where a process is in the kernel
	Random     func(n int64) int64                   // 0 ≤ r < n
	// Crash makes sure that the process ends soon, after a panic of the loop with that text.
	Crash func(text string)
}

// System is the real one.
func System() *Host {
	return &Host{
		PID:   os.Getpid(),
		Start: loader.Start,
		Subreaper: func() error {
			return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
		},
		Zombies: zombies, Reap: reap, Monotonic: sys.Monotonic, Memory: sys.Memory, Shares: shares,
		MainThread: sys.MainThread,
		OOMKills:   oomCounter(), Connection: connection, Blocked: blocked,
		Random: rand.Int64N, Crash: crash.Deadline,
	}
}

// shares reads how much memory is a process's own, and how much with its share of what it shares.
func shares(pid int) (uss, pss int64, err error) {
	path := "/proc/" + strconv.Itoa(pid) + "/smaps_rollup"
	body, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(body)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read %s: %q: %w", path, line, err)
		}
		switch f[0] {
		case "Pss:":
			pss = n << 10
		case "Private_Clean:", "Private_Dirty:", "Private_Hugetlb:":
			uss += n << 10
		}
	}
	return uss, pss, nil
}

func blocked(pid int) (string, string) {
	read := func(name string) string {
		body, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
		if err != nil {
			return "unknown (" + err.Error() + ")"
		}
		return string(bytes.TrimSpace(body))
	}
	return read("syscall"), read("wchan")
}

// connection polls the sockets in a thread of its own: handing them to the runtime's poller would
// change their mode for the workers.
func connection(ctx context.Context, listeners []*os.File) error {
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	defer unix.Close(stop)
	woken := make(chan struct{})
	unregister := context.AfterFunc(ctx, crash.Guarded(func() {
		defer close(woken)
		unix.Write(stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}))
	defer func() {
		if !unregister() {
			<-woken // it has begun: the eventfd stays open until it is done
		}
	}()
	set := []unix.PollFd{{Fd: int32(stop), Events: unix.POLLIN}}
	for _, f := range listeners {
		if f == nil {
			continue
		}
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		if err := raw.Control(func(fd uintptr) {
			set = append(set,
				unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}); err != nil {
			return err
		}
	}
	for {
		_, err := unix.Poll(set, -1)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("poll %d listening sockets: %w", len(set)-1, err)
		default:
			return ctx.Err()
		}
	}
}
