package dataplane

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"uwsgi/internal/proto/websocket"
	"uwsgi/internal/request"
)

// What an exchange does on a Loop. Nothing here waits: what the client does not take is kept on the
// connection and written when the epoll set says so, and the application learns that it is ahead.

// news is what an exchange in flight has to tell the application, as bits.
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
	news     news
	told     bool        // in Loop.telling
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

// mayStream says that the application may start before the body of r is whole, of which have bytes
// are there.
func (l *Loop) mayStream(cn *conn, r *request.Request, want, have int64) bool {
	return l.async(cn.app) && (r.Chunked || want < 0 || want > have && (want > streamFrom || r.Expect100))
}

// stream begins the exchange of a request whose body is still coming. rest is what follows the
// head.
func (l *Loop) stream(cn *conn, head int, rest []byte) step {
	x, b := l.x, &cn.body
	owes100 := x.req.Expect100 && len(rest) == 0 // RFC 9110 §10.1.1: only when nothing of the body has come
	if x.req.Chunked {
		b.startChunked(l.eng)
	} else {
		b.start(x.req.ContentLength, l.eng)
	}
	b.passes = true
	used, err := b.feed(rest)
	if err != nil {
		return l.refuseBody(cn, err)
	}
	body := b.mem
	if b.whole() {
		b.reset()
		return l.dispatch(cn, head, body, -1, rest[used:])
	}
	b.mem = nil
	x.begin(cn, head)
	next := l.start(x, body, -1, nil, true)
	x.owes100 = owes100
	return next
}

// streamRecords is stream for a body that comes in records: next takes the rest of it.
func (l *Loop) streamRecords(cn *conn, head int, next decoder, want int64, body []byte) step {
	x := l.x
	cn.body.startFramed(next, want, l.eng)
	cn.body.passes = true
	cn.body.size = int64(len(body))
	x.begin(cn, head)
	return l.start(x, body, -1, nil, true)
}

// tell notes news, of which the next event tells.
func (x *Exchange) tell(n news) {
	x.news |= n
	if !x.told {
		x.told = true
		x.loop.telling = append(x.loop.telling, x)
		x.loop.unseen = true
	}
}

// tell fills ev with news of an exchange. False: there is none.
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

// pop takes one of the news that the application is to hear.
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

// input reads what has come, as far as the application waits for it. False: it need not be told.
func (x *Exchange) input(ev *Event) bool {
	switch {
	case x.over:
		return false
	case x.opened() && !x.waiting:
		x.hearSocket()
		return false
	case x.opened():
		return x.nextMessage(ev)
	}
	return x.waiting && x.unread && x.pull(ev)
}

// happened works on what the epoll set says of the connection.
func (x *Exchange) happened(events uint32) {
	cn := x.cn
	if events&unix.EPOLLOUT != 0 {
		x.pushOut()
	}
	if events&unix.EPOLLIN != 0 {
		cn.dry = false
		x.tell(newsInput)
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		cn.hup, cn.dry = true, false
		if x.unread && events&(unix.EPOLLHUP|unix.EPOLLERR) == 0 || x.opened() {
			x.tell(newsInput) // something may be left to read
		} else {
			x.tell(newsGone)
		}
	}
}

// late is called when the connection's time is up.
func (x *Exchange) late() {
	cn := x.cn
	switch {
	case cn.out.some():
		if cn.untaken() < cn.queued.Load() { // it takes some now and then
			x.await()
			return
		}
		cn.out.reset(x.eng)
		x.clientGone(unix.ETIMEDOUT)
	case x.opened():
		x.silent()
		return
	case x.unread && x.waiting:
		_, option := x.eng.bodyTimeout(cn)
		x.log("a client (%s) did not finish its request in time (%s)", cn.peer.Addr, option)
		x.lose()
	default:
		return
	}
	x.tell(newsGone)
}

// watch has the epoll set tell of the connection's input and end.
func (x *Exchange) watch(room bool) {
	cn, op := x.cn, unix.EPOLL_CTL_MOD
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff}
	if room {
		ev.Events |= unix.EPOLLOUT
	} else if cn.registered && !cn.watched {
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

// Suspended is called when the application gives the loop its turn for the first time: from here on
// the client's end is watched for.
func (x *Exchange) Suspended() {
	if !x.over {
		x.watch(x.cn.watched)
	}
}

// putOff keeps x.vec until the client takes it.
func (x *Exchange) putOff() {
	s := &x.cn.out
	for i := range x.vec.n {
		s.append(x.vec.span(i))
	}
	x.vec.n = 0
	if !x.cn.watched {
		x.await()
		x.watch(true)
	}
}

// await restarts the send timeout.
func (x *Exchange) await() {
	x.cn.queued.Store(x.cn.untaken())
	x.cn.deadline.Store(monotonic() + x.eng.sendTimeout)
}

// behind says that the client is so far behind that the application has to wait.
func (x *Exchange) behind() bool {
	s := &x.cn.out
	return int64(len(s.mem)+len(s.rest)+len(s.tail))+s.left > highWater
}

// pushOut writes of what is kept what the client takes now.
func (x *Exchange) pushOut() {
	cn := x.cn
	switch errno := cn.out.write(cn); errno {
	case 0:
		cn.out.reset(x.eng)
		cn.deadline.Store(0)
		cn.queued.Store(0)
		if cn.watched {
			x.watch(false)
		}
		if x.opened() {
			x.keepAlive()
		}
	case unix.EAGAIN:
		x.await()
		x.watch(true) // once more: the write may have ended for fairness
	case unix.ENODATA:
		x.log("%s", cn.out.cutShort())
		cn.out.reset(x.eng)
		x.resetIfUndelimited()
		x.broken = true
		x.tell(newsGone)
	default:
		cn.out.reset(x.eng)
		x.clientGone(errno)
		x.tell(newsGone)
	}
	if x.full && (x.broken || !x.behind()) {
		x.full = false
		x.tell(newsRoom)
	}
}

// Read is called by an application that waits for the body, or for the client's end: what there is
// now, or NoEvent: Next will tell of it.
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
		x.cn.deadline.Store(monotonic() + timeout)
	}
	x.watch(x.cn.watched)
	return NoEvent
}

var continue100 = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// pull reads more of the body. False: there is none now.
func (x *Exchange) pull(ev *Event) bool {
	cn, l := x.cn, x.loop
	b := &cn.body
	for {
		p := l.rbuf
		if left := b.left(); left >= 0 && left < int64(len(p)) {
			p = p[:left] // what follows a body belongs to the next request
		}
		got, errno := cn.recv(p)
		if errno == unix.EAGAIN {
			return false
		}
		ev.Kind = BodyComes
		if errno != 0 || got == 0 {
			x.cell.ReadErrs.Add(1)
			x.log("a client (%s) closed the connection after %d bytes of a request body", cn.peer.Addr, b.size)
			x.lose()
			x.gone, ev.Kind = true, ClientGone
			return true
		}
		cn.dry = got < len(p) && !cn.hup
		ev.Data = p[:got]
		if b.framed() {
			b.mem = b.mem[:0]
			used, err := b.feed(ev.Data)
			if err == nil && b.cutShort() {
				err = errShortBody
			}
			if err != nil {
				x.cell.ReadErrs.Add(1)
				x.log("refused a request body from %s: %s", cn.peer.Addr, reason(err))
				x.lose()
				x.gone, ev.Kind = true, ClientGone
				return true
			}
			if ev.Data = b.mem; b.whole() {
				cn.in, cn.lent = p[used:got], true
				cn.detach()
			}
		} else {
			b.size += int64(got)
		}
		ev.More = !b.whole()
		if len(ev.Data) == 0 && ev.More {
			continue // the frame of a chunk
		}
		cn.deadline.Store(0)
		if x.unread = ev.More; !x.unread {
			b.reset()
			if cn.hup {
				x.tell(newsGone)
			}
		}
		return true
	}
}

// lose gives up the rest of the body: the connection ends with the response.
func (x *Exchange) lose() {
	x.unread, x.keep = false, false
	x.cn.body.reset()
	x.cn.deadline.Store(0)
}

func reason(err error) string {
	var re *request.Error
	if errors.As(err, &re) {
		return re.Reason
	}
	return err.Error()
}

// Send writes a part of the body, the head before it; more: others follow. A response whose head
// and whole body come in one call gets a Content-Length. 0: done; WouldBlock: done, and the client is so
// far behind that the application should wait for RoomToWrite; -1: the client is gone.
func (x *Exchange) Send(p []byte, more bool) int {
	switch {
	case x.over:
		return -1
	case more:
		rc := x.TryWrite(p)
		x.cell.Started.Store(monotonic()) // a stream may take as long as it likes: it is over its time when nothing comes
		x.full = rc == WouldBlock
		return rc
	case !x.headDone:
		x.eng.app.Response(x.id, &x.resp)
		x.resp.Body = p
		x.buffered()
	case x.chunked && len(p) > 0 && len(p) <= copyLimit && !x.broken:
		x.bodyBytes += int64(len(p))
		x.out = strconv.AppendUint(x.out[:0], uint64(len(p)), 16)
		x.out = append(append(append(x.out, crlf...), p...), crlf...)
		x.out = append(x.out, lastChunk...)
		x.ended = true
		x.sendLast(nil)
	default:
		if len(p) > 0 {
			x.TryWrite(p)
		}
		x.Finish()
	}
	return x.conclusion()
}

// SendFile is Send for n bytes of a regular file from off; fd is ours.
func (x *Exchange) SendFile(fd int, off, n int64, more bool) int {
	switch {
	case x.over, x.broken, x.cn.out.left > 0: // the application did not wait
		unix.Close(fd)
		return -1
	case !x.headDone && !more:
		x.eng.app.Response(x.id, &x.resp)
		x.sendWhole(fd, off, n)
		return x.conclusion()
	case x.cn.lis.proto.records != nil:
		x.copyFile(fd, off, n)
		unix.Close(fd)
	default:
		x.spliceFile(fd, off, n)
	}
	if !more {
		x.Finish()
		return x.conclusion()
	}
	switch {
	case x.broken:
		return -1
	case x.cn.out.some():
		x.full = true
		return WouldBlock
	}
	return 0
}

// spliceFile writes a file as a block of the body.
func (x *Exchange) spliceFile(fd int, off, n int64) {
	if !x.headDone {
		x.TryWrite(nil)
	}
	if x.remaining >= 0 && x.cn.lis.proto.delimits {
		n = min(n, x.remaining)
		x.remaining -= n
	}
	x.bodyBytes += n
	if x.noBody || n == 0 || x.broken {
		unix.Close(fd)
		return
	}
	s := &x.cn.out
	if x.chunked {
		s.append(append(strconv.AppendInt(nil, n, 16), crlf...))
		s.tail = append(s.tail, crlf...)
	}
	s.file, s.off, s.left, s.copying = fd, off, n, x.eng.settings.NoSendfile
	x.via = "sendfile"
	x.pushOut()
}

// copyFile writes a file where its frames do not allow sendfile within a response.
func (x *Exchange) copyFile(fd int, off, n int64) {
	buf := make([]byte, min(n, streamFrom))
	for n > 0 && !x.broken {
		k, err := unix.Pread(fd, buf[:min(n, int64(len(buf)))], off)
		if err == unix.EINTR {
			continue
		}
		if k <= 0 {
			x.log("a file could not be read while it was sent: %v", err)
			x.broken = true
			return
		}
		x.TryWrite(buf[:k])
		off, n = off+int64(k), n-int64(k)
	}
}

// conclusion ends the response; it says whether the client got it.
func (x *Exchange) conclusion() int {
	broken := x.broken
	x.loop.responded(x)
	if broken {
		return -1
	}
	return 0
}

// Inform sends an interim response (RFC 8297) with those header lines, where the client may know
// what that is.
func (x *Exchange) Inform(lines []byte) int {
	switch {
	case x.over, x.broken:
		return -1
	case x.headDone, !x.cn.lis.proto.client, x.req.HTTP10:
		return 0
	}
	x.vec.n = 0
	x.vec.add(earlyHints)
	x.vec.add(lines)
	x.vec.add(crlf)
	x.tryFlush()
	if x.broken {
		return -1
	}
	return 0
}

var earlyHints = []byte("HTTP/1.1 103 Early Hints\r\n")

// Trailers ends a response with those header lines, which go out where the body is chunked (RFC
// 9112 §7.1.2).
func (x *Exchange) Trailers(lines []byte) int {
	if x.over {
		return -1
	}
	if !x.chunked || x.broken || !x.headDone {
		x.Finish()
		return x.conclusion()
	}
	x.ended = true
	x.out = append(append(append(x.out[:0], "0\r\n"...), lines...), crlf...)
	x.sendLast(nil)
	return x.conclusion()
}

// Finished ends the exchange: the application has returned. What it has not answered is answered
// here.
func (x *Exchange) Finished(outcome Outcome) {
	switch {
	case !x.over && x.opened():
		code := websocket.Normal
		if outcome != Done {
			code = websocket.Unexpected
		}
		if outcome == Failed {
			x.failed(x.call.App)
		}
		if x.CloseSocket(code, ""); !x.over {
			x.endSocket()
		}
	case !x.over:
		if outcome == Cancelled {
			x.abort(504)
		} else {
			x.conclude(outcome)
		}
		x.loop.responded(x)
	case outcome == Failed:
		x.failed(x.call.App)
	case outcome == Exit:
		x.eng.app.Response(x.id, &x.resp)
		x.exit(x.resp.ExitCode)
	}
	x.recovered()
	x.loop.give(x)
}
