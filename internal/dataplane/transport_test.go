package dataplane

import (
	"fmt"
	"testing"
)

// Where the bytes on the socket are not those of the protocol, the application's side is not told
// that it may write to it.
func TestNoStreamingBesideTheTransport(t *testing.T) {
	for _, plain := range []bool{true, false} {
		s := serve(t, config{prepare: func(e *Engine) { e.listeners[0].plain = plain },
			handler: func(x *fakeCall) Outcome {
				x.start("200 OK")
				x.write("one ")
				x.write("two")
				return x.finish()
			}})
		if got := s.dial("http").get("/"); got != "one two" {
			t.Errorf("%q", got)
		}
		if told := s.app.streams.Load() > 0; told != plain {
			t.Errorf("plain %v: the application's side was told to write by itself: %v", plain, told)
		}
	}
}

// Nor does such a connection travel to another worker: it is served here, or closed.
func TestNoHandoffBesideTheTransport(t *testing.T) {
	first, second := twoEngines(t, config{prepare: func(e *Engine) { e.listeners[0].plain = false }})
	var idle []*client
	for i := range 4 {
		c := first.dial("http")
		c.get(fmt.Sprintf("/%d", i))
		first.taken(c)
		idle = append(idle, c)
	}
	first.say(message{Op: "drain", Handoff: true, Reason: "reload"})
	first.wait()
	for _, c := range idle {
		if got := c.all(); got != "" {
			t.Errorf("%q", got)
		}
	}
	first.expectRequests(4)
	second.expectRequests(0)
}
