package dataplane

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// housekeeper is the one goroutine beside the cores. It never runs Python.
type housekeeper struct {
	eng      *Engine
	epfd     int
	starving atomic.Int64 // monotonic ns of the last message about missing descriptors
}

const (
	sweepEvery = time.Second
	lingerFor  = 2 * time.Second // as long as a refused client may still send before it is cut off
)

func (h *housekeeper) open(e *Engine) error {
	h.eng = e
	var err error
	if h.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN}
	setData(&ev, tagWake)
	if err := unix.EpollCtl(h.epfd, unix.EPOLL_CTL_ADD, e.control, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: control socket: %w", err)
	}
	return nil
}

// run serves until the process ends.
func (h *housekeeper) run() {
	var ev unix.EpollEvent
	next := until(sweepEvery)
	for {
		n, errno := epollWait(h.epfd, &ev, int(max(0, next-monotonic())/int64(time.Millisecond)+1))
		if errno != 0 && errno != unix.EINTR {
			return
		}
		if n > 0 {
			if tag := data(&ev); tag&tagWake != 0 {
				h.eng.receive()
			} else if cn := h.eng.conns[uint32(tag)].Load(); cn != nil && uint64(cn.gen&genMask) == tag>>32 {
				h.progress(cn)
			}
		}
		if now := monotonic(); now >= next {
			h.sweep(now)
			next = until(sweepEvery)
		}
	}
}

// sweep ends the connections whose time is up.
func (h *housekeeper) sweep(now int64) {
	for i := range h.eng.conns {
		if int64(i) > h.eng.highest.Load() {
			break
		}
		cn := h.eng.conns[i].Load()
		if cn == nil {
			continue
		}
		if dl := cn.deadline.Load(); dl == 0 || now < dl {
			continue
		}
		if cn.house.Load() { // only this goroutine works on those
			h.forget(cn)
			continue
		}
		if !cn.state.CompareAndSwap(connIdle, connBusy) {
			continue
		}
		if dl := cn.deadline.Load(); dl == 0 || now < dl {
			cn.state.Store(connIdle)
			continue
		}
		h.expire(cn)
	}
}

// expire ends a connection that waited too long. One that has sent a part of a request is told so.
func (h *housekeeper) expire(cn *conn) {
	if cn.active && cn.lis.proto.http() {
		option := "http-headers-timeout or http-timeout"
		if cn.body.open() {
			option = "socket-timeout"
		}
		h.note("a client (%s) did not finish its request in time (%s)", cn.peer.Addr, option)
		send(cn.fd, refusalText(408), 0)
	}
	h.eng.close(cn)
}

// take registers a busy connection with this goroutine's own epoll set.
func (h *housekeeper) take(cn *conn, events uint32, timeout int64) {
	e := h.eng
	if cn.registered {
		unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
		cn.registered = false
	}
	e.setActive(cn, true)
	cn.deadline.Store(monotonic() + timeout)
	ev := unix.EpollEvent{Events: events}
	setData(&ev, cn.tag())
	cn.house.Store(true) // from here on the connection is the housekeeper's
	if unix.EpollCtl(h.epfd, unix.EPOLL_CTL_ADD, cn.fd, &ev) != nil {
		cn.house.Store(false)
		e.close(cn)
	}
}

// slow writes the rest of cn's response as the client takes it.
func (h *housekeeper) slow(cn *conn) { h.take(cn, unix.EPOLLOUT, h.eng.sendTimeout) }

// linger throws away what the client still sends, so that it can read the answer before the connection ends (RFC 9112 §9.6).
func (h *housekeeper) linger(cn *conn) {
	unix.Shutdown(cn.fd, unix.SHUT_WR)
	cn.out.linger = true
	h.take(cn, unix.EPOLLIN|unix.EPOLLRDHUP, int64(lingerFor))
}

func (h *housekeeper) forget(cn *conn) {
	unix.EpollCtl(h.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
	cn.house.Store(false)
	h.eng.close(cn)
}

func (h *housekeeper) progress(cn *conn) {
	s := &cn.out
	if s.linger {
		var buf [16 << 10]byte
		for range 16 {
			n, errno := read(cn.fd, buf[:])
			if errno == unix.EAGAIN {
				return
			}
			if errno != 0 || n == 0 {
				h.forget(cn)
				return
			}
		}
		return
	}
	switch errno := s.write(cn.fd); errno {
	case unix.EAGAIN:
		cn.deadline.Store(monotonic() + h.eng.sendTimeout)
	case 0:
		h.done(cn)
	default:
		h.forget(cn)
	}
}

// done gives a connection whose response is out back to the cores, or ends it.
func (h *housekeeper) done(cn *conn) {
	e := h.eng
	keep := cn.out.keep
	cn.out.reset(e)
	if !keep || e.draining.Load() && len(cn.in) == 0 && !e.handoff.Load() {
		h.forget(cn)
		return
	}
	unix.EpollCtl(h.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
	cn.house.Store(false)
	if len(cn.in) == 0 {
		e.setActive(cn, false)
		if e.draining.Load() {
			e.retire(cn)
			return
		}
	}
	if len(cn.in) > 0 || !e.park(cn, e.idleTimeout) {
		e.enqueue(cn)
	}
}

// starved tells, at most once a second, that no connection can be accepted.
func (h *housekeeper) starved(errno syscall.Errno) {
	now := monotonic()
	if last := h.starving.Load(); now-last > int64(time.Second) && h.starving.CompareAndSwap(last, now) {
		h.note("cannot accept connections: %s (max-fd, or LimitNOFILE= of the unit)", errno)
	}
	// The connection stays in the queue; without a pause every core would spin on it.
	ts := unix.NsecToTimespec(int64(10 * time.Millisecond))
	unix.Nanosleep(&ts, nil)
}

// answered waits until the answer that was given in c's place is out, so that c may close the connection.
func (h *housekeeper) answered(c *Core) {
	for c.answerer.Load() == answerHarakiri {
		runtime.Gosched()
	}
}

// harakiri answers 504 on the request that core runs, if nothing was sent yet, and ends its connection.
func (h *housekeeper) harakiri(core int) {
	if core < 0 || core >= len(h.eng.cores) {
		return
	}
	c := h.eng.cores[core]
	if !c.answerer.CompareAndSwap(answerNobody, answerHarakiri) {
		return
	}
	if cn := c.cn; cn != nil && c.cell.State.Load() != 0 {
		send(cn.fd, statusLine(cn.lis.proto, 504), 0)
		unix.Shutdown(cn.fd, unix.SHUT_RDWR)
	}
	c.answerer.Store(answerElsewhere)
}

// note writes a line for the operator.
func (h *housekeeper) note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s - %s\n", time.Now().Format("Mon Jan _2 15:04:05 2006"), printable(fmt.Sprintf(format, args...)))
}
