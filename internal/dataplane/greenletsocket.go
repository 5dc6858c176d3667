package dataplane

import "uwsgi/internal/proto/websocket"

// The WebSocket of a WSGI application whose greenlet runs on a Loop: loopSocket behind the calls of
// threadSocket.

// OnLoop reports whether the loop serves x as a WebSocket, or may yet; otherwise a thread does.
func (x *Exchange) OnLoop() bool { return x.socket != nil }

// acceptWSGI is Accept for a WSGI application on the loop; see Handshake.
func (x *Exchange) acceptWSGI(key, protocol string) bool {
	s := x.socket
	if x.over || x.broken || s.opened || !x.claimAnswer() {
		return false
	}
	if key != "" {
		s.key = []byte(key)
	}
	if protocol == "" {
		protocol = websocket.FirstProtocol(&x.req)
	}
	x.resp = Response{Length: -1}
	if protocol != "" {
		x.resp.Head, x.resp.Headers = []byte("Sec-WebSocket-Protocol: "+protocol+"\r\n"), 1
	}
	s.wsgi = true
	return x.open() == 0
}

// receiveWSGI is Receive for a WSGI application on the loop. With wait, where there is no message
// yet an event will bring it.
func (x *Exchange) receiveWSGI(wait bool) ([]byte, int) {
	if x.over || x.gone {
		return nil, MessageLost
	}
	var ev Event
	if !x.nextMessage(&ev) {
		x.waiting = wait
		return nil, MessageNone
	}
	if ev.Opcode == int(websocket.Close) {
		return nil, MessageLost
	}
	return ev.Data, MessageTaken
}
