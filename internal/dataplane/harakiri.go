package dataplane

import (
	"uwsgi/internal/scoreboard"
	"uwsgi/internal/wire"
)

// harakiri answers in place of a core whose request, begun at started, is past its deadline. The
// supervisor, which asked for this, kills the worker soon.
func (h *housekeeper) harakiri(exchange int, started int64) {
	if exchange < 0 || exchange >= len(h.eng.used()) {
		return
	}
	x := h.eng.exchanges[exchange]
	request := x.request()
	if x.cell.State.Load() == scoreboard.CellBusy && x.cell.Started.Load() == started {
		h.answerFor(x, request)
	}
}

// cancel asks the loop to cancel an exchange: that of the request begun at started.
func (e *Engine) cancel(exchange int, started int64) {
	if e.loop == nil || exchange < 0 || exchange >= len(e.used()) {
		return
	}
	x := e.exchanges[exchange]
	request := x.request()
	if x.cell.Started.Load() == started {
		e.loop.post(post{x: x, request: request, news: newsCancel})
	}
}

// giveUp answers 504 to every running request and to those still queued: this worker is about to be
// killed.
func (h *housekeeper) giveUp() {
	for _, x := range h.eng.used() {
		request := x.request()
		if x.cell.State.Load() == scoreboard.CellBusy {
			h.answerFor(x, request)
		}
	}
	for cn := h.eng.queue.take(); cn != nil; cn = h.eng.queue.take() {
		cn.dismiss(504)
		h.eng.close(cn)
	}
}

// answerFor answers 504 to the request that x runs, if nothing was sent yet, and ends its
// connection. request is the one that was in hand before the cell was looked at: the core may be at
// its next request by now, which must not be answered.
func (h *housekeeper) answerFor(x *Exchange, request uint64) {
	if !x.stuck.CompareAndSwap(false, true) {
		return
	}
	h.eng.stuck.Add(1)
	if !x.claimFor(request) {
		if x.request() != request {
			x.recovered()
		}
		return // its answer is on the way
	}
	// The core cannot close the connection now: settle waits for answerElsewhere.
	x.cn.sendError(504)
	x.cn.hangUp()
	h.eng.log.writeFor(&h.scratch, x, 504) // nobody else does, where the worker is killed
	x.answered(request)
}

// recovered notes that a core came back from a request that had been given up.
func (x *Exchange) recovered() {
	if x.stuck.CompareAndSwap(true, false) {
		x.eng.stuck.Add(-1)
	}
}

// waitsForToken reports whether a core still waits for events and does not know yet that the worker
// is leaving.
func (e *Engine) waitsForToken() bool {
	for _, c := range e.cores {
		if c.looping.Load() && !c.sawLeaving.Load() && !c.x.stuck.Load() && !c.serving.Load() {
			return true
		}
	}
	return false
}

// settleStuck makes the supervisor hear as soon as all other cores have seen that the worker is
// leaving. If it was leaving before, one core may have taken another's token: that did not matter
// while nothing was stuck.
func (e *Engine) settleStuck() {
	if e.phase() >= leaving {
		e.wakeAll()
	}
	e.tellAnswered(e.active.Load())
}

// GivenUp reports whether only requests past their deadline are left, which others have answered.
func (e *Engine) GivenUp() bool { return e.phase() == givenUp }

// tellAnswered tells the supervisor, once, that only stuck cores still hold a request and that
// every other connection was handed off; the supervisor then kills this worker.
func (e *Engine) tellAnswered(active int64) {
	stuck := e.stuck.Load()
	if stuck == 0 || active > stuck || e.phase() < leaving {
		return
	}
	for _, c := range e.cores {
		if c.x.stuck.Load() || !c.looping.Load() {
			continue
		}
		if c.serving.Load() || !c.sawLeaving.Load() {
			return // it may be about to hand on a connection that no longer counts as active, or to accept one
		}
	}
	if e.enter(givenUp) {
		e.Tell(wire.Report{Op: wire.OpAnswered})
	}
}
