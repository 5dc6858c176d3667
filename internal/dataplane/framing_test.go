package dataplane

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/option"
)

var dateHeader = regexp.MustCompile(`Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// undated takes the one header out that no test can know, and checks its form.
func undated(s string) string { return dateHeader.ReplaceAllString(s, "") }

// scripted is an application that does what the request's path says.
func scripted(x *fakeCall) Outcome {
	switch path := x.variable("PATH_INFO"); path {
	case "/known":
		x.start("200 OK", "Content-Length: 5")
		return x.reply("hello")
	case "/plain":
		x.start("200 OK")
		return x.reply("hello")
	case "/empty":
		x.start("200 OK")
		return x.reply("")
	case "/stream":
		x.start("200 OK")
		x.write("hel")
		x.write("")
		x.write("lo")
		return x.finish()
	case "/stream-known":
		x.start("200 OK", "Content-Length: 5")
		x.write("hel")
		x.write("lo")
		return x.finish()
	case "/stream-none":
		x.start("200 OK")
		return x.finish()
	case "/short":
		x.start("200 OK", "Content-Length: 9")
		return x.reply("hello")
	case "/stream-short":
		x.start("200 OK", "Content-Length: 9")
		x.write("hello")
		return x.finish()
	case "/long":
		x.start("200 OK", "Content-Length: 2")
		return x.reply("hello")
	case "/stream-long":
		x.start("200 OK", "Content-Length: 4")
		x.write("hel")
		x.write("lo")
		return x.finish()
	case "/204":
		x.start("204 No Content")
		return x.reply("hello")
	case "/304":
		x.start("304 Not Modified", "X-A: 1")
		x.write("hello")
		return x.finish()
	case "/close":
		x.start("200 OK", "Connection: close")
		return x.reply("hello")
	case "/te":
		x.start("200 OK", "Transfer-Encoding: chunked")
		x.write("5\r\nhello\r\n0\r\n\r\n")
		return x.finish()
	case "/upgrade":
		x.start("101 Switching Protocols", "Connection: upgrade", "Upgrade: echo")
		x.write("raw")
		return x.finish()
	case "/dated":
		x.start("200 OK", "Date: then", "Content-Length: 0")
		return x.reply("")
	case "/raise":
		return Failed
	case "/raise-late":
		x.start("200 OK", "X-Never: seen")
		return Failed
	case "/raise-mid":
		x.start("200 OK")
		x.write("hello")
		return Failed
	case "/raise-mid-known":
		x.start("200 OK", "Content-Length: 9")
		x.write("hello")
		return Failed
	case "/noapp":
		return NoApp
	case "/written-and-buffered":
		x.start("200 OK")
		x.write("hello")
		return x.reply("")
	}
	return ok(x)
}

func TestFraming(t *testing.T) {
	const (
		k10  = "GET %s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
		g10  = "GET %s HTTP/1.0\r\n\r\n"
		g11  = "GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
		head = "HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n"
		c11  = "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

		lastAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\nConnection: " +
			"close\r\n\r\nhello /last"
	)
	// kept: a further request on the connection is answered. "…": the connection is closed in the
	// middle of the body.
	for _, tc := range []struct {
		request, path string
		want          string
		kept          bool
	}{
		{g11, "/known", "200 OK\r\nContent-Length: 5\r\n\r\nhello", true},
		{g11, "/plain", "200 OK\r\nContent-Length: 5\r\n\r\nhello", true},
		{g11, "/empty", "200 OK\r\nContent-Length: 0\r\n\r\n", true},
		{g11, "/stream", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", true},
		{g11, "/stream-known", "200 OK\r\nContent-Length: 5\r\n\r\nhello", true},
		{g11, "/stream-none", "200 OK\r\nContent-Length: 0\r\n\r\n", true},
		{g11, "/short", "200 OK\r\nContent-Length: 9\r\n\r\nhello", false},
		{g11, "/stream-short", "200 OK\r\nContent-Length: 9\r\n\r\nhello", false},
		{g11, "/long", "200 OK\r\nContent-Length: 2\r\n\r\nhe", true},
		{g11, "/stream-long", "200 OK\r\nContent-Length: 4\r\n\r\nhell", true},
		{g11, "/204", "204 No Content\r\n\r\n", true},
		{g11, "/304", "304 Not Modified\r\nX-A: 1\r\n\r\n", true},
		{g11, "/close", "200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", false},
		{g11, "/te", "200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false},
		{g11, "/upgrade", "101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nraw", false},
		{g11, "/dated", "200 OK\r\nDate: then\r\nContent-Length: 0\r\n\r\n", true},
		{g11, "/raise", "500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\nConnection: close\r\n\r\nInternal Server Error\n", false},
		{g11, "/raise-late", "500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\nConnection: close\r\n\r\nInternal Server Error\n", false},
		{g11, "/noapp", "500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\nConnection: close\r\n\r\nInternal Server Error\n", false},
		{g11, "/raise-mid", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false},
		{g11, "/raise-mid-known", "200 OK\r\nContent-Length: 9\r\n\r\nhello", false},
		{g11, "/written-and-buffered", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true},

		{head, "/known", "200 OK\r\nContent-Length: 5\r\n\r\n", true},
		{head, "/plain", "200 OK\r\n\r\n", true},
		{head, "/stream", "200 OK\r\n\r\n", true},
		{head, "/stream-short", "200 OK\r\nContent-Length: 9\r\n\r\n", true},

		{c11, "/plain", "200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", false},
		{c11, "/stream", "200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", false},

		{g10, "/plain", "200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", false},
		{g10, "/stream", "200 OK\r\nConnection: close\r\n\r\nhello", false},
		{k10, "/plain", "200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", true},
		{k10, "/stream", "200 OK\r\nConnection: close\r\n\r\nhello", false},
		{k10, "/stream-known", "200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", true},
	} {
		t.Run(strings.Fields(tc.request)[0]+tc.request[len(tc.request)-12:len(tc.request)-4]+tc.path,
			func(t *testing.T) {
				s := serve(t, config{handler: scripted})
				c := s.dial("http")
				c.send(fmt.Sprintf(tc.request, tc.path) + last)
				want := "HTTP/1.1 " + tc.want
				if tc.kept {
					want += lastAnswer
				}
				if got := undated(c.all()); got != want {
					t.Errorf("got  %q\nwant %q", got, want)
				}
			})
	}
}

// The same application over the protocols of gateways: nothing is added, and the end of the
// connection ends the body.
func TestGatewayFraming(t *testing.T) {
	s := serve(t, config{handler: scripted, listen: []string{"uwsgi", "scgi", "scgi-nph"}})
	for _, tc := range []struct{ method, path, want string }{
		{"GET", "/known", "200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{"GET", "/plain", "200 OK\r\n\r\nhello"},
		{"GET", "/stream", "200 OK\r\n\r\nhello"},
		{"GET", "/stream-none", "200 OK\r\n\r\n"},
		{"GET", "/raise", "500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n"},
		{"HEAD", "/known", "200 OK\r\nContent-Length: 5\r\n\r\nhello"}, // as uWSGI; the front end cuts it
	} {
		vars := cgi(tc.method, tc.path)
		if got, want := s.exchange("uwsgi", packet(vars...)), "HTTP/1.1 "+tc.want; got != want {
			t.Errorf("uwsgi %s: got %q, want %q", tc.path, got, want)
		}
		if got, want := s.exchange("scgi", netstring(vars...)), "Status: "+tc.want; got != want {
			t.Errorf("scgi %s: got %q, want %q", tc.path, got, want)
		}
		if got, want := s.exchange("scgi-nph", netstring(vars...)), "HTTP/1.1 "+tc.want; got != want {
			t.Errorf("scgi-nph %s: got %q, want %q", tc.path, got, want)
		}
	}
	for protocol, text := range map[string]string{"uwsgi": packet(cgi("GET", "/raise-mid")...),
		"scgi": netstring(cgi("GET", "/raise-mid")...)} {
		c := s.dial(protocol)
		c.send(text)
		if got := c.cut(); !strings.HasSuffix(got, " 200 OK\r\n\r\nhello") {
			t.Errorf("%s: %q", protocol, got)
		}
	}
	if got := s.exchange("uwsgi", packet("REQUEST_METHOD=GET", "PATH_INFO=/known")); !strings.HasPrefix(got,
		"HTTP/1.0 200 OK\r\n") {
		t.Errorf("without SERVER_PROTOCOL: %q", got)
	}
}

// netstring makes an SCGI head of "NAME=value" pairs.
func netstring(vars ...string) string {
	var b strings.Builder
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		b.WriteString(name + "\x00" + value + "\x00")
	}
	return fmt.Sprintf("%d:%s,", b.Len(), b.String())
}

func TestPipelining(t *testing.T) {
	s := serve(t, config{set: func(s *option.Settings) { s.Threads = 2 }})
	c := s.dial("http")
	const n = 3 * fairness
	go func() {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		}
		c.Conn.Write([]byte(b.String()))
	}()
	for i := range n {
		if _, body := c.response("GET"); body != fmt.Sprintf("hello /%d", i) {
			t.Fatalf("answer %d is %q", i, body)
		}
	}
	lines := s.requests(n)
	for i := range n {
		if want := fmt.Sprintf("GET /%d 200 %d", i, len(fmt.Sprintf("hello /%d", i))); lines[i] != want {
			t.Fatalf("log line %d is %q, want %q", i, lines[i], want)
		}
	}
}

func TestKeepalive(t *testing.T) {
	s := serve(t, config{})
	c := s.dial("http")
	for i := range 100 {
		path := fmt.Sprintf("/%d", i)
		if got := c.get(path); got != "hello "+path {
			t.Fatalf("%q", got)
		}
	}
	if got := s.eng.row.Conns.Load(); got != 1 {
		t.Errorf("%d connections", got)
	}
}

func TestNoKeepalive(t *testing.T) {
	s := serve(t, config{set: func(s *option.Settings) { s.HTTPNoKeepalive = true }})
	got := s.exchange("http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if !strings.Contains(got, "\r\nConnection: close\r\n") {
		t.Errorf("%q", got)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t, config{listen: []string{"http", "uwsgi", "scgi"},
		set: func(s *option.Settings) { s.BufferSize = 4096; s.LimitPost = 10 }})
	for _, tc := range []struct {
		name, protocol, raw, want string
	}{
		{"no host", "http", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
		{"version", "http", "GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
		{"long line", "http", "GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\n\r\n", "HTTP/1.1 414 URI Too Long\r\n"},
		{"long head", "http", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"limit-post", "http", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world", "HTTP/1.1 413 Content Too Large\r\n"},
		{"limit-post chunked", "http", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n", "HTTP/1.1 413 "},
		{"bad chunk", "http", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
		{"smuggling", "http", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400 "},
		{"expect", "http", "POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", "HTTP/1.1 417 "},
		{"modifier", "uwsgi", "\x05\x01\x00\x00x", "HTTP/1.1 501 Not Implemented\r\n"},
		{"packet too large", "uwsgi", "\x00\x00\x20\x00", "HTTP/1.1 431 "},
		{"packet length", "uwsgi", packet(cgi("POST", "/", "CONTENT_LENGTH=x")...), "HTTP/1.1 400 "},
		{"packet limit-post", "uwsgi", packet(cgi("POST", "/", "CONTENT_LENGTH=11")...) + "hello world", "HTTP/1.1 413 "},
		{"netstring", "scgi", "x", "Status: 400 Bad Request\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mark(t)
			// What follows a bad request is never served.
			c := s.dial(tc.protocol)
			c.send(tc.raw + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			if got := c.all(); !strings.HasPrefix(got, tc.want) || strings.Contains(got, "smuggled") ||
				strings.Count(got, "HTTP/1.1")+strings.Count(got, "Status:") != 1 {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if !strings.Contains(messages(t, m), "refused a request from ") {
				t.Errorf("nothing was logged: %q", messages(t, m))
			}
		})
	}
	if n := s.eng.row.Requests.Load(); n != 0 {
		t.Errorf("the application was called %d times", n)
	}
}

// A front end that asks for the head alone is not told that the body is short.
func TestHeadThroughGateway(t *testing.T) {
	s := serve(t, config{listen: []string{"uwsgi", "scgi", "fastcgi"}, handler: func(x *fakeCall) Outcome {
		x.start("200 OK", "Content-Length: 40")
		return x.finish()
	}})
	for protocol, request := range map[string]string{
		"uwsgi": packet(cgi("HEAD", "/")...), "scgi": netstring(cgi("HEAD", "/")...), "fastcgi": fcgi(1, false, cgi("HEAD", "/")),
	} {
		m := mark(t)
		c := s.dial(protocol)
		c.send(request)
		if got := c.all(); !strings.Contains(got, "Content-Length: 40\r\n") {
			t.Errorf("%s: %q", protocol, got)
		}
		if got := messages(t, m); got != "" {
			t.Errorf("%s: %s", protocol, got)
		}
	}
}

func TestHeaderOptions(t *testing.T) {
	s := serve(t, config{
		set: func(s *option.Settings) {
			s.AddHeaders = []string{"X-Added: yes", "X-More: 2"}
			s.RemHeaders = []string{"x-powered-by"}
			s.LogFormat = "%(headers) %(hsize)"
		},
		handler: func(x *fakeCall) Outcome {
			x.start("200 OK", "X-Powered-By: me", "X-Kept: 1", "X-POWERED-BY: you", "Content-Length: 0")
			return x.reply("")
		},
	})
	got := undated(s.exchange("http", "GET / HTTP/1.0\r\n\r\n"))
	want := "HTTP/1.1 200 OK\r\nX-Kept: 1\r\nContent-Length: 0\r\nX-Added: yes\r\nX-More: " +
		"2\r\nConnection: close\r\n\r\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if lines := s.requests(1); lines[0] != fmt.Sprintf("6 %d",
		len(want)+len("Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")) {
		t.Errorf("log: %q", lines[0])
	}
}

// TestFramingIsOurs: without the application's Content-Length (rem-header, in all of OpenStack's
// configurations) the client is told by the server where the body ends, and a connection that
// add-header calls closed is closed.
func TestFramingIsOurs(t *testing.T) {
	for _, add := range []string{"", "Connection: close"} {
		s := serve(t, config{
			set: func(s *option.Settings) {
				s.RemHeaders = []string{"content-length"}
				if add != "" {
					s.AddHeaders = []string{add}
				}
			},
			handler: func(x *fakeCall) Outcome {
				x.start("200 OK", "Content-Length: 5")
				if x.variable("PATH_INFO") == "/pieces" {
					x.write("hel")
					x.write("lo")
					return x.finish()
				}
				return x.reply("hello")
			},
		})
		last := ""
		if add != "" {
			last = "Connection: close\r\n"
		}
		for target, want := range map[string]string{
			"/whole":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + last + "\r\nhello",
			"/pieces": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + last + "\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
		} {
			request := "GET " + target + " HTTP/1.1\r\nHost: h\r\n"
			if add == "" {
				// The second one closes, so that the exchange ends.
				c := s.dial("http")
				c.send(request + "\r\n" + request + "Connection: close\r\n\r\n")
				if got := undated(c.all()); !strings.HasPrefix(got, want) || strings.Count(got, "HTTP/1.1 200") != 2 {
					t.Errorf("%s: got %q, want %q twice", target, got, want)
				}
				continue
			}
			if got := undated(s.exchange("http", request+"\r\n")); got != want {
				t.Errorf("%s: got %q, want %q", target, got, want)
			}
		}
	}
}
