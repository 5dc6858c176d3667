package dataplane

import (
	"bytes"
	"net"
	"testing"
	"time"

	"uwsgi/internal/option"
)

// fill writes as a greenlet does until it has to wait.
func fill(x *Exchange) int {
	block := bytes.Repeat([]byte("x"), 64<<10)
	for {
		if rc := x.TryWrite(block); rc != 0 {
			return rc
		}
	}
}

// An application that waits for room is woken when its client goes away, or takes nothing for too
// long, half closed or not; and what befell one client is nothing to the next one's connection.
func TestLoopWakesWhoWaitsForRoom(t *testing.T) {
	for name, client := range map[string]func(c *client){
		"it leaves":       func(c *client) { c.Close() },
		"it says nothing": func(c *client) {},
		"it half closes":  func(c *client) { c.Conn.(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			waits, room := make(chan int, 4), make(chan int, 4)
			l := async(t, config{
				serving: Serving{Exchanges: 8, Async: []bool{false}, Greenlets: true},
				set:     func(s *option.Settings) { s.SendTimeout = 100 * time.Millisecond },
			}, func(l *looped, ev *Event) {
				switch ev.Kind {
				case RequestBegins:
					waits <- fill(l.head(ev.Exchange, "200 OK"))
				case RoomToWrite:
					x := l.eng.Exchange(ev.Exchange)
					room <- fill(x)
					x.Finished(Failed)
				}
			})
			for range 3 {
				c := l.dial("http")
				c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if rc := receive(t, waits); rc != WouldBlock {
					t.Fatalf("writing gave %d", rc)
				}
				client(c)
				if rc := receive(t, room); rc != -1 {
					t.Errorf("who was woken could write on: %d", rc)
				}
			}
		})
	}
}

// With disable-write-exception a coroutine is told all the same that there is nobody to send to:
// it would wait for room.
func TestLoopSendToNobody(t *testing.T) {
	sent := make(chan int, 1)
	l := async(t, config{set: func(s *option.Settings) { s.NoWriteException = true }}, func(l *looped, ev *Event) {
		switch ev.Kind {
		case RequestBegins:
			l.eng.Exchange(ev.Exchange).Suspended()
		case ClientGone:
			x := l.head(ev.Exchange, "200 OK")
			block := bytes.Repeat([]byte("x"), 64<<10)
			rc := 0
			for rc == 0 {
				rc = x.Send(block, true)
			}
			sent <- rc
			x.Finished(Failed)
		}
	})
	c := l.dial("http")
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	l.do(func() {}) // it has begun
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
	if rc := receive(t, sent); rc != -1 {
		t.Errorf("sending gave %d", rc)
	}
}
