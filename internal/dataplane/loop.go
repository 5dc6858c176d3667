package dataplane

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Loop serves on the thread of a Python event loop. Python's loop watches the data plane's epoll
// set among its own descriptors, and Next reports what has happened there, one event at a time.
// Many exchanges are in flight at once, and no Go is on the stack while the application runs.
// Everything is called on that one thread, except where another caller is named.
type Loop struct {
	*Core
	how  Serving
	pure bool // all applications are called with the loop's own interface

	events    [fetchAtOnce]unix.EpollEvent
	n, at     int         // events fetched, and worked on
	asked     bool        // the epoll set has told all it had
	asks      uint        // how often it was asked
	accepting *listener   // may have more connections
	offered   []*listener // may have some
	local     []*conn     // ours, to be looked at again
	begun     Event       // the request that was just started, or a uWSGI signal

	made      atomic.Int32 // exchanges that exist
	free      []*Exchange  // the last one used is used first: its memory is warm
	inFlight  int
	telling   []*Exchange // have something to tell the application
	later     []*Exchange // have had their turn, and more may be there to read
	unseen    bool        // there is work that the epoll set will not tell of
	drainTold bool        // the exchanges in flight have heard that the worker leaves

	mu     sync.Mutex
	posted []post // by other threads

	askedAt atomic.Int64 // monotonic ns, when the housekeeper asked how late it is; 0: it has the answer
}

// fetchAtOnce is how many events epoll is asked for at a time.
const fetchAtOnce = 64

// offerEvery: listening sockets that Python's loop watches are tried when there is nothing else to
// do, and otherwise once in so many looks.
const offerEvery = 8

// post is news from another thread: for one exchange, for one connection, or (neither) for all
// exchanges in flight.
type post struct {
	conn    *conn // whose time is up
	gen     uint32
	x       *Exchange
	request uint64
	news    news
}

func newLoop(e *Engine, how Serving) *Loop {
	l := &Loop{Core: newCore(e, 0), how: how, pure: !slices.Contains(how.Async, false)}
	l.made.Store(1)
	l.Core.loop, l.own.loop = l, l
	return l
}

// Next gives the next thing that happened. NoEvent: nothing more has; the epoll set becomes
// readable when something does, or Again says that there is more to do.
func (l *Loop) Next(ev *Event) Kind {
	*ev = Event{BodyFD: -1}
	l.next(ev)
	// Who was given an event asks on.
	l.unseen = ev.Kind == NoEvent && len(l.telling)+len(l.later) > 0
	return ev.Kind
}

func (l *Loop) next(ev *Event) {
	for !l.tell(ev) {
		if !l.step() {
			if l.drained() {
				ev.Kind = Leave
			}
			return
		}
		if l.begun.Kind != NoEvent {
			*ev = l.begun
			l.begun = Event{}
			return
		}
	}
}

// drained reports, once, that the worker has nothing left to do.
func (l *Loop) drained() bool {
	e := l.eng
	return l.inFlight == 0 && e.phase() != left && e.drained()
}

// step works on one thing that is there. False: there is none.
func (l *Loop) step() bool {
	switch {
	case len(l.local) > 0 && l.x != nil:
		cn := l.local[0]
		l.local = l.local[1:]
		l.work(cn)
	case l.accepting != nil:
		lis := l.accepting
		l.accepting = nil
		l.accept(lis)
	case l.at < l.n:
		ev := &l.events[l.at]
		l.at++
		l.handle(ev)
	case len(l.offered) > 0:
		lis := l.offered[0]
		l.offered = l.offered[1:]
		l.accept(lis)
	case l.asked:
		l.asked = false
		return false
	default:
		for _, x := range l.later {
			x.later = false
			x.tell(newsInput)
		}
		l.later = l.later[:0]
		l.eng.row.Loop.Beat.Store(monotonic())
		n, errno := epollNow(l.eng.epfd, l.events[:])
		if errno == unix.EINTR {
			return true
		}
		if errno != 0 {
			l.eng.house.lost(errno)
		}
		l.n, l.at, l.asked = n, 0, n < len(l.events)
		if l.asks++; l.eng.outer >= 0 && (n == 0 || l.asks%offerEvery == 0) {
			l.offered = l.eng.listeners // it may have been one of them that woke Python's loop
		} else if n == 0 {
			l.asked = false
			return false
		}
	}
	return true
}

// handle works on one event of the epoll set.
func (l *Loop) handle(ev *unix.EpollEvent) {
	e, tag := l.eng, data(ev)
	switch {
	case tag&tagListener != 0:
		l.accept(e.listeners[tag&^tagListener])
		return
	case tag&tagHandoff != 0:
		if l.x != nil {
			l.serveHandoff()
		}
		return
	case tag&tagWake != 0:
		l.takeToken()
		return
	}
	cn := e.conns.of(tag)
	switch {
	case cn == nil:
	case cn.flight != nil:
		cn.flight.happened(ev.Events)
	default:
		if cn = e.ownConn(tagOf(ev)); cn != nil {
			l.workWhenFree(cn)
		}
	}
}

// workWhenFree works on a connection as soon as an exchange is free for the request it may bring.
func (l *Loop) workWhenFree(cn *conn) {
	if l.x == nil {
		l.local = append(l.local, cn)
		return
	}
	l.work(cn)
}

// accept takes one connection. If a request comes with it, Python must hear of that before the next
// one is accepted.
func (l *Loop) accept(lis *listener) {
	e := l.eng
	if l.x == nil || !e.listens() {
		return
	}
	if !l.acceptOne(lis) {
		return
	}
	switch {
	case e.settings.Processes > 1 && l.leads():
		e.relisten()
	case l.backoff.worth():
		l.accepting = lis
	}
}

// leads reports whether this worker has clearly more connections than the others have on average: a
// loop keeps what it accepts, however long that lives.
func (l *Loop) leads() bool {
	e := l.eng
	var all, workers int64
	for i := range e.board.Rows() {
		if row := e.board.Row(i); row.Accepting.Load() != 0 && row.PID.Load() != 0 {
			all += row.Conns.Load()
			workers++
		}
	}
	return workers > 1 && (e.row.Conns.Load()-1)*workers > all
}

// takeToken does what another thread woke the loop for.
func (l *Loop) takeToken() {
	var b [8]byte
	unix.Read(l.eng.wakefd, b[:])
	l.replyLag()
	l.mu.Lock()
	posted := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, p := range posted {
		switch {
		case p.conn == nil && p.x == nil:
			n := l.tellAll(p.news, func(x *Exchange) bool { return !x.over || p.news == newsCancel })
			if n > 0 && p.news == newsCancel {
				l.eng.house.note("worker %d (pid: %d): the mercy ends, %d requests are cancelled", l.eng.slot,
					os.Getpid(), n)
			}
		case p.conn == nil:
			if p.x.request() == p.request && p.x.inFlight {
				p.x.tell(p.news)
			}
		case p.conn.gen.Load() == p.gen && p.conn.flight != nil:
			p.conn.flight.timedOut()
		}
	}
	if l.eng.phase() >= draining && !l.drainTold {
		l.drainTold = true
		l.tellAll(newsDrain, func(x *Exchange) bool { return !x.over && x.opened() })
		mercy := l.eng.settings.Mercy()
		l.tellLater(mercy/2, newsDrain)
		l.tellLater(mercy-min(mercy/8, lastMoment), newsCancel)
	}
	if number, ok := l.eng.signals.take(); ok {
		l.begun = Event{Kind: SignalComes, Code: number, BodyFD: -1}
	} else if cn := l.eng.queue.take(); cn != nil {
		l.workWhenFree(cn)
	}
}

// tellAll tells news to each exchange in flight for which meant holds, and gives their number.
func (l *Loop) tellAll(n news, meant func(x *Exchange) bool) (told int) {
	for _, x := range l.eng.used() {
		if x.inFlight && meant(x) {
			x.tell(n)
			told++
		}
	}
	return told
}

// lastMoment is how long before the end of the mercy, at most, what is still in flight is
// cancelled: the applications shall end in order as well.
const lastMoment = 2 * time.Second

// tellLater tells news, after d, to all that is in flight then.
func (l *Loop) tellLater(d time.Duration, n news) {
	time.AfterFunc(d, func() {
		if l.eng.phase() < left {
			l.post(post{news: n})
		}
	})
}

// post leaves news for the loop's thread; called on others.
func (l *Loop) post(p post) {
	l.mu.Lock()
	l.posted = append(l.posted, p)
	l.mu.Unlock()
	l.eng.wake(1)
}

// PollFD is the descriptor that becomes readable when something happens.
func (e *Engine) PollFD() int { return e.epfd }

// Again reports, once, that Next has something to give of which the epoll set will not tell.
func (l *Loop) Again() bool {
	unseen := l.unseen
	l.unseen = false
	return unseen
}
