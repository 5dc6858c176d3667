package dataplane

import "golang.org/x/sys/unix"

// What an exchange does on a Loop. Nothing here waits: output the client does not accept is queued
// on the connection and written when the epoll set reports room, and the application is told to
// pause.

// news is what an exchange in flight has to tell the application: a set of bits.
type news uint8

const (
	newsRoom   news = 1 << iota // the client has taken what was kept
	newsInput                   // something came that the application waits for
	newsGone                    // the client is gone
	newsCancel                  // the request is over its time
	newsDrain                   // the worker leaves
)

// flight is the state of an exchange while its application runs.
type flight struct {
	inFlight bool
	over     bool // the response is whole, or broken, and the connection went on
	unread   bool // the body is not whole yet
	owes100  bool // the client waits for 100 Continue
	waiting  bool // the application waits for the body or for the client's end
	full     bool // it waits until the client has taken more
	gone     bool // it was told that the client is gone
	refused  int  // what the body is refused with if the application has no answer, 0: nothing
	news     news
	told     bool        // in Loop.telling
	turn     uint        // of the loop, in which reads were made
	reads    int         // of the connection, in that turn
	later    bool        // in Loop.later
	socket   *loopSocket // nil: no WebSocket was asked for
}

const (
	// streamFrom: a body that is longer is read as the application asks for it.
	streamFrom = 64 << 10
	// highWater is how many bytes of a response may be kept here before the application is told to
	// wait.
	highWater = 64 << 10
)

// async reports whether that application is called with its loop's own interface.
func (l *Loop) async(app int) bool { return app >= 0 && l.how.Async[app] }

// tell notes news; one of the next events reports it.
func (x *Exchange) tell(n news) {
	x.news |= n
	if !x.told {
		x.told = true
		x.loop.telling = append(x.loop.telling, x)
		x.loop.unseen = true
	}
}

// tell fills ev with the news of an exchange. False: there is none.
func (l *Loop) tell(ev *Event) bool {
	for len(l.telling) > 0 {
		x := l.telling[0]
		if x.inFlight && x.pop(ev) {
			ev.Exchange = x.id
			return true
		}
		x.told = false
		l.telling = l.telling[1:]
	}
	return false
}

// pop takes one piece of news that the application is to hear.
func (x *Exchange) pop(ev *Event) bool {
	has := func(n news) bool {
		yes := x.news&n != 0
		x.news &^= n
		return yes
	}
	if has(newsInput) && x.input(ev) {
		x.waiting = false
		return true
	}
	switch {
	case has(newsRoom):
		ev.Kind = RoomToWrite
	case has(newsGone) && !x.gone:
		x.gone, x.waiting = true, false
		ev.Kind = ClientGone
	case has(newsCancel):
		ev.Kind = CancelIt
	case has(newsDrain):
		ev.Kind = DrainIt
	default:
		return false
	}
	return true
}

// mayRead reports whether the connection may be read once more in this turn of the loop; otherwise
// the application is told to read on in the next one. A client that sends without end must not keep
// the loop from all others.
func (x *Exchange) mayRead(most int) bool {
	l := x.loop
	if x.turn != l.asks {
		x.turn, x.reads = l.asks, 0
	}
	if x.reads++; x.reads <= most {
		return true
	}
	if !x.later {
		x.later, l.unseen = true, true
		l.later = append(l.later, x)
	}
	return false
}

// How often a connection is read in a turn of the loop: a piece of a body is one message to the
// application, what is read of a WebSocket may be thousands.
const (
	bodyReads   = 4
	socketReads = 1
)

// input reads what has come, if the application waits for it. False: it need not be told.
func (x *Exchange) input(ev *Event) bool {
	switch {
	case x.over:
		return false
	case x.opened() && !x.waiting:
		if !x.socket.wsgi {
			x.hearSocket()
		}
		return false
	case x.opened():
		return x.nextMessage(ev)
	}
	return x.waiting && x.unread && x.pull(ev)
}

// happened handles an epoll event of the connection.
func (x *Exchange) happened(events uint32) {
	cn := x.cn
	if events&unix.EPOLLOUT != 0 {
		x.writeQueued()
	}
	if events&unix.EPOLLIN != 0 {
		cn.readAll = false
		x.tell(newsInput)
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		cn.hup, cn.readAll = true, false
		if x.unread && events&(unix.EPOLLHUP|unix.EPOLLERR) == 0 || x.opened() {
			x.tell(newsInput) // something may be left to read
		} else {
			x.tell(newsGone)
		}
	}
}

// timedOut is called when the deadline of the connection has passed.
func (x *Exchange) timedOut() {
	cn := x.cn
	switch {
	case cn.out.unsent():
		if cn.untaken() < cn.queued.Load() { // it takes some now and then
			x.await()
			return
		}
		cn.out.reset(x.eng)
		x.clientGone(unix.ETIMEDOUT)
		x.tellRoom()
	case x.opened():
		x.silent()
		return
	case x.unread && x.waiting:
		_, option := x.eng.bodyTimeout(cn)
		x.log("a client (%s) did not finish its request in time (%s)", cn.peer.Addr, option)
		x.dropBody(408)
	default:
		return
	}
	x.tell(newsGone)
}

// watch makes the epoll set report the connection's input and end, and with room also that it can
// be written to.
func (x *Exchange) watch(room bool) {
	cn, op := x.cn, unix.EPOLL_CTL_MOD
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff}
	if room {
		ev.Events |= unix.EPOLLOUT
	} else if cn.registered && !cn.watched && !cn.hup { // after a hup it is set anew, which has epoll tell it again
		return
	}
	if !cn.registered {
		op = unix.EPOLL_CTL_ADD
	}
	setData(&ev, cn.tag())
	if unix.EpollCtl(x.eng.epfd, op, cn.fd, &ev) != nil {
		x.clientGone(unix.ENOMEM)
		x.tell(newsGone)
		return
	}
	cn.registered, cn.watched = true, room
}

// Suspended is called when the application yields to the loop for the first time: from here on the
// end of the client is watched for.
func (x *Exchange) Suspended() {
	if !x.over {
		x.watch(x.cn.watched)
	}
}

// await restarts the send timeout.
func (x *Exchange) await() {
	x.cn.queued.Store(x.cn.untaken())
	x.eng.expireAt(x.cn, monotonic()+x.eng.timeouts.send)
}

// Read is called by an application that waits for the body, or for the client to leave. It gives
// what there is now, or NoEvent: Next will report it.
func (x *Exchange) Read(ev *Event) Kind {
	*ev = Event{Exchange: x.id, BodyFD: -1}
	switch {
	case x.over, x.gone:
		ev.Kind = ClientGone
		return ev.Kind
	case x.opened():
		if !x.nextMessage(ev) {
			x.waiting = true
		}
		return ev.Kind
	case x.owes100:
		x.owes100 = false
		x.vec.n = 0
		x.vec.add(continue100)
		x.tryFlush()
	}
	if x.unread && x.pull(ev) {
		return ev.Kind
	}
	x.waiting = true
	if x.unread {
		timeout, _ := x.eng.bodyTimeout(x.cn)
		x.eng.expireAt(x.cn, monotonic()+timeout)
	}
	x.watch(x.cn.watched)
	return NoEvent
}
