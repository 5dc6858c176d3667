package dataplane

import (
	"math"
	"strings"

	"golang.org/x/sys/unix"

	"uwsgi/internal/proto/websocket"
	"uwsgi/internal/request"
)

// A request may become a WebSocket (RFC 6455), served by the thread that runs the application,
// which blocks until messages come and until the client takes some. Package websocket makes the
// frames. Or the application takes the connection and does its own framing. Either way the
// connection ends with the request.

// threadSocket is a request that has become a WebSocket, from the 101 on.
type threadSocket struct {
	conn    websocket.Conn
	buf     []byte // what is read lands here
	in      []byte // the part of it that was not looked at yet
	out     []byte // frames to be sent
	readAll bool   // the last read took all there was
	ended   bool   // nothing more comes of the client
	failed  bool   // … because it has broken the protocol: it may still be sending
	heard   int64  // monotonic ns: its last bytes
	pinged  int64  // monotonic ns of the ping that it has not answered, 0: there is none
}

const (
	socketBuffer = 16 << 10
	keepFrames   = 64 << 10 // of Exchange.ws.out, between two messages
)

// What Receive gives beside messages; the values are those of bridge.h.
const (
	MessageTaken = 0
	MessageNone  = 1 // nothing now
	Interrupted  = 2 // the main thread shall look at signals, and call again
	MessageLost  = -1
)

var (
	errNoWebSocket = &request.Error{Status: 501, Reason: "FastCGI carries no WebSockets: use uwsgi_pass or proxy_pass"}
	errAnswered    = &request.Error{Status: 500, Reason: "the response has begun already"}
)

// Handshake answers 101 to the request in hand. key overrides the client's. protocol is the
// subprotocol; if empty it is the first the client offers, since browsers insist on one of theirs.
// False: the request is not a handshake. Unless the application answers something else, its client
// is then told what is wrong.
func (x *Exchange) Handshake(key, protocol string) bool {
	if x.socket != nil {
		return x.acceptWSGI(key, protocol)
	}
	own, err := websocket.Check(&x.req)
	switch {
	case !x.cn.lis.raw():
		err = errNoWebSocket
	case x.headDone:
		err = errAnswered
	}
	if err != nil {
		x.refusal, _ = err.(*request.Error)
		return false
	}
	if !x.claimAnswer() {
		x.broken = true
		return false
	}
	e := x.eng
	if key != "" {
		own = []byte(key)
	}
	if protocol == "" {
		protocol = websocket.FirstProtocol(&x.req)
	}
	deflate := e.compression(&x.req)
	w := &threadSocket{buf: make([]byte, socketBuffer), heard: monotonic()}
	w.conn.Init(e.webSocket.limit, deflate)
	w.in = append(w.in, x.rest...)
	head := websocket.AppendHeaders(nil, own, deflate)
	if protocol != "" {
		head = append(append(append(head, "Sec-WebSocket-Protocol: "...), protocol...), crlf...)
	}
	x.resp = Response{Status: 101, Reason: []byte("101 Switching Protocols"), Head: head,
		Headers: strings.Count(string(head), "\r\n"),
		Length:  -1, Upgrade: true}
	x.head(-1)
	x.upgraded()
	x.ws = w
	x.vec.n = 0
	x.vec.add(x.out)
	return x.flushFrames()
}

// upgraded notes that the bytes that follow are not HTTP. From here on only the reads of this
// exchange see them.
func (x *Exchange) upgraded() {
	x.headDone, x.noBody, x.keep, x.remaining = true, true, false, -1
	x.eng.app.Sent(x.id)
	if x.cn.registered { // each message would wake another core
		unix.EpollCtl(x.eng.epfd, unix.EPOLL_CTL_DEL, x.cn.fd, nil)
		x.cn.registered = false
	}
}

// Receive gives the client's next message, whose bytes are valid until the next call. It answers
// pings and a close frame, and pings a client that is silent. Harakiri is suspended while it waits,
// and starts anew with the message.
func (x *Exchange) Receive(wait bool) (message []byte, rc int) {
	w, e := x.ws, x.eng
	switch {
	case x.opened():
		return x.receiveWSGI(wait)
	case w == nil:
		return nil, MessageLost
	}
	w.readAll = w.readAll && wait
	for !w.ended && !x.broken && !w.conn.Closing() {
		m, n := w.conn.Next(w.in)
		w.in = w.in[n:]
		switch m.Op {
		case websocket.Text, websocket.Binary:
			return m.Data, MessageTaken
		case 0:
		default:
			x.control(m)
			continue
		}
		if e.phase() >= draining {
			x.closeFrames(websocket.Restart, "")
			break
		}
		if !w.readAll {
			x.readFrames()
			continue
		}
		due, lost := x.pingDue()
		switch {
		case lost:
			w.ended = true
			continue
		case !wait:
			return nil, MessageNone
		}
		x.cell.Started.Store(math.MaxInt64)
		errno := x.cn.waitReadable(e.upgrades.signal(e), due)
		x.cell.Started.Store(monotonic())
		if errno == unix.EINTR && x.core.id == 0 {
			return nil, Interrupted
		}
		w.readAll = errno != 0
	}
	return nil, MessageLost
}

// control acts on a control frame.
func (x *Exchange) control(m websocket.Message) {
	w := x.ws
	if m.Err != nil {
		x.log("the WebSocket client (%s) of %s has broken the protocol: %v", x.req.Bytes(x.req.RemoteAddr),
			x.req.Bytes(x.req.URI), m.Err)
	}
	w.ended, w.failed = m.Op == websocket.Close, m.Err != nil
	if w.out = w.conn.AppendReply(w.out[:0], m); len(w.out) > 0 {
		x.vec.n = 0
		x.vec.add(w.out)
		x.flushFrames()
	}
}

// readFrames reads what the client has sent, if it has.
func (x *Exchange) readFrames() {
	w := x.ws
	n, errno := x.cn.recv(w.buf)
	switch {
	case errno == unix.EAGAIN:
		w.readAll = true
	case errno != 0 || n == 0:
		w.ended = true
	default:
		w.in, w.readAll = w.buf[:n], n < len(w.buf)
		w.heard, w.pinged = monotonic(), 0
	}
}

// pingDue sends a ping if it is time, and returns when the next thing is to be done, in monotonic
// ns; 0 = never. lost: the client has not answered the last ping. Whatever it sends counts as an
// answer, since a pong may come far behind, after a long message.
func (x *Exchange) pingDue() (due int64, lost bool) {
	w, every, patience := x.ws, x.eng.webSocket.ping, x.eng.webSocket.pong
	if every <= 0 {
		return 0, false
	}
	now := monotonic()
	if w.pinged == 0 && now >= w.heard+every {
		w.pinged = now
		w.out = w.conn.AppendPing(w.out[:0], nil)
		x.vec.n = 0
		x.vec.add(w.out)
		x.flushFrames()
	}
	if w.pinged == 0 {
		return w.heard + every, false
	}
	return w.pinged + patience, now >= w.pinged+patience
}

// SendMessage sends one message. 0: done; WouldBlock: p must stay valid until FlushMessage has
// written the rest; -1: the client is gone.
func (x *Exchange) SendMessage(op websocket.Opcode, p []byte) int {
	if x.opened() {
		return x.Message(op, p)
	}
	w := x.ws
	if w == nil || w.ended || x.broken || w.conn.Closing() {
		return MessageLost
	}
	if x.eng.phase() >= draining {
		x.closeFrames(websocket.Restart, "")
		return MessageLost
	}
	if cap(w.out) > keepFrames {
		w.out = nil
	}
	out, rest := w.conn.Encode(w.out[:0], op, p)
	w.out = out
	x.vec.n = 0
	x.vec.add(out)
	x.vec.add(rest)
	x.bodyBytes += int64(len(out) + len(rest))
	n, errno := x.cn.sendv(&x.vec)
	switch {
	case errno != 0 && errno != unix.EAGAIN:
		x.vec.n = 0
		w.ended = true
		return MessageLost
	case errno != 0 || x.vec.advance(n):
		return WouldBlock
	}
	return MessageTaken
}

// FlushMessage writes what SendMessage left, waiting for the client.
func (x *Exchange) FlushMessage() int {
	if !x.flushFrames() {
		return MessageLost
	}
	return MessageTaken
}

// flushFrames writes all of x.vec. False: the client has stopped taking anything.
func (x *Exchange) flushFrames() bool {
	for x.vec.n > 0 {
		n, errno := x.cn.sendv(&x.vec)
		switch {
		case errno == 0:
			x.vec.advance(n)
		case errno == unix.EAGAIN && x.waitForClient():
		default:
			x.vec.n, x.broken = 0, true
			if errno == unix.EAGAIN {
				x.clientGone(unix.ETIMEDOUT)
			}
			return false
		}
	}
	return true
}

// Disconnect ends the conversation: what the application says or asks for from here on fails.
func (x *Exchange) Disconnect() {
	if x.opened() {
		x.CloseSocket(websocket.Normal, "")
		return
	}
	x.closeFrames(websocket.Normal, "")
	x.cn.endWriting()
}

// closeFrames sends a close frame, unless one was sent before or the client has no room for it.
func (x *Exchange) closeFrames(code int, reason string) {
	w := x.ws
	if w.out = w.conn.AppendClose(w.out[:0], code, reason); len(w.out) > 0 && !x.broken {
		x.cn.send(w.out, 0)
	}
}
