package e2e

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// wsgiCase is one function of testdata/cases.py and what the client sees of it.
type wsgiCase struct {
	path   string
	status int
	body   string
	says   string // what the log has to complain of
}

const wrong = "Internal Server Error\n"

// wsgiCases are answers that HTTP can tell; what is cut off has tests of its own.
var wsgiCases = []wsgiCase{
	{"plain", 200, "plain", ""},
	{"keywords", 201, "kw", ""},
	{"twice", 500, wrong, "AssertionError: start_response was called twice without exc_info"},
	{"exc_info_before", 503, "sorry", ""},
	{"late", 202, "late", ""},
	{"never", 500, wrong, "AssertionError: .*start_response"},
	{"first_block_without_head", 500, wrong, "AssertionError: .*start_response"},
	{"status_int", 500, wrong, "TypeError: http status must be a string"},
	{"status_bytes", 500, wrong, "TypeError: http status must be a string"},
	{"status_short", 500, wrong, "ValueError: invalid http status '20'"},
	{"status_crlf", 500, wrong, "ValueError: http status must not contain control characters"},
	{"status_continue", 500, wrong, "ValueError: .100 Continue. is no final http status"},
	{"status_bare", 299, "bare", ""},
	{"header_crlf", 500, wrong, "ValueError: http header value must not contain control characters"},
	{"header_lf_name", 500, wrong, `ValueError: invalid http header name 'X-Go\\nod'`},
	{"header_int", 500, wrong, "TypeError: http header value must be a string"},
	{"header_tuple", 500, wrong, "TypeError: http headers must be in a python list"},
	{"header_wide", 500, wrong, "TypeError: http header must be encodable in latin1"},
	{"header_latin1", 200, "ok", ""},
	{"header_large", 200, "ok", ""},
	{"header_same", 200, "ok", ""},
	{"write", 200, "one two three", ""},
	{"write_text", 500, wrong, "TypeError: write\\(\\) takes bytes: this is <class 'str'>, not bytes"},
	{"many", 200, "abc", ""},
	{"several", 200, strings.Repeat("x", 50000) + strings.Repeat("y", 50000), ""},
	{"large", 200, largeBody, ""},
	{"empty", 200, "", ""},
	{"raw_bytes", 200, "bytes", ""},
	{"buffers", 200, "one two three", ""},
	{"raw_buffer", 200, "bytes", ""},
	{"numbers", 500, wrong, "TypeError: the application yielded <class 'list'>, not bytes"},
	{"text", 500, wrong, "TypeError: the application yielded <class 'str'>, not bytes"},
	{"none", 500, wrong, "TypeError: 'NoneType' object is not iterable"},
	{"fails_first", 500, wrong, "ValueError: before anything"},
	{"fails_after_start", 500, wrong, "ValueError: after start_response"},
	{"fails_at_first_block", 500, wrong, "ValueError: at the first block"},
	{"fails_in_close", 200, "whole", "ValueError: in close"},
	{"interrupted", 500, wrong, "KeyboardInterrupt"},
	{"too_long", 200, "long", ""},
	{"no_content", 204, "", ""},
	{"not_modified", 304, "", ""},
	{"file", 200, fileBody, ""},
	{"file_seek", 200, fileBody[255990:], ""},
	{"file_read_ahead", 200, fileBody[5:15], ""},
	{"file_no_descriptor", 200, "in memory", ""},
	{"file_after_write", 200, "before " + fileBody[255990:], ""},
	{"file_yielded", 200, "before " + fileBody[255990:] + " after", ""},
	{"file_yielded_fails", 500, wrong, "ValueError: in read"},
	{"file_unused", 200, "another body", ""},
}

// largeBody is more than any buffer on the way takes.
var largeBody = strings.Repeat("x", 5000000)

var fileBody = func() string {
	var b strings.Builder
	for i := range 256000 {
		b.WriteByte(byte(i))
	}
	return b.String()
}()

// TestPEP3333 runs every case over HTTP/1.1 (keep-alive: one broken answer must not spoil the
// next), HTTP/1.0 and the uwsgi protocol. All of it is one worker's: nothing an application does
// wrong ends it.
func TestPEP3333(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/cases.py", "cases.py")
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--module", "cases", "-p", "1", "--threads", "2")
	site := harness.HTTP(t, addr)
	for _, c := range wsgiCases {
		if c.says != "" {
			s.Allow(c.says)
		}
		c.check(t, "HTTP/1.1", site.Get("/"+c.path))
		c.check(t, "HTTP/1.0", harness.Parse(t, strings.NewReader(harness.Raw(t, addr,
			"GET /"+c.path+" HTTP/1.0\r\n\r\n")), "GET"))
		if c.path != "too_long" { // there it is the front end that counts
			c.check(t, "uwsgi", harness.Uwsgi(t, s.Path("s.sock"), harness.Request("GET", "/"+c.path, ""), ""))
		}
	}
	if n := s.Log.Count(`^spawned uWSGI worker|^Respawned`); n != 1 {
		t.Errorf("%d workers were started, not 1", n)
	}
	checkHeads(t, site)
}

// Whatever an application answers, the request behind it on the same connection gets its own answer
// or the connection ends.
func TestCasesPipelined(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/cases.py", "cases.py")
	s.Tolerate(".")
	s.Start("--http", addr, "--module", "cases")
	cases := append([]wsgiCase{{path: "fails_midway"}, {path: "fails_midway_with_length"}, {path: "too_short"},
		{path: "exc_info_after"}}, wsgiCases...)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		for _, c := range cases {
			request := method + " /" + c.path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" +
				"GET /keywords HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			answers := bufio.NewReader(harness.Send(t, addr, request))
			first, err := http.ReadResponse(answers, &http.Request{Method: method})
			if err != nil {
				t.Errorf("%s %s: %v", method, c.path, err)
				continue
			}
			_, cut := io.Copy(io.Discard, first.Body)
			rest, _ := io.ReadAll(answers)
			if c.status != 0 && first.StatusCode != c.status || len(rest) == 0 && cut == nil &&
				!first.Close && method == "GET" {
				t.Errorf("%s %s: %s, and then nothing", method, c.path, first.Status)
			}
			if len(rest) != 0 && (cut != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 201 Created\r\n") ||
				!strings.HasSuffix(string(rest), "\r\n\r\nkw")) {
				t.Errorf("%s %s: %s, and then %.200q", method, c.path, first.Status, rest)
			}
		}
	}
}

// What is left of a request's write() when the request is over writes nowhere, whatever its core
// does then.
func TestWriteAfterItsRequest(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/cases.py", "cases.py")
	s.Start("--http", addr, "--module", "cases")
	harness.HTTP(t, addr).Get("/keep_write")
	harness.Eventually(t, "the thread has tried to write", func() bool { return harness.Exists(s.Path("said")) })
	if said := readFile(t, s.Path("said")); said != "RuntimeError: the request this start_response belongs to is over" {
		t.Errorf("%s", said)
	}
}

// checkHeads looks at the headers of some cases.
func checkHeads(t *testing.T, site *harness.Client) {
	t.Helper()
	for _, c := range []struct{ path, header, want string }{
		{"header_same", "Set-Cookie", "a=1|b=2"},
		{"header_latin1", "X-N", "caf\xe9"},
		{"header_large", "X-Large", strings.Repeat("x", 70000)},
		{"exc_info_before", "X-First", ""},
		{"header_crlf", "X-Evil", ""},
		{"status_crlf", "X-Evil", ""},
		{"plain", "Content-Length", "5"},
		{"many", "Content-Length", ""},
		{"file", "Content-Length", "256000"},
		{"no_content", "Content-Length", ""},
	} {
		if got := strings.Join(site.Get("/" + c.path).Header[c.header], "|"); got != c.want {
			t.Errorf("%s: %s is %q, not %q", c.path, c.header, got, c.want)
		}
	}
}

func (c *wsgiCase) check(t *testing.T, how string, a *harness.Answer) {
	t.Helper()
	body, want := a.Body, c.body
	if len(body)+len(want) > 1000 && body != want {
		body, want = itoa(len(body))+" bytes", itoa(len(want))+" bytes"
	}
	if a.Status != c.status || body != want {
		t.Errorf("%s %s: %s %q, not %d %q", how, c.path, a.Line, body, c.status, want)
	}
}
