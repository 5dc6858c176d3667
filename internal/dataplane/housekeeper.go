package dataplane

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/escape"
)

// housekeeper is the one goroutine beside the cores. It never runs Python. A connection is its own
// from the moment it takes it out of inbox until it closes it or enqueues it for the cores.
type housekeeper struct {
	eng       *Engine
	epfd      int
	wakefd    int
	every     time.Duration // between two sweeps, at least
	deadlines deadlines
	overload
	rounds

	scratch        // of the request log
	buf     []byte // of what moves from a spill to a socket

	mu    sync.Mutex
	inbox []*conn // busy connections that cores left to this goroutine

	stopping atomic.Bool
	once     sync.Once
	ended    chan struct{} // nil: it was never started
}

const sweepEvery = time.Second

func (h *housekeeper) open(e *Engine) error {
	h.every = max(20*time.Millisecond, min(sweepEvery, e.shortestTimeout()/4))
	var err error
	if h.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if h.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	h.overload.open(e.conns.capacity())
	if err = h.deadlines.open(h.epfd, tagDeadlines); err != nil {
		return err
	}
	if err = h.alarm.open(h.epfd, tagAlarm); err != nil {
		return err
	}
	h.fillsIn.Store(h.fillTime())
	for tag, fd := range map[uint64]int{tagWake: h.wakefd, tagControl: e.control, tagCores: e.epfd} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN}
		if tag == tagCores {
			ev.Events = unix.EPOLLONESHOT // see wakeOnEvent
		}
		setData(&ev, tag)
		if err := unix.EpollCtl(h.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return fmt.Errorf("epoll_ctl: the housekeeper's: %w", err)
		}
	}
	return nil
}

// start starts the goroutine, once.
func (h *housekeeper) start() {
	h.once.Do(func() {
		h.ended = make(chan struct{})
		go h.run()
	})
}

// stop ends the goroutine and waits for that.
func (h *housekeeper) stop() {
	if h.ended != nil {
		h.stopping.Store(true)
		h.wake()
		<-h.ended
	}
}

func (h *housekeeper) close() {
	h.overload.close()
	h.deadlines.close()
	h.alarm.close()
	unix.Close(h.epfd)
	unix.Close(h.wakefd)
}

func (h *housekeeper) wake() { unix.Write(h.wakefd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// run serves until the process ends.
func (h *housekeeper) run() {
	defer close(h.ended)
	var ev unix.EpollEvent
	for !h.stopping.Load() {
		n, errno := epollWaitFor(h.epfd, &ev, h.timeout())
		if errno != 0 && errno != unix.EINTR {
			h.lost(errno)
		}
		if n > 0 {
			switch tag := data(&ev); tag {
			case tagControl:
				h.eng.receive()
			case tagSignals:
				h.signalled()
			case tagWake:
				h.collect()
			case tagDeadlines: // looked at below
			case tagAlarm:
				h.alert(monotonic())
			case tagCores:
				h.eventCame()
			default:
				if cn := h.eng.conns.of(tag); cn != nil {
					h.progress(cn)
				}
			}
		}
		now := monotonic()
		h.round(now)
		if h.resumeAt != 0 && now >= h.resumeAt {
			h.resumeAccepting()
		}
		if h.eng.pySignals.pending.Load() {
			h.kick()
		}
		if h.deadlines.due(now) {
			h.sweep(now)
		}
	}
}

// timeout is how many ns it is until there is something to do though nothing happens, -1: nothing.
func (h *housekeeper) timeout() int64 {
	next := int64(never)
	if h.eng.pySignals.pending.Load() {
		next = until(kickEvery)
	}
	for _, at := range [...]int64{h.nextRound, h.resumeAt} {
		if at != 0 {
			next = min(next, at)
		}
	}
	if next == never {
		return -1
	}
	return max(next-monotonic(), 0)
}

// lost ends the worker at once: its descriptors are gone, and by now their numbers may be files of
// the application.
func (h *housekeeper) lost(errno syscall.Errno) {
	h.note("worker %d (pid: %d): epoll_wait: %s: the application has closed descriptors that are not its own "+
		"(os.closerange?), this worker ends",
		h.eng.slot, os.Getpid(), errno)
	unix.Exit(1)
}

// answered waits until the answer that was given in x's place is out, so that its core may close
// the connection.
func (h *housekeeper) answered(x *Exchange) {
	for x.by() == answerHarakiri {
		runtime.Gosched()
	}
}

// note writes a line for the operator, a warning.
func (h *housekeeper) note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s%s - %s\n", h.eng.boot.Warning(), time.Now().Format("Mon Jan _2 15:04:05 2006"),
		escape.String(fmt.Sprintf(format, args...)))
}
