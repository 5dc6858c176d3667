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
	eng    *Engine
	epfd   int
	wakefd int
	every  time.Duration // between two sweeps
	absorber
	rounds

	buf []byte // of what moves from a spill to a socket

	mu    sync.Mutex
	inbox []*conn // busy connections that cores left to this goroutine

	stopping atomic.Bool
	ended    chan struct{} // nil: it was never started
}

const (
	sweepEvery   = time.Second
	lingerFor    = 2 * time.Second // as long as a refused client may be silent
	lingerAtMost = 30 * time.Second
)

func (h *housekeeper) open(e *Engine) error {
	h.every = max(20*time.Millisecond, min(sweepEvery, e.shortestTimeout()/4))
	var err error
	if h.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if h.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	h.absorber.open(len(e.conns))
	for tag, fd := range map[uint64]int{tagWake: h.wakefd, tagControl: e.control} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN}
		setData(&ev, tag)
		if err := unix.EpollCtl(h.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return fmt.Errorf("epoll_ctl: the housekeeper's: %w", err)
		}
	}
	return nil
}

func (h *housekeeper) start() {
	h.ended = make(chan struct{})
	h.asleep.Store(true)
	go h.run()
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
	h.absorber.close()
	unix.Close(h.epfd)
	unix.Close(h.wakefd)
}

func (h *housekeeper) wake() { unix.Write(h.wakefd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// run serves until the process ends.
func (h *housekeeper) run() {
	defer close(h.ended)
	var ev unix.EpollEvent
	next := until(h.every)
	for !h.stopping.Load() {
		beOnTime()
		n, errno := epollWaitFor(h.epfd, &ev, h.wakeAt(next)-monotonic())
		if errno != 0 && errno != unix.EINTR {
			h.lost(errno)
		}
		if n > 0 {
			switch tag := data(&ev); {
			case tag&tagControl != 0:
				h.eng.receive()
			case tag == tagSignals:
				h.signalled()
			case tag&tagWake != 0:
				h.collect()
			default:
				if cn := h.eng.conns[uint32(tag)].Load(); cn != nil && cn.is(tag) {
					h.progress(cn)
				}
			}
		}
		now := monotonic()
		h.round(now)
		if h.relentAt != 0 && now >= h.relentAt {
			h.relent()
		}
		if h.eng.signals.pending.Load() {
			h.kick()
		}
		if now >= next {
			h.sweep(now)
			next = until(h.every)
		}
	}
}

// wakeAt is when there is something to do though nothing happens; next is the next sweep.
func (h *housekeeper) wakeAt(next int64) int64 {
	if h.eng.signals.pending.Load() {
		next = min(next, until(kickEvery))
	}
	for _, at := range []int64{h.nextRound, h.relentAt} {
		if at != 0 {
			next = min(next, at)
		}
	}
	return next
}

// sweep ends the connections whose time is up, and looks for one that was handed on to a worker
// that is gone.
func (h *housekeeper) sweep(now int64) {
	if h.asleep.Load() {
		h.fetch()
	}
	if l := h.eng.loop; l != nil {
		l.ask(now)
	}
	if e := h.eng; e.boot.HandoffInFD > 0 && e.idle() && pending(e.boot.HandoffInFD) && e.hold() {
		if cn := e.takeHanded(); cn != nil {
			e.enqueue(cn)
		}
		e.release()
	}
	for i := range h.eng.conns {
		if int64(i) > h.eng.highest.Load() {
			break
		}
		cn := h.eng.conns[i].Load()
		if cn == nil {
			continue
		}
		dl := cn.deadline.Load()
		if dl == 0 {
			continue
		}
		if cn.house.Load() { // only this goroutine works on those
			switch {
			case !cn.out.linger && cn.untaken() < cn.queued.Load():
				h.await(cn)
			case now >= dl:
				h.abandon(cn, unix.ETIMEDOUT)
			}
			continue
		}
		if cn.inFlight.Load() { // its loop knows what it waits for
			if now >= dl && cn.deadline.CompareAndSwap(dl, 0) {
				h.eng.loop.post(post{conn: cn, gen: cn.gen.Load()})
			}
			continue
		}
		if now < dl && cn.queued.Load() == 0 {
			continue
		}
		if !cn.claim() {
			continue
		}
		if !cn.active && cn.queued.Load() > 0 {
			h.recount(cn, now)
		}
		switch dl := cn.deadline.Load(); {
		case dl != 0 && now >= dl:
			h.expire(cn)
		case !cn.active && h.eng.phase() >= draining: // Drain has met it busy
			h.eng.retire(cn)
		default: // it was served meanwhile, or is another one in the same place
			h.eng.giveBack(cn)
		}
	}
}

// recount moves the deadline of an idle connection whose client has taken some of the answer that
// is queued, or the last of it.
func (h *housekeeper) recount(cn *conn, now int64) {
	switch n := cn.untaken(); {
	case n == 0:
		cn.queued.Store(0)
		cn.deadline.Store(now + h.eng.idleTimeout)
	case n < cn.queued.Load():
		cn.queued.Store(n)
		cn.deadline.Store(now + h.eng.sendTimeout)
	}
}

// expire ends a connection that waited too long. One that has sent a part of a request is told so.
func (h *housekeeper) expire(cn *conn) {
	if !cn.active && cn.readable() { // all cores are busy: it is not the client who is late
		cn.deadline.Store(until(time.Duration(h.eng.headTimeout)))
		h.eng.giveBack(cn)
		return
	}
	if !cn.active || !cn.lis.proto.client {
		if !cn.active && cn.queued.Load() > 0 {
			cn.writeErrs.Add(1)
			if !h.eng.settings.IgnoreWriteErrors {
				h.note("the client (%s) did not take the rest of its response: %s", cn.peer.Addr, h.eng.writeErrorText(unix.ETIMEDOUT))
			}
		}
		if cn.untaken() > 0 { // nobody is left to see whether it takes that
			cn.reset()
		}
		h.eng.close(cn)
		return
	}
	option := "http-headers-timeout or http-timeout"
	if cn.body.open() {
		_, option = h.eng.bodyTimeout(cn)
	}
	h.note("a client (%s) did not finish its request in time (%s)", cn.peer.Addr, option)
	cn.sendError(408)
	cn.in = nil
	cn.body.reset()
	cn.out.lingerEnd = until(lingerFor) // it had its time
	h.linger(cn)
}

// take leaves a busy connection to this goroutine.
func (h *housekeeper) take(cn *conn) {
	e := h.eng
	if cn.registered {
		unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
		cn.registered = false
	}
	e.setActive(cn, true)
	cn.deadline.Store(0)
	h.mu.Lock()
	h.inbox = append(h.inbox, cn)
	h.mu.Unlock()
	h.wake()
}

// slow writes the rest of cn's response as the client takes it.
func (h *housekeeper) slow(cn *conn) { h.take(cn) }

// linger throws away what the client still sends, so that it can read the answer before the
// connection ends (RFC 9112 §9.6).
func (h *housekeeper) linger(cn *conn) {
	cn.out.linger = true
	h.take(cn)
}

// collect takes over what cores have left.
func (h *housekeeper) collect() {
	var b [8]byte
	unix.Read(h.wakefd, b[:])
	if h.eng.hindered(starving) && h.relentAt == 0 {
		h.relentAt = until(starvedFor)
	}
	h.mu.Lock()
	inbox := h.inbox
	h.inbox = nil
	h.mu.Unlock()
	for _, cn := range inbox {
		cn.house.Store(true)
		h.watch(cn, unix.EPOLL_CTL_ADD)
	}
}

// await has a client take some more within the send timeout from now.
func (h *housekeeper) await(cn *conn) {
	cn.queued.Store(cn.untaken())
	cn.deadline.Store(monotonic() + h.eng.sendTimeout)
}

// watch waits for what cn needs next: room to write, or the end of what the client sends.
func (h *housekeeper) watch(cn *conn, op int) {
	ev := unix.EpollEvent{Events: unix.EPOLLOUT}
	if cn.out.linger {
		now := monotonic()
		cn.endWriting()
		ev.Events = unix.EPOLLIN | unix.EPOLLRDHUP
		if cn.out.lingerEnd == 0 {
			cn.out.lingerEnd = now + int64(lingerAtMost)
		}
		cn.deadline.Store(now + int64(lingerFor))
	} else {
		h.await(cn)
	}
	setData(&ev, cn.tag())
	if unix.EpollCtl(h.epfd, op, cn.fd, &ev) != nil {
		h.abandon(cn, unix.ENOMEM)
	}
}

func (h *housekeeper) forget(cn *conn) {
	h.release(cn)
	h.eng.close(cn)
}

// release ends this goroutine's hold on a connection.
func (h *housekeeper) release(cn *conn) {
	unix.EpollCtl(h.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
	cn.house.Store(false)
	cn.deadline.Store(0)
}

func (h *housekeeper) progress(cn *conn) {
	s := &cn.out
	if cn.spill != nil {
		h.flushSpill(cn)
		return
	}
	if s.linger {
		h.discard(cn)
		return
	}
	switch errno := s.write(cn); errno {
	case unix.EAGAIN:
		h.await(cn)
	case 0:
		h.done(cn)
	default:
		h.abandon(cn, errno)
	}
}

// discard reads what a client sends that has its answer already.
func (h *housekeeper) discard(cn *conn) {
	var buf [16 << 10]byte
	for range 16 {
		n, errno := cn.recv(buf[:])
		if errno == unix.EAGAIN {
			break
		}
		if errno != 0 || n == 0 {
			h.forget(cn)
			return
		}
	}
	cn.deadline.Store(min(monotonic()+int64(lingerFor), cn.out.lingerEnd))
}

// done gives a connection whose response is out back to the cores, or ends it.
func (h *housekeeper) done(cn *conn) {
	keep := cn.out.keep
	cn.out.reset(h.eng)
	switch {
	case keep:
		h.release(cn)
		h.eng.enqueue(cn)
	case cn.lis.proto.lingers && (len(cn.in) > 0 || cn.unread()):
		cn.out.linger = true
		h.watch(cn, unix.EPOLL_CTL_MOD)
	default:
		h.forget(cn)
	}
}

// lost ends the worker at once: its descriptors are gone, and their numbers may be files of the
// application's by now.
func (h *housekeeper) lost(errno syscall.Errno) {
	h.note("worker %d (pid: %d): epoll_wait: %s: the application has closed descriptors that are not its own (os.closerange?), this worker ends",
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
	fmt.Fprintf(os.Stderr, "%s%s - %s\n", h.eng.boot.Warning(), time.Now().Format("Mon Jan _2 15:04:05 2006"), escape.String(fmt.Sprintf(format, args...)))
}
