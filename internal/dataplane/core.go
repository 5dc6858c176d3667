package dataplane

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Core is one Python thread that serves. Threaded, it runs one exchange at a time, and uses the
// same one for every request; evented, it is the hands of a Loop.
type Core struct {
	eng   *Engine
	id    int
	loop  *Loop // nil: threaded
	own   Exchange
	x     *Exchange // for the request in hand, or the next one: own, or one of the loop's
	rbuf  []byte    // what is read first lands here; a connection gets memory of its own only when it must wait
	spare []byte    // memory for the next body
	sa    unix.RawSockaddrAny
	eventBatch
	backoff acceptBackoff // accepting
	serving atomic.Bool   // owns a connection
	// false before Run and in a signal handler, which both wait for the GIL while another core has
	// it
	looping    atomic.Bool
	sawLeaving atomic.Bool // back in epoll_wait since the worker is leaving: it holds no event fetched before
	files      files       // static files
	clock      clock
	alarmed    bool // it has set the alarm for the request in hand, see rounds
	date       date
	// After a wait in vain no client is waited for, for so long and until then: see waitBriefly.
	noWait      int64 // ns
	noWaitUntil int64 // monotonic ns
	scratch           // of the request log
}

func newCore(e *Engine, id int) *Core {
	c := &Core{eng: e, id: id, rbuf: make([]byte, e.settings.BufferSize+64<<10)}
	c.x = &c.own
	c.x.init(c, id)
	return c
}

// Run serves on the calling thread until the worker has drained. It returns the status the worker
// shall exit with.
func (c *Core) Run() int {
	e := c.eng
	if e.pool != nil {
		return c.runPooled()
	}
	c.looping.Store(true)
	if c.id == 0 {
		e.pySignals.thread.Store(int64(unix.Gettid()))
	}
	for {
		if c.id == 0 && e.pySignals.pending.Swap(false) && !c.handleSignals() {
			e.Drain("a signal handler raised", true)
		}
		if e.phase() >= leaving && !c.sawLeaving.Load() {
			c.sawLeaving.Store(true)
			e.tellAnswered(e.active.Load())
		}
		n, errno := epollWait(e.epfd, c.events[:c.batchSize()], -1)
		if errno == unix.EINTR {
			if c.id == 0 && !c.handleSignals() {
				e.Drain("a signal handler raised", true)
			}
			continue
		}
		if errno != 0 {
			e.house.lost(errno)
		}
		c.fetched(n)
		for i := range n {
			tag := c.take(i)
			if tag == 0 {
				continue
			}
			c.handle(tag)
			if e.drained() {
				return e.ExitCode()
			}
		}
	}
}

// handleSignals runs the application's signal handlers on the main thread. False: one of them
// raised.
func (c *Core) handleSignals() bool {
	c.looping.Store(false)
	defer c.looping.Store(true)
	return c.eng.app.Signals(c.id)
}

// handle works on one event.
func (c *Core) handle(tag uint64) {
	e := c.eng
	switch {
	case tag&tagListener != 0:
		c.accept(e.listeners[tag&^tagListener])
	case tag&tagHandoff != 0:
		c.serveHandoff()
	case tag&tagWake != 0:
		c.takeToken()
	default:
		if cn := e.ownConn(tag); cn != nil {
			c.serve(cn)
		}
	}
}

// wakeAll gives every core a token, so that each looks at the phase.
func (e *Engine) wakeAll() {
	e.wake(len(e.cores))
	if e.pool != nil {
		wake(e.pool.wakefd, len(e.cores))
	}
}

func (e *Engine) wake(tokens int) { wake(e.wakefd, tokens) }

func wake(fd, tokens int) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(tokens))
	unix.Write(fd, b[:])
}

func (c *Core) takeToken() {
	var b [8]byte
	unix.Read(c.eng.wakefd, b[:])
	if number, ok := c.eng.signals.take(); ok {
		c.eng.app.Deliver(c.id, number)
		return
	}
	if cn := c.eng.queue.take(); cn != nil {
		c.serve(cn)
		return
	}
	if c.sawLeaving.Load() && c.eng.stuck.Load() > 0 && c.eng.waitsForToken() {
		c.eng.wake(1) // this one was another core's
		runtime.Gosched()
	}
}

// fairness is how many requests a core answers on one connection in a row while the others may
// wait.
const fairness = 64

// serve works on a connection that this core owns until it must wait for the client or is closed.
func (c *Core) serve(cn *conn) {
	c.serving.Store(true)
	c.work(cn)
	c.serving.Store(false)
	if e := c.eng; e.stuck.Load() > 0 {
		e.tellAnswered(e.active.Load())
	}
}

func (c *Core) work(cn *conn) {
	for answered := 0; ; {
		switch c.gather(cn) {
		case stepClosed:
			return
		case stepWait:
			if c.wait(cn, monotonic()) {
				return
			}
		case stepAgain:
			if len(cn.in) == 0 && cn.readAll { // no need to ask: an event will tell
				if c.wait(cn, c.x.finished) {
					return
				}
				continue
			}
			if answered++; answered >= fairness {
				cn.detach()
				c.eng.enqueue(cn) // behind those that wait already
				return
			}
		}
	}
}

// wait leaves a connection until more comes. False: there is more already.
func (c *Core) wait(cn *conn, now int64) bool {
	e := c.eng
	switch {
	case cn.body.open():
		timeout, _ := e.bodyTimeout(cn)
		return e.park(cn, now+timeout)
	case len(cn.in) > 0:
		// of the whole head: one byte now and then must not hold it for ever
		return e.park(cn, cn.since+e.timeouts.head)
	}
	if e.phase() >= draining {
		e.letGo(cn) // active as it is: without an active one the cores leave
		return true
	}
	e.setActive(cn, false)
	if cn.served == 0 {
		return e.park(cn, now+e.timeouts.head)
	}
	if cn.owed() {
		// It is not idle while it has the last answer to read, of which the kernel may hold
		// megabytes.
		n := cn.untaken()
		cn.queued.Store(n)
		cn.unasked, cn.writeErrs = 0, &c.own.cell.WriteErrs
		if n > 0 {
			e.house.deadlines.by(now + int64(e.house.every)) // see check
			return e.park(cn, now+e.timeouts.send)
		}
	}
	return e.park(cn, now+e.timeouts.idle)
}
