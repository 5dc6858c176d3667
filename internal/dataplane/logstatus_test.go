package dataplane

import (
	"strings"
	"testing"
	"time"

	"uwsgi/internal/option"
)

// What is logged of a request on a loop whose application gave no answer is what the client was
// sent, or 499 where it was gone.
func TestLoopLogsTheStatus(t *testing.T) {
	const chunked = "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, tc := range map[string]struct {
		request, then string // then: sent once the application waits
		answer, log   string // answer "": the client leaves
	}{
		"left while the application works":  {"GET /works HTTP/1.1\r\nHost: x\r\n\r\n", "", "", "GET /works 499 0"},
		"left within the body":              {chunked + "3\r\nabc\r\n", "", "", "POST /body 499 0"},
		"a body that is broken":             {chunked, "nonsense\r\n", "400 Bad Request", "POST /body 400 12"},
		"a body that stops coming":          {chunked, "", "408 Request Timeout", "POST /body 408 16"},
		"an application that fails instead": {"GET /fails HTTP/1.1\r\nHost: x\r\n\r\n", "", "", "GET /fails 500 22"},
	} {
		t.Run(name, func(t *testing.T) {
			begun := make(chan int, 1)
			l := async(t, config{set: func(s *option.Settings) {
				if strings.HasPrefix(tc.answer, "408") {
					s.ChunkedInputTimeout = 50 * time.Millisecond
				}
			}}, func(l *looped, ev *Event) {
				x := l.eng.Exchange(ev.Exchange)
				switch ev.Kind {
				case RequestBegins:
					x.Read(&Event{})
					x.Suspended()
					begun <- ev.Exchange
				case ClientGone:
					outcome := Done
					if string(x.req.Bytes(x.req.Path)) == "/fails" {
						outcome = Failed
					}
					x.Finished(outcome)
				}
			})
			c := l.dial("http")
			c.send(tc.request)
			receive(t, begun)
			if tc.answer == "" {
				c.Close()
			} else {
				c.send(tc.then)
				if got := c.all(); !strings.HasPrefix(got, "HTTP/1.1 "+tc.answer+"\r\n") {
					t.Errorf("%q", got)
				}
			}
			if got := l.requests(1); len(got) != 1 || got[0] != tc.log {
				t.Errorf("%q, want %q", got, tc.log)
			}
		})
	}
}
