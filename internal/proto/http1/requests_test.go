package http1

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"uwsgi/internal/request"
)

var (
	testLimits = &request.Limits{Head: 64 << 10}
	testPeer   = request.Peer{Addr: "127.0.0.1", Port: "50000"}
)

func newTestServer() *Server {
	return &Server{
		ServerName: "vm", ServerPort: "8000", ScriptName: true,
		Vars: []Var{{"UWSGI_ROUTER", "http"}, {"HTTP_X_FIXED", "ours"}},
	}
}

// verdict is the status of a refusal, 200 without one, 0 for an incomplete request.
func verdict(err error) int {
	var refused *request.Error
	switch {
	case err == nil:
		return 200
	case errors.As(err, &refused):
		return refused.Status
	}
	return 0
}

// take parses and finishes a request that comes in pieces that end at the given positions. again
// says that r is Reset before each.
func take(s *Server, raw []byte, lim *request.Limits, again bool, cuts ...int) (*request.Request, int, error) {
	r := new(request.Request)
	for _, cut := range append(cuts, len(raw)) {
		if again {
			r.Reset()
		}
		// A copy of its own, so that a parser that looks past its piece, or keeps pointing into an
		// earlier one, is found out.
		piece := append(make([]byte, 0, cut), raw[:cut]...)
		n, err := s.Parse(piece, r, lim, testPeer)
		if errors.Is(err, request.ErrIncomplete) && cut < len(raw) {
			clear(piece)
			continue
		}
		clear(piece)
		if err == nil {
			err = request.Finish(r, lim, request.Options{HTTP: true})
		}
		return r, n, err
	}
	panic("unreachable")
}

func flagsOf(r *request.Request) string {
	var on []string
	for _, f := range []struct {
		name string
		on   bool
	}{{"1.0", r.HTTP10}, {"chunked", r.Chunked}, {"expect", r.Expect100}, {"close", !r.KeepAlive}} {
		if f.on {
			on = append(on, f.name)
		}
	}
	return strings.Join(on, " ")
}

func environ(r *request.Request) map[string]string {
	env := map[string]string{}
	for i := range r.Vars {
		env[string(r.Key(i))] = string(r.Val(i))
	}
	return env
}

func TestRequests(t *testing.T) {
	s := newTestServer()
	for _, c := range loadCases(t, "requests") {
		t.Run(c.name, func(t *testing.T) {
			// What follows a request must neither be looked at nor change anything.
			for _, behind := range []string{"", "GET / HTTP/1.1\r\n"} {
				raw := append(append([]byte(nil), c.raw...), behind...)
				r, n, err := take(s, raw, testLimits, false)
				if got := verdict(err); got != c.status {
					t.Fatalf("verdict %d (%v), want %d", got, err, c.status)
				}
				if err != nil {
					continue
				}
				if n != len(c.raw) {
					t.Errorf("took %d bytes of %d", n, len(c.raw))
				}
				check(t, r, &c)
			}
			for cut := range c.raw {
				for _, again := range []bool{false, true} {
					r, _, err := take(s, c.raw, testLimits, again, cut)
					if got := verdict(err); got != c.status {
						t.Fatalf("cut at %d: verdict %d (%v), want %d", cut, got, err, c.status)
					}
					if err == nil {
						check(t, r, &c)
					}
				}
			}
		})
	}
}

func check(t *testing.T, r *request.Request, c *testCase) {
	t.Helper()
	if got := flagsOf(r); got != c.flags {
		t.Errorf("flags %q, want %q", got, c.flags)
	}
	env := environ(r)
	if len(env) != len(r.Vars) {
		t.Errorf("a name repeats: %q", env)
	}
	for name, want := range c.vars {
		if got, ok := env[name]; !ok || got != want {
			t.Errorf("%s is %q (%t), want %q", name, got, ok, want)
		}
	}
	for _, name := range c.absent {
		if got, ok := env[name]; ok {
			t.Errorf("%s is %q, want none", name, got)
		}
	}
	for name, span := range map[string]request.Span{
		"REQUEST_METHOD": r.Method, "REQUEST_URI": r.URI, "PATH_INFO": r.Path, "SERVER_PROTOCOL": r.Protocol, "REMOTE_ADDR": r.RemoteAddr,
	} {
		if got := string(r.Bytes(span)); got != env[name] {
			t.Errorf("the span of %s is %q, the variable %q", name, got, env[name])
		}
	}
}

// Each byte alone: nothing may depend on how much came at once.
func TestByteByByte(t *testing.T) {
	s := newTestServer()
	for _, c := range loadCases(t, "requests") {
		cuts := make([]int, len(c.raw))
		for i := range cuts {
			cuts[i] = i
		}
		r, _, err := take(s, c.raw, testLimits, false, cuts...)
		if got := verdict(err); got != c.status {
			t.Errorf("%s: verdict %d (%v), want %d", c.name, got, err, c.status)
		} else if err == nil {
			check(t, r, &c)
		}
	}
}

func TestLimits(t *testing.T) {
	const head = "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
	line := strings.Index(head, "\r\n") + 2
	for limit := 1; limit <= len(head)+1; limit++ {
		want := 200
		switch {
		case limit < line:
			want = 414
		case limit < len(head):
			want = 431
		}
		for cut := range head {
			_, _, err := take(newTestServer(), []byte(head), &request.Limits{Head: limit}, false, cut)
			if got := verdict(err); got != want {
				t.Errorf("limit %d, cut at %d: %d (%v), want %d", limit, cut, got, err, want)
			}
		}
	}
	var refused *request.Error
	_, _, err := take(newTestServer(), []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"),
		&request.Limits{Head: 4096, Body: 5}, false)
	if !errors.As(err, &refused) || refused.Status != 413 || refused.Option != "limit-post" {
		t.Errorf("a body over the limit: %v", err)
	}
	_, _, err = take(newTestServer(), []byte(head), &request.Limits{Head: 4096, Vars: 10}, false)
	if !errors.As(err, &refused) || refused.Status != 431 || refused.Option != "max-vars" {
		t.Errorf("variables over the limit: %v", err)
	}
}

// A head that never ends is refused as soon as it is past the limit.
func TestEndless(t *testing.T) {
	for raw, want := range map[string]int{
		strings.Repeat("\r\n", 100):                         414,
		"GET /" + strings.Repeat("a", 200):                  414,
		"GET / HTTP/1.1\r\n" + strings.Repeat("a", 200):     431,
		"GET / HTTP/1.1\r\n" + strings.Repeat("a:\r\n", 50): 431,
	} {
		r := new(request.Request)
		lim := &request.Limits{Head: 100}
		for n := range raw {
			_, err := newTestServer().Parse([]byte(raw[:n]), r, lim, testPeer)
			if n < 100 && !errors.Is(err, request.ErrIncomplete) {
				t.Fatalf("%.20q: %v after %d bytes", raw, err, n)
			}
			if n >= 100 {
				if got := verdict(err); got != want {
					t.Fatalf("%.20q: %v, want %d", raw, err, want)
				}
				break
			}
		}
	}
}

func TestUnixPeer(t *testing.T) {
	r := new(request.Request)
	s := &Server{ServerName: "vm", ServerPort: "80"}
	if _, err := s.Parse([]byte(hello), r, testLimits, request.Peer{}); err != nil {
		t.Fatal(err)
	}
	env := environ(r)
	if _, ok := env["REMOTE_PORT"]; ok || env["REMOTE_ADDR"] != "0.0.0.0" {
		t.Errorf("peer of a unix socket: %q", env)
	}
	if _, ok := env["SCRIPT_NAME"]; ok {
		t.Error("SCRIPT_NAME is set though it was not asked for")
	}
}

func TestHostAsName(t *testing.T) {
	s := &Server{ServerName: "vm", ServerPort: "80", HostAsName: true}
	for host, want := range map[string]string{"Host: example.test:8080\r\n": "example.test:8080",
		"Host:\r\n": "vm", "": "vm"} {
		r := new(request.Request)
		if _, err := s.Parse([]byte("GET / HTTP/1.0\r\nX: y\r\n"+host+"\r\n"), r, testLimits, testPeer); err != nil {
			t.Fatal(err)
		}
		if got := environ(r)["SERVER_NAME"]; got != want {
			t.Errorf("%q: %s, not %s", host, got, want)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	s, r, buf := newTestServer(), new(request.Request), []byte(hello)
	twice := bytes.Replace(buf, []byte("Accept: "), []byte("Cookie: a\r\nCookie: b\r\nAccept: "), 1)
	for _, raw := range [][]byte{buf, twice, []byte("GET /bad\r\n\r\n")} {
		if n := testing.AllocsPerRun(100, func() {
			r.Reset()
			if _, err := s.Parse(raw, r, testLimits, testPeer); err == nil {
				_ = request.Finish(r, testLimits, request.Options{HTTP: true})
			}
		}); n != 0 {
			t.Errorf("%.30q: %v allocations", raw, n)
		}
	}
}

// TestForeignProtocols: who speaks something else is told what, at its first byte.
func TestForeignProtocols(t *testing.T) {
	for raw, want := range map[string]error{"\x16\x03\x01": ErrTLS, "\x00\x1e\x00\x00": ErrPacket, "\x01": ErrMethod} {
		if _, _, err := take(newTestServer(), []byte(raw), testLimits, false); err != want {
			t.Errorf("%q: %v, want %v", raw, err, want)
		}
	}
}
