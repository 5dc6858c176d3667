package dataplane

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/backlog"
	"uwsgi/internal/scoreboard"
)

// overload is the housekeeper's part in accepting.
//
// A connection stays in the listening socket's queue until a core of any worker is free: that is
// what spreads the load. While all cores are busy a burst would overflow that queue: TCP would then
// drop new connections (the client tries again a second later), and a unix socket would refuse them
// at once (EAGAIN, which nginx turns into a 502). So the housekeeper accepts ahead from a queue
// that is filling, and the first core of this worker to become free serves the connection. Once
// this worker's descriptors are used up as well, it answers 503 with Retry-After, which tells the
// client more than a reset.
type overload struct {
	queue  backlog.Meter
	leftAt int64 // row.Requests when a connection was last seen waiting while a core was idle; -1: none was

	capacity int64 // connections this worker may hold; other descriptors are for the application and refusals
	resumeAt int64 // monotonic ns: when accepting is tried again after descriptors ran out; 0: it goes on
	refused  int64 // 503s since the last note
	notedAt  int64 // monotonic ns of it
	spare    int   // a descriptor to close when one is needed to turn a connection away; -1: none is left
	sa       unix.RawSockaddrAny
}

const (
	maxReserved = 512 // descriptors that are never used for connections
	noteEvery   = 10 * time.Second
	maxAhead    = 128 // connections accepted ahead before other work is looked at
	acceptRetry = 50 * time.Millisecond
)

func (o *overload) open(descriptors int) {
	o.leftAt, o.spare = -1, -1
	used, _ := os.ReadDir("/proc/self/fd")
	free := descriptors - len(used)
	o.capacity = int64(max(1, free-min(maxReserved, free/4)))
	o.keepSpare()
}

// keepSpare opens the descriptor that is given up to turn a connection away, unless there is one,
// or none to be had.
func (o *overload) keepSpare() {
	if o.spare < 0 {
		o.spare, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
}

func (o *overload) close() {
	o.queue.Close()
	if o.spare >= 0 {
		unix.Close(o.spare)
	}
}

// acceptAhead accepts connections from a queue that is filling, and reports whether it was.
func (h *housekeeper) acceptAhead(l *listener) bool {
	waiting, limit := queueLength(&h.queue, l)
	if limit == 0 || waiting <= limit/4 {
		return false
	}
	h.acceptUpTo(l, min(maxAhead, waiting-limit/8), true)
	return true
}

// acceptIfStranded is acceptStranded for a busy worker. A core between two requests also looks idle
// and must not lose its next connection, so this acts only if the connection was already waiting a
// round ago and nothing has been answered since. It reports whether one is waiting.
func (h *housekeeper) acceptIfStranded() (left bool) {
	answered := h.eng.row.Requests.Load()
	if !h.eng.hindered(paused) {
		for _, l := range h.eng.listeners {
			left = left || pending(l.FD)
		}
	}
	switch {
	case !left:
		h.leftAt = -1
	case h.leftAt != answered:
		h.leftAt = answered
	default:
		h.acceptStranded()
	}
	return left
}

// acceptStranded accepts a connection that nobody else will take: the kernel woke one worker for it
// (EPOLLEXCLUSIVE), which may have exited before it looked.
func (h *housekeeper) acceptStranded() {
	if e := h.eng; e.phase() < draining && !e.hindered(paused) && e.idle() {
		for _, l := range e.listeners {
			if pending(l.FD) {
				h.acceptUpTo(l, 1, false)
			}
		}
	}
}

// idle reports whether a core is waiting for work.
func (e *Engine) idle() bool {
	for _, x := range e.used() {
		if x.cell.State.Load() != scoreboard.CellBusy {
			return true
		}
	}
	return false
}

// acceptUpTo accepts at most n connections. When there is no room for one, it is turned away if
// refuse is set; otherwise it is left to the other workers.
func (h *housekeeper) acceptUpTo(l *listener, n int, refuse bool) {
	e := h.eng
	if !e.hold() {
		return
	}
	defer e.release()
	for range n {
		if e.full() {
			if !refuse || !h.turnAway(l) {
				return
			}
			continue
		}
		salen := uint32(unix.SizeofSockaddrAny)
		fd, errno := accept(l.FD, &h.sa, &salen)
		if outOfDescriptors(errno) {
			if !refuse || !h.turnAway(l) {
				return
			}
			continue
		}
		if errno != 0 {
			return
		}
		cn := e.newConn(fd, l)
		if cn == nil {
			continue
		}
		setPeer(cn, &h.sa)
		if !e.park(cn, monotonic()+e.timeouts.head) {
			e.enqueue(cn)
		}
	}
}

func outOfDescriptors(errno syscall.Errno) bool {
	return errno == unix.EMFILE || errno == unix.ENFILE || errno == unix.ENOBUFS || errno == unix.ENOMEM
}

// full reports whether this worker holds as many connections as it may.
func (e *Engine) full() bool { return e.row.Conns.Load() >= e.house.capacity }

// turnAway answers one connection with 503; false if there is none.
func (h *housekeeper) turnAway(l *listener) bool {
	e := h.eng
	salen := uint32(unix.SizeofSockaddrAny)
	fd, errno := accept(l.FD, &h.sa, &salen)
	if outOfDescriptors(errno) && h.spare >= 0 {
		unix.Close(h.spare)
		h.spare = -1
		fd, errno = accept(l.FD, &h.sa, &salen)
	}
	defer h.keepSpare()
	if errno != 0 {
		return false
	}
	h.refused++
	e.row.Refused.Add(1)
	h.noteRefused()
	client := conn{fd: fd, lis: l, plain: l.plain}
	client.dismiss(503)
	if e.row.Conns.Load() < h.capacity+(int64(e.conns.capacity())-h.capacity)/2 {
		if cn := e.newConn(fd, l); cn != nil {
			cn.out.linger = true
			cn.heldByHousekeeper.Store(true)
			h.watch(cn, unix.EPOLL_CTL_ADD)
		}
		return true
	}
	client.endWriting()
	client.closeSocket()
	return true
}

func (h *housekeeper) noteRefused() {
	now := monotonic()
	if h.notedAt != 0 && now-h.notedAt < int64(noteEvery) {
		return
	}
	h.notedAt = now
	h.note("worker %d: %d connections were answered 503: the listening queue is filling and this worker holds %d "+
		"connections, all that its descriptors allow (max-fd, or LimitNOFILE= of the unit)",
		h.eng.slot, h.refused, h.eng.row.Conns.Load())
	h.refused = 0
}

// pauseAccepting stops the cores from accepting for a moment: no descriptor is left for a
// connection. Those that are open are served.
func (e *Engine) pauseAccepting(errno syscall.Errno) {
	if !e.hinder(noDescriptor) {
		return
	}
	e.stopListening()
	if now := monotonic(); now-e.shortAt.Swap(now) > int64(time.Second) {
		e.house.note("cannot accept connections: %s (max-fd, or LimitNOFILE= of the unit)", errno)
	}
	e.house.wake()
}

// resumeAccepting lets the cores accept again once there is room.
func (h *housekeeper) resumeAccepting() {
	e := h.eng
	if e.full() {
		h.resumeAt = until(acceptRetry)
		return
	}
	h.resumeAt = 0
	e.relieve(noDescriptor)
	e.listenAgain()
}
