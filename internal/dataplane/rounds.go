package dataplane

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// The housekeeper's rounds. While all cores are busy, somebody must see that listening queues do
// not fill and that no connection waits here while another worker is idle. Being woken for every
// connection would cost more than serving it (tried: +40 % on a hello world), so the housekeeper
// looks at intervals: short ones while long requests have connections wait, longer ones while there
// is work (eight workers that each looked every 2 ms cost a page of Django 15 %), none in a worker
// that has nothing to do. From that sleep the core that gets the first request wakes it.
type rounds struct {
	nextRound int64       // monotonic ns, 0 = asleep
	asleep    atomic.Bool // nobody makes rounds; the next request must wake the housekeeper
	seen      int64       // requests at the last round
	lastWork  int64       // monotonic ns of the last round that saw work
	fillsIn   int64       // fillTime, 0 = not measured yet
}

const (
	hotRound   = 100 * time.Microsecond // while a queue fills
	shortRound = 2 * time.Millisecond
	longRound  = 8 * time.Millisecond
	quietAfter = 200 * time.Millisecond

	shareAfter = 2 * time.Millisecond // a request as old as this keeps others waiting
	perRound   = 8                    // events looked at for one that can be handed on
)

// rouse is called by a core that begins a request.
func (h *housekeeper) rouse() {
	if h.asleep.Load() && h.asleep.CompareAndSwap(true, false) {
		h.wake()
	}
}

// round is called whenever the housekeeper is awake.
func (h *housekeeper) round(now int64) {
	e := h.eng
	if h.nextRound != 0 && now < h.nextRound || h.asleep.Load() {
		return
	}
	if e.phase() >= draining || e.loop != nil {
		h.nextRound = 0 // a time that has passed would have the loop spin
		return
	}
	busy, filling := !e.idle(), false
	if !e.hindered(paused) {
		for _, l := range e.listeners {
			filling = pending(l.FD) && h.look(l) || filling
		}
	}
	interval := longRound
	if busy {
		if h.share(now) {
			interval = shortRound
		}
		h.leftAt = -1
	} else {
		h.fetchLeft()
	}
	if filling {
		h.lastWork, h.nextRound = now, now+int64(hotRound)
		return
	}
	if n := e.row.Requests.Load(); n != h.seen || busy {
		h.seen, h.lastWork = n, now
	}
	if now-h.lastWork > int64(quietAfter) {
		h.nextRound = 0
		h.asleep.Store(true)
		if e.anyBusy() { // it began before it could see that nobody is awake
			h.asleep.Store(false)
			h.nextRound = now + int64(shortRound)
		}
		return
	}
	if h.fillsIn == 0 {
		h.fillsIn = h.fillTime()
	}
	h.nextRound = now + min(int64(interval), h.fillsIn)
}

// fillTime is how long the shortest of the kernel's queues lasts in a burst, ns: unix sockets are
// connected to at some 50 a millisecond, and a quarter of it is left to whoever is late. That of a
// socket that is bound here is as long as the kernel allows; others may be short.
func (h *housekeeper) fillTime() int64 {
	shortest := int64(math.MaxInt32)
	for _, l := range h.eng.listeners {
		if _, limit := kernelQueue(&h.queue, l); limit > 0 {
			shortest = min(shortest, int64(limit))
		}
	}
	return max(int64(250*time.Microsecond), shortest*int64(5*time.Microsecond))
}

func (e *Engine) anyBusy() bool {
	for _, x := range e.used() {
		if x.cell.State.Load() == scoreboard.CellBusy {
			return true
		}
	}
	return false
}

// share hands connections whose next request has come, and which no core of this worker is free
// for, to workers that have nothing to do. It says whether it is worth looking again soon: there
// are other connections, and they may have to wait for long requests.
func (h *housekeeper) share(now int64) (again bool) {
	e := h.eng
	if e.boot.HandoffFD <= 0 || e.settings.Processes < 2 || e.row.Conns.Load() <= int64(len(e.cores)) {
		return false
	}
	for _, x := range e.used() {
		// A WebSocket that waits for its client has a start that is still to come.
		if since := now - x.cell.Started.Load(); since >= 0 && since < int64(shareAfter) {
			return false
		}
	}
	if !e.hold() { // it has begun to drain: that hands on what is idle
		return false
	}
	defer e.release()
	for free := e.idleElsewhere(); free > 0; free-- {
		cn := h.waiting()
		if cn == nil {
			break
		}
		// A part of a request cannot travel: that connection waits for a core of ours, and so does
		// one that nobody takes.
		if cn.active || !e.handOn(cn) {
			e.enqueue(cn)
			break
		}
		e.drop(cn) // tells the client nothing: the connection lives on in the message
	}
	return true
}

// waiting takes a connection that has sent something, from what a core has fetched and not come to,
// else from the kernel. Events of other kinds are told again.
func (h *housekeeper) waiting() *conn {
	e := h.eng
	for _, c := range e.cores {
		for i := range c.tags {
			if cn := e.ownConn(c.take(i)); cn != nil {
				return cn
			}
		}
	}
	for range perRound {
		var events [1]unix.EpollEvent
		if n, errno := epollWait(e.epfd, events[:], 0); errno != 0 || n == 0 {
			return nil
		}
		if cn := e.ownConn(tagOf(&events[0])); cn != nil {
			return cn
		}
	}
	return nil
}

// idleElsewhere counts the cores of other workers that wait for work.
func (e *Engine) idleElsewhere() int {
	n := 0
	for i := range e.board.Rows() {
		row := e.board.Row(i)
		if i == e.rowIndex || row.PID.Load() == 0 || row.Accepting.Load() == 0 {
			continue
		}
		n += e.board.Used(i) - e.board.Busy(i)
	}
	return n
}
