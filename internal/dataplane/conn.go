package dataplane

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
)

// conn is one client connection. All but ownership, deadline, gen and heldByHousekeeper belong to
// its owner.
type conn struct {
	ownership
	deadline atomic.Int64  // monotonic ns after which the housekeeper ends it; 0 = never
	gen      atomic.Uint32 // counts reuses of this struct, so that an event of an earlier life is recognised

	fd                int
	lis               *listener
	plain             bool // see transport.go
	peer              request.Peer
	readAll           bool        // the last read took all there was: an event tells of more
	hup               bool        // the client may have ended its side already: no further event would tell
	registered        bool        // in the epoll set
	active            bool        // counted in Engine.active: it holds a part of a request
	served            int         // requests answered on it
	since             int64       // monotonic ns of the first byte of the head that cn.in has a part of
	app               int         // on a Loop: index of the application that its request is for
	pooled            *pooled     // the request waits for a core of the pool
	flight            *Exchange   // in flight on a Loop; for the loop's thread alone
	inFlight          atomic.Bool // whether there is one, for other threads
	watched           bool        // the epoll set tells when it can be written to
	heldByHousekeeper atomic.Bool // the housekeeper works on it; only that goroutine sets it

	shared   bool             // the application has a descriptor of it, too
	in       []byte           // bytes read and not used yet
	lent     bool             // they lie in the core's rbuf: they must be copied before it leaves this connection
	partHead bool             // they are a part of a head, whose rest has not come
	req      *request.Request // as far as it is parsed, nil: nothing is, or the core has it
	head     int              // bytes of its head, once that is whole
	// in a protocol of records: of the request in hand, or of the one that is refused; 0: none
	id    uint16
	body  requestBody   // the body gathered so far
	out   pendingOutput // what the client has not taken yet of a finished response
	spill *spill        // and of one under way, nil: nothing

	// bytes that the client had not taken when it last took some; 0 in an idle connection: it has
	// taken all, or nobody has looked
	queued    atomic.Int64
	unasked   int64         // bytes of responses since the kernel was last asked how many are queued
	writeErrs *atomic.Int64 // of the core whose response is queued, in an idle connection
}

// What an epoll event's data says. A connection's is gen<<32 | fd, which leaves the two top bits
// free.
const (
	tagListener = 1 << 63
	tagWake     = 1 << 62
	tagHandoff  = 1 << 61
	tagOther    = tagListener | tagWake | tagHandoff
	tagHup      = 1 << 31 // the client has ended its side; descriptors are far smaller numbers

	// In the housekeeper's set, where there are connections too.
	tagControl   = 1 << 63
	tagCores     = 1 << 61
	tagDeadlines = tagWake | 2
	tagAlarm     = tagWake | 3

	genMask = 1<<29 - 1
)

func (c *conn) tag() uint64 { return uint64(c.gen.Load()&genMask)<<32 | uint64(uint32(c.fd)) }

// is reports whether an event with that tag is about c's present life.
func (c *conn) is(tag uint64) bool { return uint64(c.gen.Load()&genMask) == tag>>32 }

// newConn takes a connection into the table, busy: the caller owns it.
func (e *Engine) newConn(fd int, lis *listener) *conn {
	if fd >= e.conns.capacity() {
		unix.Close(fd)
		return nil
	}
	c := e.conns.unused()
	c.gen.Add(1)
	c.fd, c.lis, c.plain = fd, lis, lis.plain
	c.registered, c.active, c.served, c.since, c.readAll, c.hup = false, false, 0, 0, false, false
	c.shared, c.lent, c.partHead, c.id = false, false, false, 0
	c.unasked, c.writeErrs = 0, nil
	c.queued.Store(0)
	c.open()
	c.deadline.Store(0)
	e.conns.put(c)
	if e.row != nil {
		e.row.Conns.Add(1)
	}
	return c
}

// close ends a connection that the caller owns.
func (e *Engine) close(c *conn) {
	if c.shared || e.app.HasForked() {
		// A child of the application may hold a copy, or it itself does: closing ours would tell
		// neither the client nor epoll.
		c.hangUp()
	}
	if c.owed() {
		c.limitRest(e.timeouts.send)
	}
	e.drop(c)
}

// askAfter is how many bytes of responses a client may have been sent before the kernel is asked
// whether it takes them: a call that ordinary requests are spared.
const askAfter = 64 << 10

// owed reports whether the client may not have taken all of what it was sent.
func (c *conn) owed() bool { return c.unasked > askAfter || c.queued.Load() > 0 }

// drop closes our descriptor of a connection that the caller owns and tells the client nothing.
func (e *Engine) drop(c *conn) {
	c.in, c.req = nil, nil
	c.body.reset()
	c.out.reset(e)
	if c.spill != nil {
		c.spill.close(e)
		c.spill = nil
	}
	if c.registered {
		unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, c.fd, nil)
		c.registered = false
	}
	c.end()
	c.deadline.Store(0)
	e.conns.remove(c)
	c.closeSocket()
	if e.row != nil {
		e.row.Conns.Add(-1)
	}
	e.setActive(c, false) // last: without an active one the cores leave
	e.conns.recycle(c)
}

// park gives a connection back to the epoll set, until deadline. False: something came meanwhile,
// or the worker began to drain; the caller still owns the connection and must look again.
func (e *Engine) park(c *conn, deadline int64) bool {
	if !c.registered {
		// Still busy: what is there already marks it pending. Were it idle, whoever drains could
		// close it under this call.
		c.registered = true
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff}
		setData(&ev, c.tag())
		if unix.EpollCtl(e.epfd, unix.EPOLL_CTL_ADD, c.fd, &ev) != nil {
			c.registered = false
			e.close(c)
			return true
		}
	}
	e.expireAt(c, deadline)
	active := c.active // not ours to read once it is idle
	if !c.leave() {
		c.hup = true // for all we know
		return false
	}
	// Drain enters its phase and then looks for idle connections; this one it may have met busy.
	return active || e.phase() < draining || !c.claim()
}

// giveBack ends the ownership of a connection that was idle before, without looking at it.
func (e *Engine) giveBack(c *conn) {
	if c.leave() {
		return
	}
	c.hup = true // for all we know
	e.enqueue(c)
}

// enqueue leaves a busy connection to whichever core is free next: it holds bytes of which no event
// will tell.
func (e *Engine) enqueue(c *conn) {
	e.setActive(c, true) // the cores stay until it has been looked at
	e.queue.put(c)
	e.wake(1)
}

// setActive counts the connections that hold a part of a request: a draining worker leaves when
// none is left.
func (e *Engine) setActive(c *conn, on bool) {
	if c.active == on {
		return
	}
	c.active = on
	if on {
		e.active.Add(1)
		return
	}
	e.release()
}

// hold keeps the cores from leaving until release, so that the housekeeper may enqueue connections
// for them. False: this worker is draining, or takes no connections yet.
func (e *Engine) hold() bool {
	// before the phase is looked at: the cores leave when they see that it is leaving, and no
	// active one
	e.active.Add(1)
	if e.phase() != serving {
		e.release()
		return false
	}
	return true
}

func (e *Engine) release() {
	n := e.active.Add(-1)
	if n == 0 && e.phase() >= draining {
		e.wakeAll()
	}
	e.tellAnswered(n)
}

func setData(ev *unix.EpollEvent, v uint64) { *(*uint64)(unsafe.Pointer(&ev.Fd)) = v }

func data(ev *unix.EpollEvent) uint64 { return *(*uint64)(unsafe.Pointer(&ev.Fd)) }
