package e2e

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// startCases serves testdata/cases.py with one worker and two threads by HTTP and by the uwsgi
// protocol.
func startCases(t *testing.T, args ...string) (s *harness.Server, addr string) {
	t.Helper()
	s, addr = harness.New(t), harness.Addr(t)
	s.Copy("testdata/cases.py", "cases.py")
	s.Start(append([]string{"--http", addr, "--socket", s.Path("s.sock"), "--module", "cases", "--threads", "2"},
		args...)...)
	return s, addr
}

// What fails after its first byte is cut off in a way that the client notices: a chunked body
// without its end, fewer bytes than promised.
func TestCutOff(t *testing.T) {
	t.Parallel()
	s, addr := startCases(t)
	s.Allow("ValueError: midway$", "ValueError: midway, with a length", "KeyError: 'too late'")
	site := harness.HTTP(t, addr)
	for _, path := range []string{"/fails_midway", "/fails_midway_with_length", "/too_short", "/exc_info_after"} {
		a, err := site.Try("GET", path, nil)
		if a == nil || a.Status != 200 || err == nil {
			t.Errorf("%s: %+v, %v: the client cannot tell that this is not whole", path, a, err)
		}
	}
	if a := site.Get("/close_after"); a.Body != "fails_midway; fails_midway_with_length" {
		t.Errorf("close() ran for %q", a.Body)
	}
}

// Where only the end of the connection marks the end of an answer, one that is cut off ends in a
// reset: nginx in front then cuts its own, too.
func TestCutOffWithoutLength(t *testing.T) {
	t.Parallel()
	socket, fastcgi, scgi := harness.Addr(t), harness.Addr(t), harness.Addr(t)
	s, addr := startCases(t, "--socket", socket, "--fastcgi-socket", fastcgi, "--scgi-socket", scgi)
	s.Allow("ValueError: midway$")
	for how, c := range map[string]struct{ addr, request string }{
		"HTTP/1.0": {addr, "GET /fails_midway HTTP/1.0\r\n\r\n"},
		"uwsgi":    {socket, string(harness.Request("GET", "/fails_midway", "").Packet())},
	} {
		got, err := io.ReadAll(harness.Send(t, c.addr, c.request))
		if err == nil || !strings.HasSuffix(string(got), "\r\n\r\nsome of it") {
			t.Errorf("%s: %q, %v: the client cannot tell that this is not whole", how, got, err)
		}
	}
	for how, location := range map[string]string{
		"uwsgi":    "include /etc/nginx/uwsgi_params; uwsgi_pass " + socket + ";",
		"FastCGI":  "include /etc/nginx/fastcgi_params; fastcgi_param PATH_INFO $document_uri; fastcgi_pass " + fastcgi + ";",
		"SCGI":     "include /etc/nginx/scgi_params; scgi_param PATH_INFO $document_uri; scgi_pass " + scgi + ";",
		"HTTP/1.0": "proxy_pass http://" + addr + ";",
	} {
		nginx := harness.StartNginx(t, "location / { "+location+" }")
		nginx.Tolerate(`104: Connection reset by peer\) while reading upstream.*/fails_midway`)
		front := harness.HTTP(t, nginx.Addr)
		if a, err := front.Try("GET", "/fails_midway", nil); err == nil {
			t.Errorf("nginx, %s: %+v: the client cannot tell that this is not whole", how, a)
		}
		if a := front.Get("/many"); a.Body != "abc" {
			t.Errorf("nginx, %s, whole: %s %q", how, a.Line, a.Body)
		}
	}
}

// A generator's block is on the wire before the next one is asked for, over every protocol.
func TestFlush(t *testing.T) {
	t.Parallel()
	s, addr := startCases(t)
	for how, c := range map[string]struct{ addr, request string }{
		"HTTP/1.1": {addr, "GET /flush HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
		"HTTP/1.0": {addr, "GET /flush HTTP/1.0\r\n\r\n"},
		"uwsgi":    {s.Path("s.sock"), string(harness.Request("GET", "/flush", "").Packet())},
	} {
		os.Remove(s.Path("seen"))
		conn := harness.Send(t, c.addr, c.request)
		harness.ReadUntil(t, conn, "first\n")
		s.Write("seen", "")
		rest, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(rest), "second\n") {
			t.Errorf("%s: %q, %v", how, rest, err)
		}
	}
}

// Blocks of every size arrive whole and in order by each protocol, at a client that takes little at
// a time, and are counted once.
func TestBlocks(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	sizes := slices.Repeat([]int{1, 2, 15, 16, 8191, 8192, 8193, 65535, 65536, 65537, 300000}, 4)
	for i, n := range append(append(sizes, slices.Repeat([]int{4096}, 500)...), 0, 1) {
		want.WriteString(strings.Repeat(string([]byte{byte(i % 251)}), n))
	}
	s, addr := startCases(t)
	for how, c := range map[string]struct{ addr, request string }{
		"HTTP/1.1": {addr, "GET /blocks?11 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
		"HTTP/1.0": {addr, "GET /blocks?10 HTTP/1.0\r\n\r\n"},
		"HEAD":     {addr, "HEAD /blocks?head HTTP/1.0\r\n\r\n"},
		"uwsgi":    {s.Path("s.sock"), string(harness.Request("GET", "/blocks", "unix").Packet())},
	} {
		conn := harness.Send(t, c.addr, c.request)
		conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(64 << 10)
		method, _, _ := strings.Cut(c.request, " ")
		if method != "HEAD" {
			method = "GET"
		}
		a := harness.Parse(t, conn, method)
		if body := want.String(); a.Status != 200 || method == "GET" && a.Body != body {
			t.Errorf("%s: %s, %d bytes, not the %d expected, or others", how, a.Line, len(a.Body), len(body))
		}
	}
	for _, query := range []string{"11", "10", "unix", "head"} {
		s.Log.Wait(t, fmt.Sprintf(`(GET|HEAD) /blocks\?%s => generated %d bytes in`, query, want.Len()))
	}
}

// HEAD has the head of GET and no body, and the connection goes on behind it, as behind 204 and
// 304.
func TestNoBody(t *testing.T) {
	t.Parallel()
	_, addr := startCases(t)
	c := harness.Dial(t, addr)
	for _, path := range []string{"/plain", "/many", "/large", "/file", "/too_short"} {
		a := harness.Ask(t, c, "HEAD "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if a.Status != 200 || a.Body != "" {
			t.Errorf("HEAD %s: %s %q", path, a.Line, a.Body)
		}
	}
	if a := harness.Ask(t, c, "HEAD /too_short HTTP/1.1\r\nHost: x\r\n\r\n"); a.Header.Get("Content-Length") != "100" {
		t.Errorf("HEAD has Content-Length %q, not the application's", a.Header.Get("Content-Length"))
	}
	for _, path := range []string{"/no_content", "/not_modified", "/plain"} {
		if a := harness.Ask(t, c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); a.Header.Get("Connection") == "close" {
			t.Errorf("%s ends the connection", path)
		}
	}
}

// A file that is sent is closed afterwards; one that is text to Python has the same bytes.
func TestFileWrapper(t *testing.T) {
	t.Parallel()
	s, addr := startCases(t)
	site, source := harness.HTTP(t, addr), readFile(t, "testdata/cases.py")
	for path, want := range map[string]string{
		"/file_closed": source, "/file_text": source, "/file_text_yielded": "before " + source + " after", "/file_text_listed": "before " + source,
		"/file_text_after_write": "before " + source,
	} {
		if a := site.Get(path); a.Body != want {
			t.Errorf("%s: %s, %d bytes, not %d", path, a.Line, len(a.Body), len(want))
		}
	}
	if a := site.Get("/close_after"); a.Body != "file" {
		t.Errorf("close() ran for %q", a.Body)
	}
	s.Log.Wait(t, `GET /file_closed => generated \d+ bytes in \d+ msecs via sendfile\(\)`)
}

// A status given without a reason goes out with the standard one, where there is one.
func TestStatusWithoutReason(t *testing.T) {
	t.Parallel()
	_, addr := startCases(t)
	site := harness.HTTP(t, addr)
	for status, line := range map[string]string{
		"200": "200 OK", "200+": "200 OK", "404": "404 Not Found", "418": "418 I'm a teapot", "511": "511 Network Authentication Required", "299": "299 ",
		"200+Fine": "200 Fine", "404++": "404  ",
	} {
		if a := site.Get("/status_without_reason?" + status); a.Line != line || a.Body != "bare" {
			t.Errorf("%s: %q, %q", status, a.Line, a.Body)
		}
	}
}

// sys.exit() in a request: the client gets an answer, the worker ends with that status, another one
// takes over.
func TestSystemExit(t *testing.T) {
	t.Parallel()
	s, addr := startCases(t)
	s.Allow("DAMN ! worker 1 .* died")
	if a := harness.HTTP(t, addr).Get("/ends"); a.Status != 500 {
		t.Errorf("%s", a.Line)
	}
	s.Log.Wait(t, `the application called exit\(9\) in a request`)
	s.Log.Wait(t, `^Respawned uWSGI worker 1`)
	if a := harness.HTTP(t, addr).Get("/plain"); a.Body != "plain" {
		t.Errorf("%s", a.Line)
	}
}
