package dataplane

import (
	"time"

	"golang.org/x/sys/unix"
)

// sweep ends the connections whose time is up, and arms the timer for the next ones.
func (h *housekeeper) sweep(now int64) {
	soon := now + int64(h.every)
	next := int64(never)
	if l := h.eng.loop; l != nil && l.askLag(now) {
		next = soon
	}
	for cn := range h.eng.conns.all() {
		if at := h.check(cn, now, soon); at != 0 {
			next = min(next, at)
		}
	}
	if next != never {
		h.deadlines.by(max(next, soon))
	}
}

// check ends a connection whose time is up, and returns when to look at it again; 0: never, or when
// its owner says so. A connection whose client has something to take is looked at soon: its time
// runs from when the client last took some.
func (h *housekeeper) check(cn *conn, now, soon int64) int64 {
	e, dl := h.eng, cn.deadline.Load()
	switch {
	case dl == 0:
		return 0
	case cn.inFlight.Load(): // its loop knows what it waits for
		if now < dl {
			return dl
		}
		if cn.deadline.CompareAndSwap(dl, 0) {
			e.loop.post(post{conn: cn, gen: cn.gen.Load()})
		}
		return 0
	case cn.heldByHousekeeper.Load(): // only this goroutine works on those
		switch {
		case cn.out.linger && now < dl:
			return dl
		case !cn.out.linger && cn.untaken() < cn.queued.Load():
			h.await(cn)
		case now >= dl:
			h.abandon(cn, unix.ETIMEDOUT)
			return 0
		}
		return soon
	case now < dl && cn.queued.Load() == 0:
		return dl
	case !cn.claim():
		return soon
	}
	if !cn.active && cn.queued.Load() > 0 {
		h.recount(cn, now)
	}
	dl, owed := cn.deadline.Load(), cn.queued.Load() > 0
	switch {
	case dl != 0 && now >= dl:
		h.expire(cn)
		return 0
	case !cn.active && e.phase() >= draining: // Drain has met it busy
		e.letGo(cn)
		return 0
	case owed:
		e.giveBack(cn)
		return soon
	default: // it was served meanwhile, or is another one in the same place
		e.giveBack(cn)
		return dl
	}
}

// recount moves the deadline of an idle connection whose client has taken some of the answer that
// is queued, or the last of it.
func (h *housekeeper) recount(cn *conn, now int64) {
	switch n := cn.untaken(); {
	case n == 0:
		cn.queued.Store(0)
		h.eng.expireAt(cn, now+h.eng.timeouts.idle)
	case n < cn.queued.Load():
		cn.queued.Store(n)
		h.eng.expireAt(cn, now+h.eng.timeouts.send)
	}
}

// expire ends a connection that waited too long. A client that has sent a part of a request is told
// so.
func (h *housekeeper) expire(cn *conn) {
	if !cn.active && cn.readable() { // all cores are busy: it is not the client who is late
		h.eng.expireAt(cn, until(time.Duration(h.eng.timeouts.head)))
		h.eng.giveBack(cn)
		return
	}
	if !cn.active || !cn.lis.proto.client {
		if !cn.active && cn.queued.Load() > 0 {
			cn.writeErrs.Add(1)
			if !h.eng.settings.IgnoreWriteErrors {
				h.note("the client (%s) did not take the rest of its response: %s", cn.peer.Addr,
					h.eng.writeErrorText(unix.ETIMEDOUT))
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
