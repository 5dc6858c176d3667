package dataplane

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

func TestTimeouts(t *testing.T) {
	short := func(s *option.Settings) {
		s.HTTPHeadersTimeout, s.SocketTimeout, s.HTTPKeepalive = 100*time.Millisecond,
			100*time.Millisecond, 100*time.Millisecond
	}
	s := serve(t, config{set: short, listen: []string{"http", "uwsgi", "fastcgi", "scgi"}})
	for _, tc := range []struct{ name, protocol, text, want string }{
		{"nothing", "http", "", ""},
		{"head", "http", "GET / HTTP/1.1\r\nHost", "HTTP/1.1 408 Request Timeout\r\n"},
		{"body", "http", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe", "HTTP/1.1 408 "},
		{"chunked body", "http", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", "HTTP/1.1 408 "},
		{"uwsgi nothing", "uwsgi", "", ""},
		{"uwsgi head", "uwsgi", packet(cgi("GET", "/")...)[:20], ""},
		{"uwsgi body", "uwsgi", packet(cgi("POST", "/", "CONTENT_LENGTH=5")...) + "he", ""},
		{"fastcgi", "fastcgi", fcgi(1, false, cgi("GET", "/"))[:60], ""},
		{"scgi", "scgi", netstring(cgi("GET", "/")...)[:20], ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.exchange(tc.protocol, tc.text); !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		c := s.dial("http")
		c.get("/")
		c.expectClosed()
	})
	t.Run("drip", func(t *testing.T) {
		// Byte after byte keeps no head alive past its time.
		c := s.dial("http")
		c.send("GET / HTTP/1.1\r\n")
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					c.Conn.Write([]byte("x"))
				}
			}
		}()
		if got := c.all(); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("%q", got)
		}
		close(stop)
		<-done
	})
	s.expectRequests(1)
}

// How long a body may be silent is for http-timeout to say on an HTTP socket, and for
// chunked-input-timeout where it is chunked.
func TestBodyTimeouts(t *testing.T) {
	const plain, chunked = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"
	long, short := time.Minute, 100*time.Millisecond
	for _, tc := range []struct {
		name, protocol, text string
		set                  func(*option.Settings)
		option               string
	}{
		{"http-timeout", "http", plain, func(s *option.Settings) { s.HTTPTimeout, s.SocketTimeout = short, long }, "http-timeout"},
		{"socket-timeout", "http", plain, func(s *option.Settings) { s.SocketTimeout = short }, "socket-timeout"},
		{"socket-timeout, not http", "uwsgi", packet(cgi("POST", "/", "CONTENT_LENGTH=5")...) + "he", func(s *option.Settings) { s.HTTPTimeout, s.SocketTimeout = long, short }, ""},
		{"chunked-input-timeout", "http", chunked, func(s *option.Settings) { s.ChunkedInputTimeout, s.HTTPTimeout, s.SocketTimeout = short, long, long }, "chunked-input-timeout"},
		{"http-timeout, chunked", "http", chunked, func(s *option.Settings) { s.HTTPTimeout, s.SocketTimeout = short, long }, "http-timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := func(s *option.Settings) {
				tc.set(s)
				s.HTTPHeadersTimeout = long // else http-timeout is that, too, before the first byte
			}
			s, at := serve(t, config{set: set, listen: []string{tc.protocol}}), mark(t)
			got := s.exchange(tc.protocol, tc.text)
			if tc.protocol == "http" && !strings.HasPrefix(got, "HTTP/1.1 408 ") || tc.protocol != "http" && got != "" {
				t.Errorf("got %q", got)
			}
			if m := messages(t, at); tc.option != "" && !strings.Contains(m, "in time ("+tc.option+")") {
				t.Errorf("logged: %q", m)
			}
		})
	}
}

func TestDisconnects(t *testing.T) {
	s := serve(t, config{handler: echo, listen: []string{"http", "uwsgi", "fastcgi", "scgi"},
		set: func(s *option.Settings) { s.Threads = 2 }})
	for protocol, text := range map[string]string{
		"http":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhello",
		"uwsgi":   packet(cgi("POST", "/", "CONTENT_LENGTH=100000")...) + "hello",
		"scgi":    netstring(cgi("POST", "/", "CONTENT_LENGTH=100000")...) + "hello",
		"fastcgi": fcgi(1, false, cgi("POST", "/", "CONTENT_LENGTH=100000"), "hello")[:100],
	} {
		for n := 0; n <= len(text); n++ {
			c := s.dial(protocol)
			c.send(text[:n])
			if n%2 == 0 {
				c.Conn.(*net.TCPConn).SetLinger(0) // a reset
			}
			c.Close()
		}
	}
	// Served only when those before it are seen off, or beside them; in either case nothing is left
	// of them in the end.
	if got := s.dial("http").get("/"); got != "-|-|false|" {
		t.Errorf("%q", got)
	}
	s.idle()
	s.expectRequests(1)
}

// idle waits until no connection holds a part of a request.
func (s *server) idle() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.eng.active.Load() != 0; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d connections stay active", s.eng.active.Load())
		}
	}
}

func TestClientLeavesWhileWriting(t *testing.T) {
	for _, tc := range []struct {
		name   string
		quiet  bool
		silent bool
		want   int
		logged bool
	}{
		{"default", false, false, -1, true},
		{"disable-write-exception", true, false, 1, true},
		{"ignore-write-errors", false, true, -1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			gone, rcs := make(chan struct{}), make(chan int, 1)
			s := serve(t, config{
				set: func(s *option.Settings) { s.NoWriteException, s.IgnoreWriteErrors = tc.quiet, tc.silent },
				handler: func(x *fakeCall) Outcome {
					x.start("200 OK")
					x.write("first")
					<-gone
					rc := 0
					for range 1000 { // the kernel takes some before it knows
						if rc = x.write(strings.Repeat("x", 1<<16)); rc != 0 {
							break
						}
					}
					rcs <- rc
					x.finish()
					if rc < 0 {
						return Failed
					}
					return Done
				},
			})
			m := mark(t)
			c := s.dial("http")
			c.send("GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, err := io.ReadFull(c.r, make([]byte, 15)); err != nil {
				t.Fatal(err)
			}
			c.Conn.(*net.TCPConn).SetLinger(0)
			c.Close()
			close(gone)
			if rc := <-rcs; rc != tc.want {
				t.Errorf("write returned %d, want %d", rc, tc.want)
			}
			if line := s.requests(1)[0]; !strings.HasPrefix(line, "GET /gone 200 ") {
				t.Errorf("log: %q", line)
			}
			if got := strings.Contains(messages(t, m), "did not take the response to GET /gone"); got != tc.logged {
				t.Errorf("logged: %v", got)
			}
		})
	}
}

// What a client sends behind its last request is not read, and must not cost it the answer: a line
// end behind a form, as some send it, or a request too many.
func TestBytesBehindTheLastRequest(t *testing.T) {
	for name, c := range map[string]struct{ path, request, extra string }{
		"whole":    {"/whole", "POST /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "\r\n"},
		"streamed": {"/streamed", "GET /streamed HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"},
		"slow":     {"/slow", "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			running := make(chan struct{})
			s := serve(t, config{handler: func(x *fakeCall) Outcome {
				close(running)
				unix.Poll([]unix.PollFd{{Fd: int32(x.exchange.cn.fd), Events: unix.POLLIN}},
					int(patience.Milliseconds()))
				switch x.variable("PATH_INFO") {
				case "/streamed":
					x.start("200 OK")
					x.write("hello /streamed")
					return x.finish()
				case "/slow":
					x.start("200 OK", "Content-Length: 20000000")
					return x.reply(strings.Repeat("y", 20000000))
				}
				return ok(x)
			}})
			conn := s.dial("http")
			conn.send(c.request)
			<-running
			conn.send(c.extra)
			got := conn.all()
			if want := "hello " + c.path; !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || c.path != "/slow" &&
				!strings.HasSuffix(got, want) || c.path == "/slow" && len(got) < 20000000 {
				t.Errorf("%d bytes: %.300q", len(got), got)
			}
		})
	}
}
