package e2e

import (
	"fmt"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const threeLines = "one\ntwo\nthree"

var readings = []struct{ path, body, want string }{
	{"read", threeLines, `[b'one\ntwo\nthree', b'']`},
	{"read", "", `[b'', b'']`},
	{"read_n", threeLines, `[b'one', b'\ntw', b'o\nthree', b'']`},
	{"read_zero", threeLines, `[b'', b'on', b'', b'e\ntwo\nthree']`},
	{"read_minus", threeLines, `[b'o', b'ne\ntwo\nthree', b'']`},
	{"read_none", threeLines, `[b'one\ntwo\nthree']`},
	{"read_huge", threeLines, `[13]`},
	{"readline", threeLines, `[b'one\n', b'two\n', b'three', b'']`},
	{"readline_n", threeLines, `[b'o', b'ne', b'\n', b'two\n', b'']`},
	{"readlines", threeLines, `[b'one\n', b'two\n', b'three']`},
	{"readlines_hint", threeLines, `[b'one\n', '|', b'two\n', b'three']`},
	{"iterate", threeLines, `[b'one\n', b'two\n', b'three']`},
	{"mixed", threeLines, `[b'o', b'ne\n', b'two\n', b'three']`},
	{"seek", threeLines, `[True, True]`},
	{"readinto", threeLines, `[4, b'one\n']`},
	{"nothing", threeLines, `[]`},
	{"read_huge", strings.Repeat("x", 300000), `[300000]`}, // past post-buffering: it comes from a file
	{"seek", strings.Repeat("x", 300000), `[True, True]`},
	{"iterate", strings.Repeat(strings.Repeat("y", 99999)+"\n", 1), `[b'` + strings.Repeat("y", 99999) + `\n']`},
}

// TestInput reads bodies in every way there is, over HTTP with a length, in chunks, and by the
// uwsgi protocol.
func TestInput(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/reading.py", "reading.py")
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--module", "reading")
	c := harness.Dial(t, addr) // one connection for all: a body that is not read must not be taken for the next request
	for _, r := range readings {
		length := itoa(len(r.body))
		a := harness.Ask(t, c, fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n%s",
			r.path, length, r.body))
		if a.Body != r.want || a.Header.Get("X-Length") != length || a.Header.Get("X-Terminated") != "True" {
			t.Errorf("%s: %s %.200q %v", r.path, a.Line, a.Body, a.Header)
		}
		a = harness.Ask(t, c, fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%s",
			r.path, chunked(r.body)))
		if a.Body != r.want || a.Header.Get("X-Length") != length || a.Header.Get("X-Terminated") != "True" ||
			a.Header.Get("X-Encoding") != "absent" {
			t.Errorf("%s, chunked: %s %.200q %v", r.path, a.Line, a.Body, a.Header)
		}
		a = harness.Uwsgi(t, s.Path("s.sock"), harness.Request("POST", "/"+r.path, "").With("CONTENT_LENGTH", length),
			r.body)
		if a.Body != r.want || a.Header.Get("X-Length") != length {
			t.Errorf("%s, uwsgi: %s %.200q %v", r.path, a.Line, a.Body, a.Header)
		}
	}
}

// chunked frames a body in chunks of all sizes, with an extension and a trailer.
func chunked(body string) string {
	var b strings.Builder
	for n := 1; body != ""; n *= 3 {
		n = min(n, len(body))
		fmt.Fprintf(&b, "%x;note=\"x\"\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\nX-Trailer: 1\r\n\r\n"
}

// A client that wants to be asked for its body is asked.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/reading.py", "reading.py")
	s.Start("--http", addr, "--module", "reading")
	c := harness.Send(t, addr, "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if got := harness.ReadUntil(t, c, "\r\n\r\n"); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Errorf("%q", got)
	}
	if a := harness.Ask(t, c, "body"); a.Body != "[b'body', b'']" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// A client that leaves in the middle of its body has sent no request: the application is not
// called, and the worker serves on.
func TestClientLeavesWhileSending(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/reading.py", "reading.py")
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--module", "reading")
	for _, c := range []struct{ addr, request string }{
		{addr, "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"},
		{addr, "POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"},
		{s.Path("s.sock"), string(harness.Request("POST", "/read", "").With("CONTENT_LENGTH", "1000").Packet()) + "half"},
		{addr, "POST /read HTT"},
	} {
		mark := s.Log.Mark()
		harness.Send(t, c.addr, c.request).Close()
		if strings.Contains(c.request, "half") {
			s.Log.WaitFrom(t, mark, `closed the connection after 4 bytes of a request body`)
		}
	}
	if a := harness.HTTP(t, addr).Get("/read"); a.Body != "[b'', b'']" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
	if n := s.Log.Count(`POST /read =>`); n != 0 {
		t.Errorf("the application was called %d times", n)
	}
}
