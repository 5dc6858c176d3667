package dataplane

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"uwsgi/internal/option"
)

// Without a folder for temporary files bodies, and what slow readers are behind, are kept in
// memory, up to a limit.
func TestWithoutTemporaryFolder(t *testing.T) {
	const limit = 32 << 20
	var over atomic.Int64
	stream := streamer(8<<20, 100000, &over)
	t.TempDir() // the tests' own is elsewhere
	t.Setenv("TMPDIR", "/nonexistent")
	m := mark(t)
	s := serve(t, config{
		listen: []string{"http", "fastcgi"},
		set:    func(s *option.Settings) { s.PostBufferingMemory = limit },
		handler: func(x *fakeCall) Outcome {
			if x.variable("PATH_INFO") == "/stream" {
				return stream(x)
			}
			x.start("200 OK")
			return x.reply(fmt.Sprintf("%v %t", x.BodyFD >= 0, string(x.body()) == pattern(8<<20)))
		},
		prepare: func(e *Engine) { e.maxSpill = 1 << 20 },
	})
	if got := messages(t, m); !strings.Contains(got,
		"/nonexistent: no such file or directory: request bodies above 65536 bytes (post-buffering)") ||
		!strings.Contains(got, "up to 32 MiB in each worker (post-buffering-memory)") {
		t.Errorf("the start says %q", got)
	}
	// One after another, more than the limit in all.
	for range 6 {
		c := s.dial("http")
		c.send("POST /a HTTP/1.0\r\nContent-Length: 8388608\r\n\r\n" + pattern(8<<20))
		if got := c.all(); !strings.HasSuffix(got, "\r\n\r\ntrue true") {
			t.Fatalf("%q", got)
		}
	}
	// Too large, in both ways that it shows; nothing of it stays.
	for range 2 {
		c := s.dial("http")
		c.send(fmt.Sprintf("POST /a HTTP/1.0\r\nContent-Length: %d\r\n\r\n", limit+1))
		for range limit / (8 << 20) {
			c.send(pattern(8 << 20))
		}
		c.send("x")
		if got := c.all(); !strings.HasPrefix(got, "HTTP/1.1 507 ") {
			t.Errorf("%q", got)
		}
	}
	s.idle()
	if n := s.eng.ram.used.Load(); n != 0 {
		t.Errorf("%d bytes count as used", n)
	}
	// A reader that is far behind.
	c := slowRequest(s, "http", "GET /stream HTTP/1.0\r\n\r\n")
	s.held(1)
	if n := s.eng.ram.used.Load(); n != 1<<20 {
		t.Errorf("%d bytes count as used by a spill", n)
	}
	c.hurry()
	if _, body, _ := strings.Cut(c.all(), "\r\n\r\n"); body != pattern(8<<20) {
		t.Errorf("%d bytes", len(body))
	}
	count(t, &over, 1)
	s.idle()
	if n := s.eng.ram.used.Load(); n != 0 {
		t.Errorf("%d bytes count as used", n)
	}
	// With nothing left it is waited for.
	s.eng.ram.used.Store(limit)
	defer s.eng.ram.used.Store(0)
	c = slowRequest(s, "http", "GET /stream HTTP/1.0\r\n\r\n")
	if _, body, _ := strings.Cut(c.all(), "\r\n\r\n"); body != pattern(8<<20) {
		t.Errorf("%d bytes", len(body))
	}
}
