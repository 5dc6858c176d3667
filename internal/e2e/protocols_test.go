package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestProtocolsBehindNginx: what nginx can speak to us beside the uwsgi protocol, with its stock
// parameters.
func TestProtocolsBehindNginx(t *testing.T) {
	for name, c := range map[string]struct{ option, location string }{
		"fastcgi":       {"--fastcgi-socket", "include /etc/nginx/fastcgi_params; fastcgi_pass unix:%s;"},
		"fastcgi, kept": {"--fastcgi-socket", "include /etc/nginx/fastcgi_params; fastcgi_pass unix:%s; fastcgi_keep_conn on;"},
		"scgi":          {"--scgi-socket", "include /etc/nginx/scgi_params; scgi_param PATH_INFO $document_uri; scgi_pass unix:%s;"},
		"http":          {"--http-socket", "proxy_pass http://unix:%s;"},
		"http/1.1":      {"--http-socket", "proxy_pass http://unix:%s; proxy_http_version 1.1; proxy_set_header Connection '';"},
		"uwsgi":         {"--socket", "include /etc/nginx/uwsgi_params; uwsgi_pass unix:%s;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Copy("testdata/oracle.py", "oracle.py")
			s.Copy("testdata/cases.py", "cases.py")
			s.Start(c.option, s.Path("s.sock"), "--chmod-socket=666", "--module", "oracle", "--threads", "2")
			site := harness.HTTP(t, harness.StartNginx(t,
				"location / { "+strings.ReplaceAll(c.location, "%s", s.Path("s.sock"))+" }").Addr)
			for range 3 {
				a := site.Do("POST", "/caf%C3%A9?q=1", strings.NewReader("the body"), "X-Two: words")
				var env map[string]any
				if err := json.Unmarshal([]byte(a.Body), &env); err != nil {
					t.Fatalf("%s %q", a.Line, a.Body)
				}
				for k, want := range map[string]any{"REQUEST_METHOD": "POST", "QUERY_STRING": "q=1",
					"CONTENT_LENGTH": "8", "body": "the body", "HTTP_X_TWO": "words", "wsgi.url_scheme": "http"} {
					if env[k] != want {
						t.Errorf("%s is %v, not %v", k, env[k], want)
					}
				}
				if path, _ := env["PATH_INFO"].(string); path != "/caf\u00c3\u00a9" &&
					env["SCRIPT_NAME"] != "/caf\u00c3\u00a9" {
					t.Errorf("PATH_INFO is %q", env["PATH_INFO"])
				}
			}
			if !strings.Contains(name, "cgi") { // nginx leaves at once: it wants no body, nor complaints about that
				for range 3 {
					site.Do("HEAD", "/case/large", nil)
					site.Do("HEAD", "/case/blocks", nil)
				}
				if n := s.Log.Count("did not take the response"); n != 0 {
					t.Errorf("%d complaints about HEAD", n)
				}
			}
			for _, w := range []wsgiCase{{"plain", 200, "plain", ""}, {"large", 200, strings.Repeat("x", 5000000), ""},
				{"file", 200, fileBody, ""}, {"no_content", 204, "", ""}, {"many", 200, "abc", ""}} {
				// stock cgi parameters give no PATH_INFO; nginx warns of the body
				if !strings.Contains(name, "cgi") && (w.path != "no_content" || name != "uwsgi") {
					w.check(t, name, site.Get("/case/"+w.path))
				}
			}
		})
	}
}

// TestListeners: every kind of address, and the rights of a unix socket.
func TestListeners(t *testing.T) {
	t.Parallel()
	s, tcp, six := harness.New(t), harness.Addr(t), harness.Addr(t)
	_, port, _ := strings.Cut(six, ":")
	s.Write("app.py", version("up"))
	s.Start("--http-socket", tcp, "--http-socket", "[::1]:"+port, "--http-socket", s.Path("h.sock"), "--socket",
		s.Path("u.sock"), "--chmod-socket=640", "--module", "app", "--vacuum")
	for _, addr := range []string{tcp, "[::1]:" + port, s.Path("h.sock")} {
		if a := harness.HTTP(t, addr).Get("/"); a.Body != "up" {
			t.Errorf("%s: %s %q", addr, a.Line, a.Body)
		}
	}
	for _, path := range []string{"h.sock", "u.sock"} {
		st, err := os.Stat(s.Path(path))
		if err != nil || st.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", path, st, err)
		}
	}
	s.Stop()
	for _, path := range []string{"h.sock", "u.sock"} {
		if harness.Exists(s.Path(path)) {
			t.Errorf("vacuum left %s", path)
		}
	}
}

// TestLimits: what is too large gets a status that says so, a line that names the option, and the
// worker serves on.
func TestLimits(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("up"))
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--module", "app", "--buffer-size",
		"8192", "--limit-post", "1000")
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"header":  {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 20000) + "\r\n\r\n", 431},
		"target":  {"GET /" + strings.Repeat("y", 20000) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
		"body":    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n" + strings.Repeat("y", 1001), 413},
		"chunks":  {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat("y", 1001) + "\r\n0\r\n\r\n", 413},
		"nothing": {"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400},
		"both":    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	} {
		if a := harness.Parse(t, harness.Send(t, addr, c.request), "GET"); a.Status != c.status {
			t.Errorf("%s: %s, not %d", name, a.Line, c.status)
		}
	}
	for _, option := range []string{"buffer-size", "limit-post"} {
		s.Log.Wait(t, "refused a request from 127.0.0.1 .*"+option)
	}
	big := harness.Request("GET", "/", "").With("HTTP_X", strings.Repeat("y", 20000))
	if a := harness.Uwsgi(t, s.Path("s.sock"), big, ""); a.Status != 431 {
		t.Errorf("uwsgi: %s", a.Line)
	}
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "up" {
		t.Errorf("%s", a.Line)
	}
}

// TestPipelining: requests that come in one piece are answered in order on one connection.
func TestPipelining(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/reading.py", "reading.py")
	s.Start("--http", addr, "--module", "reading", "--threads", "4")
	const one = "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
	const two = "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
	const three = "GET /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	got := harness.Raw(t, addr, one+two+three)
	var bodies []string
	for _, part := range strings.Split(got, "HTTP/1.1 200 OK\r\n")[1:] {
		_, body, _ := strings.Cut(part, "\r\n\r\n")
		bodies = append(bodies, body)
	}
	if strings.Join(bodies, "|") != "[b'one', b'']|[]|[b'', b'']" {
		t.Errorf("%q", got)
	}
}
