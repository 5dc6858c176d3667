package dataplane

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// pySignals makes Python's signal handlers run while the main thread of the worker, the only one
// allowed to run them, waits for requests. The interpreter's own handler only notes a signal and
// writes to a pipe (signal.set_wakeup_fd). epoll_wait is interrupted by a signal that comes during
// it, but not by one that came a moment before. So the housekeeper watches the pipe and interrupts
// the main thread until it has looked.
type pySignals struct {
	fd      int // the pipe's end; 0 = not watched
	pending atomic.Bool
	thread  atomic.Int64 // the main thread's id
	kicks   int          // how often a main thread that runs Python is interrupted still
}

const (
	tagSignals = tagWake | 1 // in the housekeeper's set
	kickEvery  = 10 * time.Millisecond
	busyKicks  = 3
)

// WatchSignals makes handlers run when fd, the pipe of signal.set_wakeup_fd, has bytes.
func (e *Engine) WatchSignals(fd int) {
	e.pySignals.fd = fd
	ev := unix.EpollEvent{Events: unix.EPOLLIN}
	setData(&ev, tagSignals)
	unix.EpollCtl(e.house.epfd, unix.EPOLL_CTL_ADD, fd, &ev)
}

// signalled notes that a signal has come.
func (h *housekeeper) signalled() {
	var buf [64]byte
	for {
		if n, err := unix.Read(h.eng.pySignals.fd, buf[:]); err != nil || n < len(buf) {
			break
		}
	}
	h.eng.pySignals.pending.Store(true)
	h.eng.pySignals.kicks = busyKicks
	h.kick()
}

// kick interrupts the wait of the main thread. SIGURG belongs to the Go runtime, so nobody else is
// disturbed. A main thread that runs Python looks at signals by itself, unless it was about to
// sleep or the kernel gave the signal to another thread; so it is interrupted too, but at most
// busyKicks times.
func (h *housekeeper) kick() {
	e, s := h.eng, &h.eng.pySignals
	if e.cores[0].own.cell.State.Load() == scoreboard.CellBusy {
		if s.kicks == 0 {
			return
		}
		s.kicks--
	}
	if thread := s.thread.Load(); thread != 0 {
		unix.Tgkill(os.Getpid(), int(thread), unix.SIGURG)
	}
}
