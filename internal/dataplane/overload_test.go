package dataplane

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// A worker without room leaves a connection that waits to the others, or to the time when it has
// room: the queue is not filling, there is no reason for a 503.
func TestNoRoomIsNoRefusal(t *testing.T) {
	s := serve(t, config{
		// the housekeeper sweeps each half second
		set:     func(s *option.Settings) { s.HTTPHeadersTimeout = 2 * time.Second },
		prepare: func(e *Engine) { e.house.capacity = 1 },
	})
	m := mark(t)
	first := s.dial("http")
	first.get("/")
	second := s.dial("http")
	second.send("GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	for !strings.Contains(messages(t, m), "cannot accept connections") {
		unix.Poll(nil, 1)
	}
	for end := monotonic() + int64(1200*time.Millisecond); monotonic() < end; unix.Poll(nil, 1) { // sweeps pass
		first.get("/")
	}
	first.Close()
	if got := second.all(); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("%q", got)
	}
	if n := s.eng.row.Refused.Load(); n != 0 {
		t.Errorf("%d refused", n)
	}
}

// A worker that has used its last descriptor up to turn a client away gets another one for that
// once there are some again.
func TestSpareDescriptorComesBack(t *testing.T) {
	serve(t, config{prepare: func(e *Engine) {
		h, l := &e.house, e.listeners[0]
		unix.Close(h.spare)
		h.spare = -1 // as it is if none could be opened
		c, err := net.Dial("tcp", l.Name)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if !h.turnAway(l) {
			t.Error("the client was not turned away")
		}
		if h.spare < 0 {
			t.Error("no descriptor is kept for the next one")
		}
	}})
}
