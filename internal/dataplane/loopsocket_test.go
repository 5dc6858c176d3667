package dataplane

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"uwsgi/internal/proto/websocket"
)

const handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// frame is a client's frame, of fewer than 126 bytes.
func frame(op websocket.Opcode, payload string) string {
	mask := [4]byte{1, 2, 3, 4}
	b := append([]byte{0x80 | byte(op), 0x80 | byte(len(payload))}, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

func closeFrame(code int, reason string) string {
	return frame(websocket.Close, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// frame reads a frame of the server's, of fewer than 126 bytes.
func (c *client) frame() (op websocket.Opcode, payload string) {
	c.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		c.t.Fatalf("no frame: %v", err)
	}
	b := make([]byte, head[1])
	if _, err := io.ReadFull(c.r, b); err != nil {
		c.t.Fatalf("half a frame: %v", err)
	}
	return websocket.Opcode(head[0] & 15), string(b)
}

func (c *client) wantFrame(op websocket.Opcode, payload string) {
	c.t.Helper()
	if gotOp, got := c.frame(); gotOp != op || got != payload {
		c.t.Errorf("frame %d %q, want %d %q", gotOp, got, op, payload)
	}
}

// upgraded opens a WebSocket.
func (l *looped) upgraded(behind string) *client {
	l.t.Helper()
	c := l.dial("http")
	c.send(handshake + behind)
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		b, err := c.r.ReadByte()
		if err != nil {
			l.t.Fatalf("%q: %v", head.String(), err)
		}
		head.WriteByte(b)
	}
	if !strings.HasPrefix(head.String(), "HTTP/1.1 101 ") ||
		!strings.Contains(head.String(), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") {
		l.t.Fatalf("%q", head.String())
	}
	return c
}

// socketEcho accepts, and sends each message back; ends gets the code of each end.
func socketEcho(ends chan int) asyncApp {
	return func(l *looped, ev *Event) {
		x := l.eng.Exchange(ev.Exchange)
		switch ev.Kind {
		case RequestBegins:
			l.head(ev.Exchange, "101 Switching Protocols")
			x.Accept()
		case DrainIt:
			x.CloseSocket(websocket.Restart, "")
			x.Finished(Done)
			ends <- websocket.Restart
			return
		}
		for x.inFlight {
			if ev.Kind == MessageComes {
				if ev.Opcode == int(websocket.Close) {
					code := ev.Code
					x.Finished(Done)
					ends <- code
					return
				}
				x.Message(websocket.Opcode(ev.Opcode), ev.Data)
			}
			if x.Read(ev) == NoEvent {
				return
			}
		}
	}
}

func TestLoopSocketEchoes(t *testing.T) {
	ends := make(chan int, 4)
	l := async(t, config{}, socketEcho(ends))
	c := l.upgraded(frame(websocket.Text, "early"))
	c.wantFrame(websocket.Text, "early")
	c.send(frame(websocket.Text, "one") + frame(websocket.Ping, "p") + frame(websocket.Binary, "two"))
	c.wantFrame(websocket.Text, "one")
	c.wantFrame(websocket.Pong, "p")
	c.wantFrame(websocket.Binary, "two")
	if n := l.eng.row.Loop.Websockets.Load(); n != 1 {
		t.Errorf("%d websockets counted", n)
	}
	c.send(closeFrame(1000, "bye"))
	c.wantFrame(websocket.Close, "\x03\xe8")
	if code := receive(t, ends); code != 1000 {
		t.Errorf("closed with %d", code)
	}
	c.all()
	l.do(func() {
		if n, m := l.eng.row.Loop.Websockets.Load(), l.loop.inFlight; n != 0 || m != 0 {
			t.Errorf("%d websockets, %d exchanges are left", n, m)
		}
	})
}

// Pings are answered though the application does not wait for a message, and what came meanwhile is
// not lost.
func TestLoopSocketQueues(t *testing.T) {
	begun := make(chan int, 1)
	l := async(t, config{}, func(l *looped, ev *Event) {
		if ev.Kind == RequestBegins {
			l.head(ev.Exchange, "101 Switching Protocols").Accept()
			begun <- ev.Exchange
		}
	})
	c := l.upgraded("")
	x := receive(t, begun)
	c.send(frame(websocket.Text, "a") + frame(websocket.Text, "b") + frame(websocket.Ping, "?"))
	c.wantFrame(websocket.Pong, "?")
	c.Close()
	l.do(func() {
		var ev Event
		for _, want := range []string{"a", "b"} {
			if l.eng.Exchange(x).Read(&ev); string(ev.Data) != want {
				t.Errorf("%q, want %q", ev.Data, want)
			}
		}
		l.eng.Exchange(x).Finished(Done)
	})
}

// A client that goes without a word, a protocol that is broken, a worker that leaves.
func TestLoopSocketEnds(t *testing.T) {
	ends := make(chan int, 4)
	l := async(t, config{}, socketEcho(ends))
	c := l.upgraded("")
	c.Close()
	if code := receive(t, ends); code != websocket.Lost {
		t.Errorf("a lost client: %d", code)
	}
	c = l.upgraded("")
	c.send("\x81\x01x") // not masked
	if op, payload := c.frame(); op != websocket.Close || !strings.HasPrefix(payload, "\x03\xea") {
		t.Errorf("%d %q", op, payload)
	}
	if code := receive(t, ends); code != websocket.Lost {
		t.Errorf("a broken protocol: %d", code)
	}
	c = l.upgraded("")
	l.eng.Drain("test", false)
	c.wantFrame(websocket.Close, "\x03\xf4")
	c.send(closeFrame(1012, ""))
	l.wait()
}

// What is no handshake is refused with what RFC 6455 says.
func TestLoopSocketRefuses(t *testing.T) {
	l := async(t, config{}, hello)
	for _, tc := range []struct{ from, to, want string }{
		{"Version: 13", "Version: 8", "HTTP/1.1 426 "},
		{"dGhlIHNhbXBsZSBub25jZQ==", "short", "HTTP/1.1 400 "},
		{"Upgrade: websocket\r\n", "", "HTTP/1.1 200 "},
	} {
		c := l.dial("http")
		c.send(strings.Replace(handshake, tc.from, tc.to, 1))
		if resp, _ := c.response("GET"); !strings.HasPrefix("HTTP/1.1 "+resp.Status, tc.want) {
			t.Errorf("%s: %s", tc.to, resp.Status)
		}
	}
}
