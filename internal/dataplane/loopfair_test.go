package dataplane

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/proto/websocket"
)

// A client that sends without end is read for a turn of the loop only, then the others are looked
// at, and no piece of what it sent is lost.
func TestLoopTakesTurns(t *testing.T) {
	message := frame(websocket.Text, strings.Repeat("x", 100))
	const messages, pieces = 20000, 4000000
	for name, tc := range map[string]struct {
		begin, send string
		all         int // messages, or bytes of the body
		atOnce      func(rbuf int) int
	}{
		"websocket": {handshake, strings.Repeat(message, messages), messages,
			func(rbuf int) int { return 2*rbuf/len(message) + 40 }},
		"body": {fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", pieces),
			strings.Repeat("x", pieces), pieces,
			func(rbuf int) int { return (bodyReads + 2) * rbuf }},
	} {
		t.Run(name, func(t *testing.T) {
			begun, got, whole := make(chan int, 1), 0, make(chan struct{})
			read := func(x *Exchange, ev *Event) (n int) {
				for {
					switch ev.Kind {
					case NoEvent:
						return n
					case MessageComes:
						n++
						got++
					default:
						n += len(ev.Data)
						got += len(ev.Data)
					}
					if got == tc.all {
						close(whole)
						return n
					}
					x.Read(ev)
				}
			}
			reading := false
			l := async(t, config{}, func(l *looped, ev *Event) {
				x := l.eng.Exchange(ev.Exchange)
				switch ev.Kind {
				case RequestBegins:
					got = len(ev.Data)
					if name == "websocket" {
						l.head(ev.Exchange, "101 Switching Protocols")
						x.Accept()
					}
					begun <- ev.Exchange
				case MessageComes, BodyComes:
					if n := read(x, ev); reading && n > tc.atOnce(len(l.loop.rbuf)) {
						t.Errorf("%d were read in one turn of the loop", n)
					}
				}
			})
			c := l.dial("http")
			c.send(tc.begin)
			x := l.eng.Exchange(receive(t, begun))
			sent := make(chan struct{})
			go func() { defer close(sent); io.WriteString(c.Conn, tc.send) }()
			defer func() { c.Close(); <-sent }()
			l.do(func() {
				reading = true
				var ev Event
				x.Read(&ev)
				if n := read(x, &ev); n > tc.atOnce(len(l.loop.rbuf)) {
					t.Errorf("%d were read in one turn of the loop", n)
				}
			})
			receive(t, whole)
			l.do(func() { x.Finished(Failed) })
		})
	}
}

// Who pings and takes no answer is owed one pong, that of the latest ping: no more is kept for it.
func TestLoopSocketOwesOnePong(t *testing.T) {
	const pings = 20000
	begun, ends := make(chan *Exchange, 1), make(chan int, 1)
	echo := socketEcho(ends)
	l := async(t, config{}, func(l *looped, ev *Event) {
		if ev.Kind == RequestBegins {
			begun <- l.eng.Exchange(ev.Exchange)
		}
		echo(l, ev)
	})
	c := l.upgraded("")
	x := receive(t, begun)
	l.do(func() { unix.SetsockoptInt(x.cn.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10) })
	ping := func(i int) string { return fmt.Sprintf("%0120d", i) }
	var all strings.Builder
	for i := range pings {
		all.WriteString(frame(websocket.Ping, ping(i)))
	}
	c.send(all.String())
	come(t, "the last ping", func() (yes bool) {
		l.do(func() {
			yes = string(x.socket.pong) == ping(pings-1)
			if kept := len(x.cn.out.mem); kept > highWater+len(l.loop.rbuf) {
				t.Errorf("%d bytes are kept for the client", kept)
			}
		})
		return yes
	})
	for {
		op, payload := c.frame()
		if op != websocket.Pong {
			t.Fatalf("frame %d %q", op, payload)
		}
		if payload == ping(pings-1) {
			break
		}
	}
	c.send(closeFrame(1000, ""))
	receive(t, ends)
}
