package dataplane

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/proto/websocket"
	"uwsgi/internal/request"
	"uwsgi/internal/scoreboard"
)

// A WebSocket (RFC 6455) on a Loop: an exchange whose answer was 101. Its frames are read whether
// the application waits for a message or not, so that pings are answered; what comes ahead of it is
// queued, up to a bound.

// loopSocket is the state of a WebSocket on a Loop.
type loopSocket struct {
	websocket.Conn
	key     []byte // of the handshake
	deflate websocket.Deflate
	opened  bool
	queue   websocket.Queue
	ended   bool  // its end was told, or waits in queue
	heard   int64 // monotonic ns of the last bytes of the client's
	pinged  int64 // monotonic ns of a ping since, 0: none
	sent    int64 // messages
	owes    bool  // a pong, once the client has taken what is kept for it
	pong    []byte
	wsgi    bool // what the application has not asked for stays in the kernel: it may watch the descriptor
}

// opened reports whether x has become a WebSocket.
func (x *Exchange) opened() bool { return x.socket != nil && x.socket.opened }

// handshake reports whether r is to become a WebSocket; an error says why it cannot.
func (l *Loop) handshake(cn *conn, r *request.Request) (*loopSocket, error) {
	if !l.async(cn.app) && !l.how.Greenlets || !cn.lis.raw() || !websocket.Requested(r) {
		return nil, nil
	}
	key, err := websocket.Check(r)
	switch {
	case err != nil && l.how.Greenlets: // a WSGI application may answer that as it likes
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &loopSocket{key: slices.Clone(key), deflate: l.eng.compression(r)}, nil
}

// compression is the permessage-deflate agreed with the client of r.
func (e *Engine) compression(r *request.Request) (d websocket.Deflate) {
	if e.settings.WebSocketDeflate {
		d = websocket.Negotiate(r)
	}
	return d
}

// refuseHandshake answers a request that is not a valid handshake.
func (x *Exchange) refuseHandshake(err error) {
	status := refusal(err)
	if err != websocket.ErrNoUpgrade { // else a browser has only followed a link
		x.log("refused a WebSocket from %s with %d: %s", x.cn.peer.Addr, status, reason(err))
	}
	headers := ""
	if status == 426 {
		headers = websocket.UpgradeRequired
	}
	x.plain(status, statusText(status), headers)
}

// Accept opens the WebSocket that the request asks for, with the headers that the application gave.
// 0: done; -1: the client is gone.
func (x *Exchange) Accept() int {
	s := x.socket
	if x.over || x.broken || s == nil || s.opened || !x.claimAnswer() {
		return -1
	}
	x.eng.app.Response(x.id, &x.resp)
	return x.open()
}

// open sends the answer 101 with the headers in x.resp.
func (x *Exchange) open() int {
	s := x.socket
	s.opened, x.headDone, x.status, x.headers, x.keep = true, true, 101, x.resp.Headers+3, false
	x.out = append(x.out[:0], "HTTP/1.1 101 Switching Protocols\r\n"...)
	x.out = x.appendHeaders(x.out, x.resp.Head)
	x.out = websocket.AppendHeaders(x.out, s.key, s.deflate)
	x.out = append(x.out, crlf...)
	x.headBytes = int64(len(x.out))
	x.eng.app.Sent(x.id)
	s.Init(x.eng.webSocket.limit, s.deflate)
	s.heard = monotonic()
	x.eng.row.Loop.Websockets.Add(1)
	x.cell.State.Store(scoreboard.CellOpen)
	x.vec.n = 0
	x.vec.add(x.out)
	x.tryFlush()
	x.watch(x.cn.watched)
	x.cn.readAll = false // the client may have sent frames already, of which no event will tell
	x.tell(newsInput)
	if x.loop.drainTold { // those that were open at that time have heard of it
		x.tell(newsDrain)
	}
	x.keepAlive()
	if x.broken {
		return -1
	}
	return 0
}

// Message sends a message; see Send.
func (x *Exchange) Message(op websocket.Opcode, p []byte) int {
	s := x.socket
	if x.over || x.broken || s == nil || !s.opened || s.Closing() {
		return -1
	}
	head, rest := s.Encode(x.out[:0], op, p)
	x.out = head
	x.bodyBytes += int64(len(head) + len(rest))
	s.sent++
	x.vec.n = 0
	x.vec.add(head)
	x.vec.add(rest)
	x.tryFlush()
	switch {
	case x.broken:
		return -1
	case x.overHighWater():
		x.full = true
		return WouldBlock
	}
	return 0
}

// CloseSocket sends a close frame with a code and a reason (RFC 6455 §7.1.2); the client's answer
// is awaited without the application.
func (x *Exchange) CloseSocket(code int, reason string) int {
	s := x.socket
	if x.over || x.broken || s == nil || !s.opened {
		return -1
	}
	x.frames(s.AppendClose(x.out[:0], code, reason))
	return x.endSocket()
}

// endSocket lets go of the connection: it lingers until the client has closed it too.
func (x *Exchange) endSocket() int {
	x.ended = true
	x.socket.ended = true
	x.eng.row.Loop.Websockets.Add(-1)
	return x.conclusion()
}

// frames writes the frames that were built in x.out.
func (x *Exchange) frames(frames []byte) {
	if x.out = frames; len(frames) == 0 {
		return
	}
	x.vec.n = 0
	x.vec.add(frames)
	x.tryFlush()
}

// nextMessage gives the next message, or the WebSocket's end. False: there is none now.
func (x *Exchange) nextMessage(ev *Event) bool {
	m := x.socket.queue.Pop()
	if m.Op == 0 {
		m = x.readMessage()
	}
	if m.Op == 0 {
		return false
	}
	ev.Kind, ev.Opcode, ev.Data, ev.Code = MessageComes, int(m.Op), m.Data, m.Code
	if m.Op == websocket.Close {
		x.farewell()
	}
	return true
}

// hearSocket reads what has come, for an application that does not wait: pings are answered.
func (x *Exchange) hearSocket() {
	s := x.socket
	for !s.ended && !s.queue.Full() {
		m := x.readMessage()
		if m.Op == 0 {
			return
		}
		s.queue.Push(m)
		s.ended = m.Op == websocket.Close
	}
}

// farewell ends a WebSocket whose end the application hears of now.
func (x *Exchange) farewell() {
	if !x.over {
		x.endSocket()
	}
}

// readMessage reads frames until there is a message or a close; Op 0: nothing more is to be had
// now.
func (x *Exchange) readMessage() websocket.Message {
	x.out = x.out[:0]
	m := x.nextFrame()
	x.cn.detach()
	x.frames(x.out)
	return m
}

// nextFrame is readMessage, but that it leaves in x.out what is to be answered, and in memory of
// the loop what follows.
func (x *Exchange) nextFrame() websocket.Message {
	s, cn, l := x.socket, x.cn, x.loop
	for {
		if len(cn.in) == 0 {
			if cn.readAll || !x.mayRead(socketReads) {
				return websocket.Message{}
			}
			got, errno := cn.recv(l.rbuf)
			if errno == unix.EAGAIN {
				cn.readAll = true
				return websocket.Message{}
			}
			if errno != 0 || got == 0 {
				x.broken = true // nothing that is sent arrives
				return websocket.Message{Op: websocket.Close, Code: websocket.Lost}
			}
			cn.readAll = got < len(l.rbuf) && !cn.hup
			s.heard, s.pinged = monotonic(), 0
			cn.in, cn.lent = l.rbuf[:got], true
		}
		m, used := s.Next(cn.in)
		cn.in = cn.in[used:]
		if m.Op == websocket.Ping && x.overHighWater() { // the latest one may do (RFC 6455 §5.5.3)
			s.owes, s.pong = true, append(s.pong[:0], m.Data...)
			continue
		}
		x.out = s.AppendReply(x.out, m)
		switch m.Op {
		case websocket.Text, websocket.Binary:
			x.eng.row.LastUse.Store(s.heard)
			return m
		case websocket.Close:
			if m.Err != nil {
				x.log("the client (%s) broke the WebSocket protocol: %s", cn.peer.Addr, m.Err.Reason)
				m.Data = []byte(m.Err.Reason)
			}
			return m
		}
	}
}

// answerPing sends the pong that a client was owed that took nothing.
func (x *Exchange) answerPing() {
	s := x.socket
	if s.owes && !x.broken && !x.overHighWater() {
		s.owes = false
		x.frames(s.AppendReply(x.out[:0], websocket.Message{Op: websocket.Ping, Data: s.pong}))
	}
}

// keepAlive sets the deadline to when the next ping is due, or its pong.
func (x *Exchange) keepAlive() {
	s, e := x.socket, x.eng
	every := e.webSocket.ping
	switch {
	case every <= 0 || x.cn.out.unsent(): // what is written has a timeout of its own
	case s.pinged != 0:
		e.expireAt(x.cn, s.pinged+e.webSocket.pong)
	default:
		e.expireAt(x.cn, s.heard+every)
	}
}

// silent is called when the client has been silent for as long as keepAlive allows: it is pinged,
// or given up.
func (x *Exchange) silent() {
	s, e, now := x.socket, x.eng, monotonic()
	if s.wsgi { // its answer may be there, unread
		x.hearSocket()
	}
	switch {
	case s.pinged != 0:
		x.log("the client (%s) did not answer a WebSocket's ping in %s (ws-ping-timeout)", x.cn.peer.Addr,
			time.Duration(e.webSocket.pong))
		x.frames(s.AppendClose(x.out[:0], websocket.Unexpected, "no answer to a ping"))
		s.queue.Push(websocket.Message{Op: websocket.Close, Code: websocket.Lost})
		s.ended = true
		x.tell(newsInput)
		return
	case now >= s.heard+e.webSocket.ping:
		x.frames(s.AppendPing(x.out[:0], nil))
		s.pinged = now
	}
	x.keepAlive()
}
