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
