package dataplane

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Asking the kernel for one event at a time costs a system call for each request. A worker of one
// core takes several, unless its requests are slow: what a core has fetched no other core sees. The
// housekeeper does, and takes back what lies in front of a request that turns out slow.

const (
	maxEvents = 16
	slowFrom  = 200 * time.Microsecond // a request as long as this is slow
)

// eventBatch is what a core has fetched and not worked on yet.
type eventBatch struct {
	events   [maxEvents]unix.EpollEvent
	tags     [maxEvents]atomic.Uint64 // 0: taken
	lastSlow bool                     // the last request was
}

// batchSize is how many events the core fetches next.
func (c *Core) batchSize() int {
	if len(c.eng.cores) > 1 || c.lastSlow {
		return 1
	}
	return maxEvents
}

// fetched publishes n events; take gives one of them, 0 when somebody else has it.
func (b *eventBatch) fetched(n int) {
	for i := range n {
		b.tags[i].Store(tagOf(&b.events[i]))
	}
}

// tagOf is the event's data, for a connection with what the event says of its end.
func tagOf(ev *unix.EpollEvent) uint64 {
	tag := data(ev)
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && tag&tagOther == 0 {
		tag |= tagHup
	}
	return tag
}

// ownConn makes the caller owner of the connection that an event is about; nil when it is about
// none, or somebody else has it.
func (e *Engine) ownConn(tag uint64) *conn {
	if tag == 0 || tag&tagOther != 0 {
		return nil
	}
	cn := e.conns.of(tag)
	if cn == nil || !cn.own() {
		return nil
	}
	cn.hup = tag&tagHup != 0
	return cn
}

func (b *eventBatch) take(i int) uint64 { return b.tags[i].Swap(0) }

// acceptBackoff decides whether to try accept() once more instead of asking epoll: under load there
// mostly is a connection, otherwise the try costs a call for nothing, so each miss makes the next
// try rarer.
type acceptBackoff struct{ row, skip, penalty int }

// maxAccepts is how many connections a core serves in a row while those it has already wait.
const maxAccepts = 32

func (a *acceptBackoff) worth() bool {
	if a.row >= maxAccepts {
		a.row = 0
		return false
	}
	if a.skip > 0 {
		a.skip--
		a.row = 0
		return false
	}
	a.row++
	return true
}

func (a *acceptBackoff) hit() {
	if a.row > 0 {
		a.penalty = 0
	}
}

func (a *acceptBackoff) missed() {
	if a.row > 0 {
		a.penalty = min(2*a.penalty+1, 63)
		a.skip = a.penalty
	}
	a.row = 0
}
