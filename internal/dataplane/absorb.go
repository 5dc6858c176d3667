package dataplane

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/backlog"
	"uwsgi/internal/scoreboard"
)

// Absorbing. A connection stays in the listening socket's queue until a core of any worker is free:
// that is what spreads the load. While all cores are busy a burst would overflow that queue, and
// TCP would then drop what comes (the client tries again a second later), a unix socket refuse it
// at once (EAGAIN, of which nginx makes a 502). So where a queue is filling the housekeeper takes
// connections in ahead and leaves them to whichever core of this worker is free first. When this
// worker's descriptors are used up as well, it answers 503 and Retry-After, which says more than a
// reset.

// absorber is the housekeeper's part in accepting.
type absorber struct {
	queue  backlog.Meter
	leftAt int64 // requests answered when a connection was last seen waiting though a core is idle, -1: none was

	capacity int64 // connections this worker takes; the descriptors above are the application's and those of refusals
	relentAt int64 // monotonic ns: when the cores may listen again that had no descriptor left, 0 = they do
	refused  int64 // 503s since the last note
	noted    int64 // monotonic ns of it
	spare    int   // a descriptor to give up when a connection has to be turned away and none is left
	sa       unix.RawSockaddrAny
}

const (
	mostReserved = 512 // descriptors that are never used for connections
	noteEvery    = 10 * time.Second
	batch        = 128 // connections taken in before other work is looked at
	starvedFor   = 50 * time.Millisecond
)

func (a *absorber) open(descriptors int) {
	a.leftAt = -1
	used, _ := os.ReadDir("/proc/self/fd")
	free := descriptors - len(used)
	a.capacity = int64(max(1, free-min(mostReserved, free/4)))
	a.spare, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func (a *absorber) close() {
	a.queue.Close()
	if a.spare >= 0 {
		unix.Close(a.spare)
	}
}

// look takes connections in from a queue that is filling, and says whether it was.
func (h *housekeeper) look(l *listener) bool {
	waiting, limit := queueLength(&h.queue, l)
	if limit == 0 || waiting <= limit/4 {
		return false
	}
	h.absorb(l, min(batch, waiting-limit/8), true)
	return true
}

// fetchLeft is fetch for a worker that serves: a core between two requests is idle too, and would
// find its next connection taken from the head of the queue. So the connection must have been there
// at the last round, and nothing been answered since. It says whether one is there.
func (h *housekeeper) fetchLeft() (left bool) {
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
		h.fetch()
	}
	return left
}

// fetch takes a connection that nobody comes for: the kernel tells one worker of it
// (EPOLLEXCLUSIVE), and that one may have gone before it looked.
func (h *housekeeper) fetch() {
	if e := h.eng; e.phase() < draining && !e.hindered(paused) && e.idle() {
		for _, l := range e.listeners {
			if pending(l.FD) {
				h.absorb(l, 1, false)
			}
		}
	}
}

// idle says that a core waits for work.
func (e *Engine) idle() bool {
	for _, x := range e.used() {
		if x.cell.State.Load() != scoreboard.CellBusy {
			return true
		}
	}
	return false
}

// absorb takes n connections in. Those that there is no room for are turned away if refuse says so,
// else they are left to the other workers.
func (h *housekeeper) absorb(l *listener, n int, refuse bool) {
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
		if !e.park(cn, monotonic()+e.headTimeout) {
			e.enqueue(cn)
		}
	}
}

func outOfDescriptors(errno syscall.Errno) bool {
	return errno == unix.EMFILE || errno == unix.ENFILE || errno == unix.ENOBUFS || errno == unix.ENOMEM
}

// full says that this worker takes no more connections.
func (e *Engine) full() bool { return e.row.Conns.Load() >= e.house.capacity }

// turnAway answers one connection with 503. False: there is none.
func (h *housekeeper) turnAway(l *listener) bool {
	e := h.eng
	salen := uint32(unix.SizeofSockaddrAny)
	fd, errno := accept(l.FD, &h.sa, &salen)
	if outOfDescriptors(errno) && h.spare >= 0 {
		unix.Close(h.spare)
		fd, errno = accept(l.FD, &h.sa, &salen)
		defer func() { h.spare, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) }()
	}
	if errno != 0 {
		return false
	}
	h.refused++
	e.row.Refused.Add(1)
	h.noteRefused()
	client := conn{fd: fd, lis: l, plain: l.plain}
	client.dismiss(503)
	if e.row.Conns.Load() < h.capacity+(int64(len(e.conns))-h.capacity)/2 {
		if cn := e.newConn(fd, l); cn != nil {
			cn.out.linger = true
			cn.house.Store(true)
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
	if h.noted != 0 && now-h.noted < int64(noteEvery) {
		return
	}
	h.noted = now
	h.note("worker %d: %d connections were answered 503: the listening queue is filling and this worker holds %d "+
		"connections, all that its descriptors allow (max-fd, or LimitNOFILE= of the unit)",
		h.eng.slot, h.refused, h.eng.row.Conns.Load())
	h.refused = 0
}

// starved stops the cores from accepting for a moment: no descriptor is left for a connection.
// Those that are open are served.
func (e *Engine) starved(errno syscall.Errno) {
	if !e.hinder(starving) {
		return
	}
	e.stopListening()
	if now := monotonic(); now-e.starvedAt.Swap(now) > int64(time.Second) {
		e.house.note("cannot accept connections: %s (max-fd, or LimitNOFILE= of the unit)", errno)
	}
	e.house.wake()
}

// relent lets the cores listen again once there is room.
func (h *housekeeper) relent() {
	e := h.eng
	if e.full() {
		h.relentAt = until(starvedFor)
		return
	}
	h.relentAt = 0
	e.relieve(starving)
	e.listenAgain()
}
