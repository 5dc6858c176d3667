package dataplane

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// rounds are the housekeeper's. While all cores are busy, something must notice when listening
// queues fill, or when a connection waits here while another worker is idle. Waking for every
// connection would cost more than serving it (tried: +40 % on a hello world), and so would waking
// for a request now and then. So the core that begins a request sets an alarm, which takes a system
// call, and clears it if the request is over by then and no other follows closely.
//
// Once the alarm has gone off, the housekeeper makes rounds at intervals as long as there is work.
// The intervals are short where a long request makes connections wait (eight workers that each
// looked every 2 ms cost a page of Django 15 %). Where nothing waits and the requests are long, the
// next event wakes it.
type rounds struct {
	state     atomic.Int32 // a watch
	alarm     timer
	nextRound int64        // monotonic ns, 0 = when something comes
	lastRound int64        // monotonic ns
	interval  int64        // ns from there, when something comes
	seen      int64        // requests at the last round
	fillsIn   atomic.Int64 // fillTime
}

// watch says who looks for waiting connections while the cores are busy.
type watch int32

const (
	unwatched watch = iota // nobody: no core is busy
	alarmed                // the housekeeper, if a core is busy when the alarm goes off
	watched                // the housekeeper, which makes rounds
)

var watchNames = [...]string{"unwatched", "alarmed", "watched"}

func (w watch) String() string { return watchNames[w] }

// watchMoves is every change of watch there is.
var watchMoves = map[watch][]watch{
	unwatched: {alarmed},            // by who begins a request, or sees that one has begun
	alarmed:   {unwatched, watched}, // by the core that set the alarm; by the housekeeper
	watched:   {unwatched},          // by the housekeeper
}

const (
	hotRound   = 100 * time.Microsecond // while a queue fills
	shortRound = 2 * time.Millisecond
	longRound  = 8 * time.Millisecond
	fewAnswers = 4 // between two rounds: the alarm will do

	longFrom = 2 * time.Millisecond // a request as old as this keeps others waiting
	heels    = time.Millisecond     // after two requests so close together a core expects a third
	perRound = 8                    // events looked at for one that can be handed on
)

// move makes one of the moves. False: somebody else has made one.
func (r *rounds) move(from, to watch) bool { return r.state.CompareAndSwap(int32(from), int32(to)) }

// setAlarm is called when a core is busy. False: an alarm is set, or rounds are being made.
func (r *rounds) setAlarm(now int64) bool {
	if watch(r.state.Load()) != unwatched || !r.move(unwatched, alarmed) {
		return false
	}
	r.alarm.set(now + min(int64(longFrom), r.fillsIn.Load()))
	return true
}

// begin is called by a core that begins a request, while x.finished is still that of the one
// before.
func (h *housekeeper) begin(x *Exchange) {
	if h.setAlarm(x.started) {
		x.core.alarmed = x.started-x.finished > int64(heels)
	}
}

// end is called by a core that has answered the request for which it set the alarm.
func (h *housekeeper) end(x *Exchange) {
	x.core.alarmed = false
	if h.eng.anyBusy() {
		return // the alarm serves that one now
	}
	h.alarm.set(0) // before the move: after it another core sets it
	if h.move(alarmed, unwatched) && h.eng.anyBusy() {
		h.setAlarm(monotonic()) // that one relied on ours
	}
}

// alert begins the rounds: the alarm has gone off.
func (h *housekeeper) alert(now int64) {
	if h.move(alarmed, watched) {
		h.nextRound = now
	}
}

// rest ends the rounds.
func (h *housekeeper) rest(now int64) {
	h.nextRound = 0
	h.move(watched, unwatched)
	if h.eng.anyBusy() { // it began while it could still rely on the rounds
		h.setAlarm(now)
	}
}

// eventCame is called when something has come while the cores were busy with long requests.
func (h *housekeeper) eventCame() {
	if watch(h.state.Load()) == watched && h.nextRound == 0 {
		h.nextRound = h.lastRound + h.interval
	}
}

// round is called whenever the housekeeper is awake.
func (h *housekeeper) round(now int64) {
	e := h.eng
	if h.nextRound == 0 || now < h.nextRound {
		return
	}
	h.nextRound, h.lastRound = 0, now
	if e.phase() >= draining {
		return
	}
	filling := false
	if !e.hindered(paused) {
		for _, l := range e.listeners {
			filling = pending(l.FD) && h.acceptAhead(l) || filling
		}
	}
	answered := e.row.Requests.Load() - h.seen
	h.seen += answered
	h.interval = min(int64(longRound), h.fillsIn.Load())
	if e.idle() {
		switch left := h.acceptIfStranded(); {
		case filling:
			h.nextRound = now + int64(hotRound)
		case left || answered >= fewAnswers:
			h.nextRound = now + h.interval
		default:
			h.rest(now)
		}
		return
	}
	h.leftAt = -1
	long := e.allLong(now)
	if long && h.rebalance() {
		h.interval = min(int64(shortRound), h.fillsIn.Load())
	}
	switch {
	case filling:
		h.nextRound = now + int64(hotRound)
	case long && !e.anyFetched():
		h.wakeOnEvent()
	default:
		h.nextRound = now + h.interval
	}
}

// wakeOnEvent makes epoll wake the housekeeper, once, when something is there for the cores; at
// once, if it is there now.
func (h *housekeeper) wakeOnEvent() {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
	setData(&ev, tagCores)
	unix.EpollCtl(h.epfd, unix.EPOLL_CTL_MOD, h.eng.epfd, &ev)
}

// fillTime is how long the shortest of the kernel's queues lasts in a burst, in ns: clients reach a
// unix socket at about 50 a millisecond; a quarter of the queue is kept in reserve for a late
// round. The queue of a socket bound here is as long as the kernel allows; others may be short.
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

// allLong reports whether every core is busy and has been for long enough to keep others waiting.
func (e *Engine) allLong(now int64) bool {
	for _, x := range e.used() {
		// A WebSocket that waits for its client has a start that is still to come.
		if since := now - x.cell.Started.Load(); since >= 0 && since < int64(longFrom) {
			return false
		}
	}
	return true
}

// anyFetched reports whether a core has fetched an event that it has not come to.
func (e *Engine) anyFetched() bool {
	for _, c := range e.cores {
		for i := range c.tags {
			if c.tags[i].Load() != 0 {
				return true
			}
		}
	}
	return false
}
