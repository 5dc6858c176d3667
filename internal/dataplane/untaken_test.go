package dataplane

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// roomy has the kernel take a response of some hundred kilobytes whole, for a client that reads
// nothing.
func roomy(set func(s *option.Settings)) config {
	return config{
		listen: []string{"http", "uwsgi"},
		set:    set,
		prepare: func(e *Engine) {
			for _, l := range e.listeners {
				unix.SetsockoptInt(l.FD, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
			}
		},
		handler: func(x *fakeCall) Outcome {
			if x.variable("PATH_INFO") == "/small" {
				return ok(x)
			}
			x.start("200 OK")
			return x.replyPinned([]byte(pattern(1 << 20)))
		},
	}
}

// reluctant sends a request and reads nothing of an answer of which its own side holds a few
// kilobytes at most.
func (s *server) reluctant(protocol, text string) *client {
	c := s.dial(protocol)
	c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	c.send(text)
	return c
}

// A client that stops reading is timed out by socket-timeout, and reset, also when the kernel has
// taken its answer whole.
func TestReaderThatStops(t *testing.T) {
	s := serve(t, roomy(func(s *option.Settings) { s.SendTimeout, s.HTTPKeepalive = 200*time.Millisecond, time.Hour }))
	m := mark(t)
	c := s.reluctant("http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	s.requests(1)
	s.idle()
	for deadline := time.Now().Add(patience); s.eng.row.Conns.Load() != 0; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still there")
		}
	}
	c.cut()
	if got := messages(t, m); !strings.Contains(got,
		"the client (127.0.0.1) did not take the rest of its response: it took nothing for 200ms (socket-timeout)") {
		t.Errorf("%q", got)
	}
	if n := s.eng.exchanges[0].cell.WriteErrs.Load(); n != 1 {
		t.Errorf("%d write errors", n)
	}
}

// One that takes its answer late, of which the kernel holds the rest, is idle from then on: neither
// cut nor kept longer than any other.
func TestIdleBeginsWhenAllIsTaken(t *testing.T) {
	s := serve(t, roomy(func(s *option.Settings) { s.SendTimeout, s.HTTPKeepalive = time.Hour, 500*time.Millisecond }))
	c := slowRequest(s, "http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	s.requests(1)
	s.taken(c)
	_, cn := s.connOf(c)
	if d := cn.deadline.Load() - monotonic(); d < int64(time.Minute) {
		t.Errorf("it has %v to take the response, not socket-timeout", time.Duration(d))
	}
	c.hurry()
	if _, body := c.response("GET"); body != pattern(1<<20) {
		t.Errorf("%d bytes", len(body))
	}
	c.expectClosed() // by http-keepalive
}

// Where the connection ends with the response, the kernel is told to give up on who does not take
// it.
func TestKernelGivesUp(t *testing.T) {
	for protocol, text := range map[string]string{"http": "GET / HTTP/1.0\r\n\r\n",
		"uwsgi": packet(cgi("GET", "/")...)} {
		s := serve(t, roomy(func(s *option.Settings) { s.SendTimeout = 200 * time.Millisecond }))
		c := s.reluctant(protocol, text)
		s.requests(1)
		s.idle()
		for deadline := time.Now().Add(patience); c.held(); unix.Poll(nil, 1) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the kernel keeps the connection", protocol)
			}
		}
		if got := c.cut(); !strings.HasPrefix(got, "HTTP/1.") {
			t.Errorf("%s: %.80q", protocol, got)
		}
	}
}

// held says that the kernel still has the server's end of a connection of which nobody has a
// descriptor any more.
func (c *client) held() bool {
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		c.t.Fatal(err)
	}
	port := func(a net.Addr) int { return a.(*net.TCPAddr).Port }
	return strings.Contains(string(b), fmt.Sprintf(":%04X 0100007F:%04X ", port(c.RemoteAddr()), port(c.LocalAddr())))
}
