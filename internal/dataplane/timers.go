package dataplane

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timer wakes the housekeeper at a time that any thread may set. Setting it is a system call of a
// third of a microsecond; waking the housekeeper to wait for something else would be a switch to
// its thread.
type timer struct{ fd int }

// open makes the timer; the housekeeper gets an event with that tag whenever it goes off.
func (t *timer) open(epfd int, tag uint64) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	t.fd = fd
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET&0xffffffff} // need not be read
	setData(&ev, tag)
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: a timer: %w", err)
	}
	return nil
}

// set makes it go off at that time, in monotonic ns, and at no other; 0: not at all.
func (t *timer) set(at int64) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at)}
	syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(t.fd), unix.TFD_TIMER_ABSTIME,
		uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

func (t *timer) close() { unix.Close(t.fd) }

const never = math.MaxInt64

// deadlines is when the housekeeper next looks at the deadlines of all connections: at the earliest
// of them, or before. Extending a deadline, as each request does for its connection, leaves it
// alone, so that parking a connection costs a store and a comparison.
type deadlines struct {
	timer
	mu sync.Mutex   // guards the timer
	at atomic.Int64 // monotonic ns, or never
}

func (d *deadlines) open(epfd int, tag uint64) error {
	d.at.Store(never)
	return d.timer.open(epfd, tag)
}

// by makes the housekeeper sweep at that time or before.
func (d *deadlines) by(at int64) {
	if at < d.at.Load() {
		d.advance(at)
	}
}

func (d *deadlines) advance(at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at < d.at.Load() {
		d.at.Store(at)
		d.set(at)
	}
}

// due reports whether it is time to look. Deadlines that are set from then on are heard of anew.
func (d *deadlines) due(now int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now < d.at.Load() {
		return false
	}
	d.at.Store(never)
	return true
}

// expireAt ends a connection at that time, unless it is called again before.
func (e *Engine) expireAt(cn *conn, at int64) {
	cn.deadline.Store(at)
	e.house.deadlines.by(at)
}
