package dataplane

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// The housekeeper's rounds. While all cores are busy, somebody must see that listening queues do
// not fill and that no connection waits here while another worker is idle. To be woken for every
// connection would cost more than serving it (tried: +40 % on a hello world), and for a request now
// and then as much as that. So the core that begins a request sets an alarm, which is a system
// call, and takes it back if the request is over by then and no other follows on its heels. Once it
// has gone off the housekeeper makes rounds, as long as there is work: at intervals, which are
// short where a long request has connections wait (eight workers that each looked every 2 ms cost a
// page of Django 15 %). Where nothing waits and the requests are long, it is something that comes
// that wakes it.
type rounds struct {
	state     atomic.Int32 // a watch
	alarm     timer
	nextRound int64        // monotonic ns, 0 = when something comes
	lastRound int64        // monotonic ns
	interval  int64        // ns from there, when something comes
	seen      int64        // requests at the last round
	fillsIn   atomic.Int64 // fillTime
}

// watch is who looks whether something waits while the cores are busy.
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

	shareAfter = 2 * time.Millisecond // a request as old as this keeps others waiting
	heels      = time.Millisecond     // a core that had so little time between two requests has a third
	perRound   = 8                    // events looked at for one that can be handed on
)

// turn makes one of the moves. False: somebody else has made one.
func (r *rounds) turn(from, to watch) bool { return r.state.CompareAndSwap(int32(from), int32(to)) }

// setAlarm is called when a core is busy. False: somebody looks already.
func (r *rounds) setAlarm(now int64) bool {
	if watch(r.state.Load()) != unwatched || !r.turn(unwatched, alarmed) {
		return false
	}
	r.alarm.set(now + min(int64(shareAfter), r.fillsIn.Load()))
	return true
}

// begin is called by a core with the request that it begins, before x.finished is that one's.
func (h *housekeeper) begin(x *Exchange) {
	if h.setAlarm(x.started) {
		x.core.alarmed = x.started-x.finished > int64(heels)
	}
}

// end is called by a core that has answered the request which it set the alarm for.
func (h *housekeeper) end(x *Exchange) {
	x.core.alarmed = false
	if h.eng.anyBusy() {
		return // it is that one's now
	}
	h.alarm.set(0) // before the move: after it another core sets it
	if h.turn(alarmed, unwatched) && h.eng.anyBusy() {
		h.setAlarm(monotonic()) // that one relied on ours
	}
}

// alert begins the rounds: the alarm has gone off.
func (h *housekeeper) alert(now int64) {
	if h.turn(alarmed, watched) {
		h.nextRound = now
	}
}

// rest ends them.
func (h *housekeeper) rest(now int64) {
	h.nextRound = 0
	h.turn(watched, unwatched)
	if h.eng.anyBusy() { // it began before it could see that nobody looks
		h.setAlarm(now)
	}
}

// stirred is called when something has come while the cores were busy with long requests.
func (h *housekeeper) stirred() {
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
	if long && h.share() {
		h.interval = min(int64(shortRound), h.fillsIn.Load())
	}
	switch {
	case filling:
		h.nextRound = now + int64(hotRound)
	case long && !e.anyFetched():
		h.stirMe()
	default:
		h.nextRound = now + h.interval
	}
}

// stirMe has the housekeeper told, once, when something is there for the cores; at once, if it is
// there now.
func (h *housekeeper) stirMe() {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
	setData(&ev, tagCores)
	unix.EpollCtl(h.epfd, unix.EPOLL_CTL_MOD, h.eng.epfd, &ev)
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

// allLong reports whether all cores, which are busy, have been so long enough to keep others
// waiting.
func (e *Engine) allLong(now int64) bool {
	for _, x := range e.used() {
		// A WebSocket that waits for its client has a start that is still to come.
		if since := now - x.cell.Started.Load(); since >= 0 && since < int64(shareAfter) {
			return false
		}
	}
	return true
}

// anyFetched reports whether a core has fetched something that it has not come to.
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

// share hands connections that no core of this worker is free for to workers that have nothing to
// do: those whose next request has come, and one that the kernel has told this worker of. It says
// whether it is worth looking again soon: there are connections, and they may have to wait for long
// requests.
func (h *housekeeper) share() (again bool) {
	e := h.eng
	if e.boot.HandoffFD <= 0 || e.settings.Processes < 2 {
		return false
	}
	if e.row.Conns.Load() <= int64(len(e.cores)) && !e.anyFetched() {
		return false
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

// waiting takes a connection that has sent something, or that is new, from what a core has fetched
// and not come to, else from the kernel. Events of other kinds are told again.
func (h *housekeeper) waiting() *conn {
	e := h.eng
	for _, c := range e.cores {
		for i := range c.tags {
			if cn := h.waitingAt(c.take(i)); cn != nil {
				return cn
			}
		}
	}
	for range perRound {
		var events [1]unix.EpollEvent
		if n, errno := epollWait(e.epfd, events[:], 0); errno != 0 || n == 0 {
			return nil
		}
		if cn := h.waitingAt(tagOf(&events[0])); cn != nil {
			return cn
		}
	}
	return nil
}

// waitingAt takes the connection that an event is about.
func (h *housekeeper) waitingAt(tag uint64) *conn {
	e := h.eng
	if tag&tagListener == 0 {
		return e.ownConn(tag)
	}
	if e.full() || !e.listens() {
		return nil
	}
	l := e.listeners[tag&^tagListener]
	salen := uint32(unix.SizeofSockaddrAny)
	fd, errno := accept(l.FD, &h.sa, &salen)
	if errno != 0 {
		return nil
	}
	cn := e.newConn(fd, l)
	if cn != nil {
		setPeer(cn, &h.sa)
	}
	return cn
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
