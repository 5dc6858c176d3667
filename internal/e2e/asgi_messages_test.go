package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// onLoops runs a test of testdata/asgi/messages.py on each Python with asyncio, where it is known
// also with tasks that begin at once, and on uvloop.
func onLoops(t *testing.T, test func(t *testing.T, s *harness.Server, args ...string)) {
	t.Parallel()
	try := func(name, env string, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(env)
			s.Copy("testdata/asgi/messages.py", "messages.py")
			test(t, s, append([]string{"--asgi", "messages"}, args...)...)
		})
	}
	for _, python := range harness.Pythons() {
		home := filepath.Dir(filepath.Dir(python))
		args := []string{"--py-programname", python, "--home", home, "--asgi-loop", "asyncio"}
		try(filepath.Base(home), "EAGER=", args...)
		if exec.Command(python, "-c", "import asyncio; asyncio.eager_task_factory").Run() == nil {
			try(filepath.Base(home)+" eager", "EAGER=1", args...)
		}
	}
	try("uvloop", "EAGER=", "--home", harness.Async(t), "--asgi-loop", "uvloop")
}

// TestASGIScope: a scope says the same of a request whatever protocol brought it.
func TestASGIScope(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		tcp, unix, gate := harness.Addr(t), s.Path("http.sock"), harness.Addr(t)
		s.Start(append(args, "--http-socket", tcp, "--http-socket", unix, "--socket", gate, "--manage-script-name")...)
		type scope struct {
			Type, Method, Scheme, Path, Host string
			RawPath                          string `json:"raw_path"`
			RootPath                         string `json:"root_path"`
			QueryString                      string `json:"query_string"`
			HTTPVersion                      string `json:"http_version"`
			Client, Server                   []any
			Names                            []string
		}
		read := func(a *harness.Answer) (got scope) {
			if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
				t.Fatalf("%s %q", a.Line, a.Body)
			}
			return got
		}
		want := scope{Type: "http", Method: "POST", Scheme: "http", Path: "/scope/", Host: "test",
			RawPath: "b'/sc%6fpe/'", QueryString: "b'a=%20&b'", HTTPVersion: "1.1",
			Names: []string{"content-length", "content-type", "host", "x-one-two"}}
		same := func(where string, got scope) {
			t.Helper()
			got.Client, got.Server = nil, nil
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s:\n%+v\n%+v", where, got, want)
			}
		}
		request := "POST /sc%6fpe/?a=%20&b HTTP/1.1\r\nHost: test\r\nX-One-Two: 3\r\nContent-Type: text/plain\r\n" +
			"Content-Length: 1\r\n\r\nx"
		c := harness.Dial(t, tcp)
		got := read(harness.Ask(t, c, request))
		same("http", got)
		_, port, _ := net.SplitHostPort(tcp)
		peer := fmt.Sprintf("[127.0.0.1 %d]", c.LocalAddr().(*net.TCPAddr).Port)
		if fmt.Sprint(got.Client) != peer || len(got.Server) != 2 || fmt.Sprint(got.Server[1]) != port {
			t.Errorf("client %v, server %v", got.Client, got.Server)
		}
		got = read(harness.Ask(t, harness.Dial(t, unix), request))
		same("unix", got)
		if got.Client != nil || fmt.Sprint(got.Server) != "["+unix+" <nil>]" {
			t.Errorf("unix: client %v, server %v", got.Client, got.Server)
		}
		vars := harness.Request("POST", "/scope/", "a=%20&b").With("REQUEST_URI", "/sc%6fpe/?a=%20&b",
			"HTTP_X_ONE_TWO", "3", "CONTENT_TYPE", "text/plain", "CONTENT_LENGTH", "1")
		got = read(harness.Uwsgi(t, gate, vars, "x"))
		same("uwsgi", got)
		if fmt.Sprint(got.Client, got.Server) != "[127.0.0.1 1234] [test 80]" {
			t.Errorf("uwsgi: client %v, server %v", got.Client, got.Server)
		}
		// Another client, other headers, TLS at the gateway; an empty header of nginx's is none.
		vars = harness.Request("GET", "/scope", "").With("HTTPS", "on",
			"SERVER_PROTOCOL", "HTTP/2.0", "REMOTE_PORT", "1235")
		got = read(harness.Uwsgi(t, gate, vars, ""))
		if got.Scheme != "https" || got.HTTPVersion != "2" || got.QueryString != "b''" ||
			!slices.Equal(got.Names, []string{"host"}) || fmt.Sprint(got.Client[1]) != "1235" {
			t.Errorf("%+v", got)
		}
	})
}

// TestASGIManyNames: where a client has used up the names that are kept, the others cost nothing
// that stays.
func TestASGIManyNames(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Copy("testdata/asgi/messages.py", "messages.py")
	gate := harness.Addr(t)
	s.Start("--asgi", "messages", "--socket", gate)
	for request := range 10 {
		many := harness.Request("GET", "/hello", "")
		delete(many, "CONTENT_TYPE")
		for name := range 60 {
			many[fmt.Sprintf("HTTP_X_%d_%d", request, name)] = "1"
		}
		if got := harness.Uwsgi(t, gate, many, ""); got.Status != 200 {
			t.Fatal(got.Line)
		}
	}
	one := harness.Request("GET", "/hello", "") // with an empty CONTENT_TYPE, as nginx sends it
	blocks := func() (n int) {
		for range 300 {
			harness.Uwsgi(t, gate, one, "")
		}
		fmt.Sscan(harness.Uwsgi(t, gate, harness.Request("GET", "/blocks", ""), "").Body, &n)
		return n
	}
	if before, after := blocks(), blocks(); after-before >= 150 {
		t.Errorf("300 requests have left %d blocks of memory", after-before)
	}
}

// TestASGIResponses: what messages make of a response on the wire.
func TestASGIResponses(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		addr := harness.Addr(t)
		s.Start(append(args, "--http-socket", addr)...)
		site := harness.HTTP(t, addr)
		source, err := os.ReadFile("testdata/asgi/messages.py")
		if err != nil {
			t.Fatal(err)
		}
		together := ""
		for i := range 100 {
			together += fmt.Sprintf("%02d", i)
		}
		const any = "any"
		for _, c := range []struct {
			path, body, length string
			status             int
		}{
			{"/hello", "hello", "5", 200},
			{"/pair", "one two", "7", 200},    // begun and ended in one step: its length is known
			{"/together", together, any, 200}, // so it is here, unless the worker was kept from running
			{"/apart", "0\n1\n2\nend\n", "", 200},
			{"/children", "012012012.", "", 200},
			{"/none", "", "", 204},
			{"/path", string(source), fmt.Sprint(len(source)), 200},
			{"/file", string(source[:3]) + "--" + string(source[3:7]) + string(source[1:3]), "", 200},
			{"/hints", "hinted", "6", 200},
			{"/trailers", "body", "4", 200}, // not asked for
			{"/longer", "gth", "3", 200},
			{"/value", "whole", "5", 200},
		} {
			if c.path == "/value" {
				s.Allow("ASGI callable should return None, but returned 42")
			}
			a := site.Get(c.path)
			length := a.Header.Get("Content-Length")
			if a.Status != c.status || a.Body != c.body || c.length != any && length != c.length {
				t.Errorf("%s: %s %q, length %q", c.path, a.Line, a.Body, length)
			}
			a = site.Do("HEAD", c.path, nil)
			if a.Status != c.status || a.Body != "" {
				t.Errorf("HEAD %s: %s %q", c.path, a.Line, a.Body)
			}
		}
		if a := site.Get("/large"); len(a.Body) != 100*100000 || a.Body[99*100000] != 'A'+99%26 {
			t.Errorf("large: %d bytes", len(a.Body))
		}
		raw := harness.Raw(t, addr, "GET /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\n\r\n")
		if !strings.HasSuffix(raw, "\r\n4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n") {
			t.Errorf("trailers: %q", raw)
		}
		raw = harness.Raw(t, addr, "GET /hints HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(raw, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\n\r\n"+
			"HTTP/1.1 200 OK\r\n") {
			t.Errorf("early hints: %q", raw)
		}
		// A block does not wait for the next one.
		held := harness.Send(t, addr, "POST /held HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"+
			"Connection: close\r\n\r\n5\r\nhello\r\n")
		harness.ReadUntil(t, held, "first\n\r\n")
		io.WriteString(held, "0\r\n\r\n")
		harness.ReadUntil(t, held, "second\n\r\n0\r\n\r\n")
	})
}

// TestASGIMessages: what is wrong with a message is said where it is sent, and does no harm.
func TestASGIMessages(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		addr := harness.Addr(t)
		s.Allow("after response already completed")
		s.Start(append(args, "--http-socket", addr)...)
		a := harness.HTTP(t, addr).Get("/wrong")
		want := []string{
			`TypeError: an ASGI message must be a dict, not <class 'NoneType'>`,
			`TypeError: an ASGI message must have a 'type', which is a str`,
			`TypeError: an ASGI message must have a 'type', which is a str`,
			`RuntimeError: Expected ASGI message 'http.response.start', but got 'http.response.body'.`,
			`TypeError: 'status' is missing in 'http.response.start'`,
			`TypeError: 'status' of an ASGI message must be an int, not <class 'str'>`,
			`ValueError: 100 is no final http status`,
			`TypeError: http header name must be bytes, not <class 'str'>`,
			`TypeError: http header value must be bytes, not <class 'str'>`,
			`ValueError: invalid http header name b'a b'`,
			`ValueError: http header value must not contain control characters`,
			`TypeError: an http header must be a pair of name and value, not (b'a', b'b', b'c')`,
			`ValueError: Content-Length must be one decimal number`,
			`TypeError: 'int' object is not iterable`,
			`taken`,
			`RuntimeError: Expected ASGI message 'http.response.body', but got 'http.response.start'.`,
			`TypeError: 'body' of an ASGI message must be bytes, not <class 'str'>`,
			`RuntimeError: Expected ASGI message 'http.response.body', but got 'nonsense'.`,
			`FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/at/all'`,
			`TypeError: 'file' is missing in 'http.response.zerocopysend'`,
			`RuntimeError: Expected ASGI message 'http.response.body', but got 'http.response.trailers'.`,
		}
		for i, line := range strings.Split(a.Body, "\n") {
			if i >= len(want) || line != want[i] {
				t.Errorf("message %d: %s", i, line)
			}
		}
		if a.Header.Get("X") != "y" {
			t.Errorf("%v", a.Header)
		}
		s.Log.Wait(t, `^RuntimeError: Unexpected ASGI message 'http.response.body' sent, after response already completed. {'type': 'http.disconnect'}`)
	})
}

// TestASGIBodies: a body arrives as it comes, of whatever size and framing.
func TestASGIBodies(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		addr := harness.Addr(t)
		s.Start(append(args, "--http-socket", addr)...)
		site := harness.HTTP(t, addr)
		for _, n := range []int{0, 1, 10_000, 64 << 10, 64<<10 + 1, 3_000_000} {
			text := strings.Repeat("0123456789abcdef", n/16+1)[:n]
			for _, chunked := range []bool{false, true} {
				var body io.Reader = strings.NewReader(text)
				if chunked {
					body = struct{ io.Reader }{body} // of unknown length, and in pieces
				}
				a := site.Do("POST", "/echo", body)
				if a.Body != text {
					t.Errorf("%d bytes, chunked %v: %s, %d bytes", n, chunked, a.Line, len(a.Body))
				}
				if pieces := a.Header.Get("X-Pieces"); !chunked && n <= 10_000 && pieces != "1" {
					t.Errorf("%d bytes came in %s pieces", n, pieces)
				}
			}
		}
		c := harness.Send(t, addr, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"+
			"Content-Length: 5\r\n\r\n")
		harness.ReadUntil(t, c, "HTTP/1.1 100 Continue\r\n\r\n")
		io.WriteString(c, "hello")
		harness.ReadUntil(t, c, "hello")
	})
}

// TestASGIEnds: however an application ends, its client and the log are told what there is to tell.
func TestASGIEnds(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		addr := harness.Addr(t)
		s.Tolerate("ValueError: |RuntimeError: (ASGI callable|Response content)|CancelledError|was cut off")
		s.Start(append(args, "--http-socket", addr)...)
		site := harness.HTTP(t, addr)
		for path, line := range map[string]string{
			"/raises":  "^ValueError: before a word",
			"/nothing": "^RuntimeError: ASGI callable returned without starting response",
			"/cancels": "^asyncio.exceptions.CancelledError",
			"/shorter": "^RuntimeError: Response content shorter than Content-Length",
		} {
			if a := site.Get(path); a.Status != http.StatusInternalServerError {
				t.Errorf("%s: %s", path, a.Line)
			}
			s.Log.Wait(t, line)
		}
		for path, line := range map[string]string{
			"/half":       "^ValueError: within the response",
			"/unfinished": "^RuntimeError: ASGI callable returned without completing response",
		} {
			raw := harness.RawEnd(t, addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
			if !strings.HasPrefix(raw, "HTTP/1.1 200 ") || !strings.Contains(raw, "12345") ||
				strings.HasSuffix(raw, "0\r\n\r\n") {
				t.Errorf("%s: %q", path, raw)
			}
			s.Log.Wait(t, line)
		}
		// A client that leaves is no fault of the application's, whatever it makes of that.
		waits := harness.Send(t, addr, "GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
		s.Log.Wait(t, "^waiting")
		waits.Close()
		s.Log.Wait(t, `^gone: uwsgi ClientDisconnected`)
		if a := site.Get("/after"); a.Body != "done" {
			t.Errorf("%s %q", a.Line, a.Body)
		}
		s.Log.Wait(t, `^after the end: {'type': 'http.disconnect'}`)
		idle(t, site)
		if n := s.Log.Count("what a framework makes of it"); n > 0 {
			t.Errorf("the client's end was logged as an exception")
		}
	})
}

// TestASGISocketEnds: however an application leaves a WebSocket, or its handshake, the client is
// told.
func TestASGISocketEnds(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		addr := harness.Addr(t)
		s.Allow("ValueError: in a websocket", "RuntimeError: ASGI callable returned without completing handshake")
		s.Start(append(args, "--http-socket", addr)...)
		ask := func(how string) net.Conn {
			return harness.Send(t, addr, "GET /"+how+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"+
				"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: two, one\r\n\r\n")
		}
		// 1000 and 1011
		for how, code := range map[string]string{"returns": "\x88\x02\x03\xe8", "raises": "\x88\x02\x03\xf3"} {
			got := harness.ReadUntil(t, ask(how), code)
			if !strings.HasPrefix(got, "HTTP/1.1 101 ") ||
				!strings.Contains(got, "\r\nSec-WebSocket-Protocol: one\r\nx-more: yes\r\n") {
				t.Errorf("%s: %q", how, got)
			}
		}
		for how, want := range map[string]string{
			"denied": "403 ", "teapot": "418 tea short and stout", "nothing": "500  Internal Server Error\n",
		} {
			a := harness.Parse(t, ask(how), "GET")
			got := fmt.Sprint(a.Status, " ", a.Header.Get("X-Pot"), " ", a.Body)
			if strings.TrimSpace(got) != strings.TrimSpace(want) {
				t.Errorf("%s: %q", how, got)
			}
		}
		s.Log.Wait(t, "^denied: .*'code': 1006")
		idle(t, harness.HTTP(t, addr))
	})
}

// TestASGIForks: a child that the application forks cannot answer for its parent, and ends where it
// would go on as a second worker.
func TestASGIForks(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		addr := harness.Addr(t)
		s.Allow("a child forked by the application returned into the server")
		s.Start(append(args, "--http-socket", addr)...)
		for path, want := range map[string]string{"/fork": "ended with 0", "/forks": "refused with 3"} {
			if a := harness.HTTP(t, addr).Get(path); a.Body != want {
				t.Errorf("%s: %s %q", path, a.Line, a.Body)
			}
		}
	})
}

// TestASGIContext: the uwsgi module's functions know the request after any await, in tasks and
// threads that it has begun, and in no others; a task shows the application to who looks at it.
func TestASGIContext(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		addr := harness.Addr(t)
		s.Start(append(args, "--http-socket", addr, "--log-format", "%(uri) is %(var.colour)%(colour)")...)
		site := harness.HTTP(t, addr)
		if a := site.Get("/context"); a.Body != "True none" {
			t.Errorf("%s %q", a.Line, a.Body)
		}
		s.Log.Wait(t, "^/context is .*blue")
		if a := site.Get("/task"); a.Body != `['CORO_RUNNING', 'application', True, 'application', True, {'type': 'http.request', 'body': b'', 'more_body': False}]` {
			t.Errorf("%s %s", a.Line, a.Body)
		}
	})
}

// idle waits until nothing but the asking request is at work: one exchange, one object for it, one
// task beside that of lifespan.
func idle(t *testing.T, site *harness.Client) {
	t.Helper()
	live := ""
	if !harness.Within(harness.Patience, func() bool {
		live = site.Get("/live").Body
		return regexp.MustCompile(`^\(1, 1, [12]\)$`).MatchString(live)
	}) {
		t.Errorf("exchanges, drivers and tasks that are left: %s", live)
	}
}

// TestASGIVanishing: clients that leave in whatever state leave nothing behind.
func TestASGIVanishing(t *testing.T) {
	onLoops(t, func(t *testing.T, s *harness.Server, args ...string) {
		addr := harness.Addr(t)
		s.Tolerate("Error: |CancelledError|was cut off|did not take|closed the connection|refused|broke the WebSocket")
		s.Setenv("PYTHONASYNCIODEBUG=1")
		s.Start(append(args, "--http-socket", addr, "--disable-logging", "--asgi-concurrency", "64")...)
		const clients, atOnce = 600, 40
		pages := []string{"hello", "echo", "together", "apart", "held", "large", "children", "path", "file", "hints",
			"trailers", "raises", "half", "nothing", "unfinished", "cancels", "waits", "after", "context"}
		var wg sync.WaitGroup
		for i := range atOnce {
			wg.Go(func() {
				r := rand.New(rand.NewSource(int64(i)))
				for range clients / atOnce {
					vanish(r, addr, pages)
				}
			})
		}
		wg.Wait()
		idle(t, harness.HTTP(t, addr))
	})
}

// vanish is one client.
func vanish(r *rand.Rand, addr string, pages []string) {
	c, err := net.DialTimeout("tcp", addr, harness.Patience)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Duration(r.Intn(200)) * time.Millisecond))
	page := pages[r.Intn(len(pages))]
	switch r.Intn(7) {
	case 0:
		fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: x\r\n", page)
	case 1:
		fmt.Fprintf(c, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n%s", page,
			strings.Repeat("x", r.Intn(90000)))
	case 2:
		fmt.Fprintf(c, "POST /%s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", page)
	case 3:
		for range r.Intn(5) + 1 {
			fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", pages[r.Intn(len(pages))])
		}
	case 4:
		io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		for range r.Intn(4) {
			io.WriteString(c, "\x81\x85\x00\x00\x00\x00hello"[:r.Intn(11)+1])
		}
	default:
		fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", page)
	}
	if r.Intn(2) == 0 {
		io.CopyN(io.Discard, c, int64(r.Intn(100000)))
	}
	if r.Intn(5) == 0 {
		c.(*net.TCPConn).CloseWrite()
	}
	if r.Intn(2) == 0 {
		c.(*net.TCPConn).SetLinger(0) // with a reset
	}
}
