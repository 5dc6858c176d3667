package dataplane

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The socket of a client is read, written and asked by the methods of transport.go alone.
func TestOneTransport(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d files: %v", len(paths), err)
	}
	raw := regexp.MustCompile(`(?:^|[^.\w])(?:recv|send|sendv|sendfile|readable|unread|queued|waitWritable|closeFD)\(`)
	descriptor := regexp.MustCompile(`\bcn?\.fd\b`)
	allowed := []string{
		"unix.EpollCtl(", "unix.UnixRights(", "app.Serving(", // to watch it, and to give it to others
		"e.conns[c.fd]", "c.fd, c.lis, c.plain = ", "func (c *conn) tag()", // the table of connections
		"waitWritable(e.boot.HandoffFD", "func (l *requestLog) send(", // no client's
	}
	found := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || path == "transport.go" || path == "sys.go" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
	lines:
		for i, line := range strings.Split(string(text), "\n") {
			code, _, _ := strings.Cut(line, "//")
			if !raw.MatchString(code) && !descriptor.MatchString(code) {
				continue
			}
			for _, a := range allowed {
				if strings.Contains(code, a) {
					found++
					continue lines
				}
			}
			t.Errorf("%s:%d: a client's descriptor is used beside transport.go:%s", path, i+1, line)
		}
	}
	if found < len(allowed) {
		t.Errorf("only %d uses of descriptors were found: has the field another name?", found)
	}
}

// Where the bytes on the socket are not those of the protocol, the application's side is not told
// that it may write to it.
func TestNoStreamingBesideTheTransport(t *testing.T) {
	for _, plain := range []bool{true, false} {
		s := serve(t, config{prepare: func(e *Engine) { e.listeners[0].plain = plain }, handler: func(x *fakeCall) Outcome {
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
