package dataplane

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Drain stops taking connections, lets requests finish and makes the cores leave Run. Idle
// connections are handed to the other workers; if there are none, their next request is awaited for
// a moment and then they are closed. Drain may be called more than once, from any thread.
func (e *Engine) Drain(reason string, handoff bool) { e.drain(reason, handoff, false) }

// drain is Drain; closing: the listening sockets end with the instance, and what waits in their
// queues is answered first.
func (e *Engine) drain(reason string, handoff, closing bool) {
	e.drainMu.Lock()
	defer e.drainMu.Unlock()
	e.handoff.Store(handoff && e.boot.HandoffFD > 0)
	first := e.enter(draining)
	if first {
		e.stopListening()
		e.row.Accepting.Store(0)
		e.patience.Store(monotonic() + int64(handoffWait))
		e.lingerUntil.Store(monotonic() + int64(lastGrace))
		time.AfterFunc(lastGrace, e.dismissIdle)
		e.upgrades.end()
	}
	if closing {
		e.active.Add(1) // the cores stay for what waits
		go e.emptyQueues()
	}
	if !first {
		return
	}
	if e.boot.HandoffInFD > 0 {
		unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, e.boot.HandoffInFD, nil)
	}
	for cn := range e.conns.all() {
		if !cn.claim() {
			continue
		}
		if cn.active { // a part of a request is here: it is served
			e.giveBack(cn)
		} else {
			e.letGo(cn)
		}
	}
	e.forwardHandoffs()
	e.forwardQueued()
	e.enter(leaving)
	e.signals.end()
	e.wakeAll()
}

// drained reports whether the cores may leave: the worker is to end, and nothing of a request is
// here. That is for good, also when a connection becomes active a moment later.
func (e *Engine) drained() bool {
	if e.phase() >= leaving && e.active.CompareAndSwap(0, over) {
		e.enter(left)
		e.wakeAll()
	}
	return e.active.Load() < 0
}

// over is Engine.active when the cores leave, far below what those that come late add to it.
const over = math.MinInt64 / 2

// letGo lets go of a connection that this worker owns and whose next request has not begun: another
// worker gets it, or its client is waited for a moment, or it is closed.
func (e *Engine) letGo(cn *conn) {
	if e.handoff.Load() && e.sendHandoff(cn) {
		// Ours must be closed without telling the client: the connection lives on in the message.
		e.drop(cn)
		return
	}
	switch {
	case cn.readable(): // its next request has come: it is served here
		e.enqueue(cn)
	case monotonic() < e.lingerUntil.Load():
		e.setActive(cn, true) // the cores stay for it
		if !e.park(cn, until(time.Duration(e.timeouts.head))) {
			e.enqueue(cn)
		}
	default:
		e.close(cn)
	}
}

// lastGrace is how long a draining worker waits for the next request on connections that nobody
// else can take. A front end connects, or takes a connection that it has kept, right before it
// asks, and would tell its client of a bad gateway.
const lastGrace = 500 * time.Millisecond

// dismissIdle closes the connections that have said nothing in that time.
func (e *Engine) dismissIdle() {
	e.drainMu.Lock()
	defer e.drainMu.Unlock()
	if e.phase() == left {
		return
	}
	if !e.handoff.Load() {
		e.forwardHandoffs() // by workers that have heard of the end later
	}
	for cn := range e.conns.all() {
		if !cn.claim() {
			continue
		}
		if len(cn.in) > 0 || cn.body.open() {
			e.giveBack(cn)
			continue
		}
		e.letGo(cn)
	}
}

// keepsOpen reports whether a connection may go on though this worker leaves, because another one
// takes it. Where there is none, HTTP can announce the end of a connection; FastCGI cannot, so that
// its client is given a moment to close it.
func (e *Engine) keepsOpen(cn *conn) bool {
	return e.handoff.Load() && cn.plain || !cn.lis.proto.delimits && monotonic() < e.lingerUntil.Load()
}
