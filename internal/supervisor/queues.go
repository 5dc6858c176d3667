package supervisor

import (
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// checkQueues warns of a socket whose queue is full: the kernel lets further clients wait or turns
// them away. Where something waits that waited a tick ago too, the workers are told: the one that
// the kernel has told of it may be gone, or be unable to take it.
func (s *Supervisor) checkQueues() {
	waited := s.waiting
	s.waiting = false
	if s.phase != Running && s.phase != Reloading {
		return
	}
	for _, l := range s.cfg.Listeners {
		if l.Queue == nil {
			continue
		}
		waiting, limit, err := l.Queue()
		if err != nil || waiting == 0 {
			continue
		}
		s.waiting = true
		if waiting >= limit {
			text := fmt.Sprintf("listen queue of socket %q (fd: %d) full !!! (%d/%d)", l.Name, l.FD, waiting, limit)
			s.log(slog.LevelWarn, "queue.full", "*** uWSGI "+text+" ***")
			s.cfg.alarm(s.cfg.Settings.AlarmBacklog, text)
		}
	}
	s.waiting = s.waiting || readable(s.handoff[1])
	if waited && s.waiting {
		s.look()
	}
}

// look has the workers look at what waits to be accepted.
func (s *Supervisor) look() {
	for _, p := range s.procs {
		if p.state == serving {
			s.obeyed(p, p.w.Look())
		}
	}
}

// readable reports whether something waits to be read from f.
func readable(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var n int
	err = raw.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ = unix.Poll(set, 0)
	})
	return err == nil && n > 0
}
