package dataplane

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// pattern is n bytes of which each place can be told from the next.
func pattern(n int) string { return patternText()[:n] }

var patternText = sync.OnceValue(func() string {
	b := make([]byte, 0, 9<<20)
	for i := 0; len(b) < 8<<20; i++ {
		b = append(strconv.AppendInt(b, int64(10000000+i), 10), '\n')
	}
	return string(b)
})

// slowRequest sends a request on a connection with a small receive buffer, and reads nothing.
func slowRequest(s *server, protocol, text string) *client {
	c := s.dial(protocol)
	c.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(128 << 10)
	c.send(text)
	return c
}

// hurry lets a slow client take what comes as fast as it can.
func (c *client) hurry() { c.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(4 << 20) }

// held waits until the housekeeper has n connections.
func (s *server) held(n int) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; unix.Poll(nil, 1) {
		count := 0
		for cn := range s.eng.conns.all() {
			if cn.heldByHousekeeper.Load() {
				count++
			}
		}
		if count == n {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the housekeeper has %d connections, want %d", count, n)
		}
	}
}

func TestSlowReaders(t *testing.T) {
	const size = 8 << 20
	body := pattern(size)
	checkFDs(t)
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	io.WriteString(file, body)
	for _, copying := range []bool{false, true} {
		s := serve(t, config{
			listen: []string{"http", "uwsgi", "fastcgi", "scgi"},
			set:    func(s *option.Settings) { s.NoSendfile = copying },
			handler: func(x *fakeCall) Outcome {
				switch x.variable("PATH_INFO") {
				case "/copied":
					x.start("200 OK")
					return x.reply(body)
				case "/pinned":
					x.start("200 OK")
					return x.replyPinned([]byte(body))
				case "/file":
					x.start("200 OK")
					return x.sendfile(file, 0, size)
				}
				return ok(x)
			},
		})
		for _, path := range []string{"/copied", "/pinned", "/file"} {
			for _, protocol := range []string{"http", "uwsgi", "scgi", "fastcgi"} {
				t.Run(fmt.Sprintf("%s %s copying %v", protocol, path, copying), func(t *testing.T) {
					defer s.within(t)()
					text := map[string]string{
						"http":    "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
						"uwsgi":   packet(cgi("GET", path)...),
						"scgi":    netstring(cgi("GET", path)...),
						"fastcgi": fcgi(1, true, cgi("GET", path)) + fcgi(1, false, cgi("GET", "/next")),
					}[protocol]
					c := slowRequest(s, protocol, text)
					s.held(1)
					c.hurry()
					// The one core is free meanwhile.
					if got := s.dial("http").get("/beside"); got != "hello /beside" {
						t.Fatalf("%q", got)
					}
					var got string
					switch protocol {
					case "http":
						_, got = c.response("GET")
						if _, next := c.response("GET"); next != "hello /next" {
							t.Errorf("the next request on the connection: %q", next)
						}
					case "fastcgi":
						out, rest := fcgiDecode(t, 1, c.all())
						_, got, _ = strings.Cut(out, "\r\n\r\n")
						if next, _ := fcgiDecode(t, 1, rest); !strings.HasSuffix(next, "hello /next") {
							t.Errorf("the next request on the connection: %q", next)
						}
					default:
						_, got, _ = strings.Cut(c.all(), "\r\n\r\n")
					}
					if got != body {
						t.Errorf("got %d bytes, want %d", len(got), size)
					}
					c.Close()
				})
			}
		}
		if n := s.app.released.Load(); n != 4 {
			t.Errorf("%d bodies were released, want 4", n)
		}
		if n := s.board.Cell(0, 0).Offloaded.Load(); n != 12 {
			t.Errorf("%d responses were counted as handed over, want 12", n)
		}
	}
}

// A client that does not read and then goes, or never reads, leaves nothing behind.
func TestSlowReaderGivesUp(t *testing.T) {
	body := pattern(8 << 20)
	for _, tc := range []struct {
		name  string
		leave func(c *client)
	}{
		{"reset", func(c *client) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() }},
		{"stalls", func(c *client) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, config{
				set: func(s *option.Settings) { s.SendTimeout = 200 * time.Millisecond },
				handler: func(x *fakeCall) Outcome {
					x.start("200 OK")
					return x.replyPinned([]byte(body))
				},
			})
			c := slowRequest(s, "http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			tc.leave(c)
			s.idle()
			for deadline := time.Now().Add(patience); s.eng.row.Conns.Load() != 0 ||
				s.app.released.Load() != 1; unix.Poll(nil, 1) {
				if time.Now().After(deadline) {
					t.Fatalf("%d connections, %d released", s.eng.row.Conns.Load(), s.app.released.Load())
				}
			}
		})
	}
}

// A response that is written while the application runs waits for a client that is far behind, and
// no longer than the send timeout.
func TestStreamWaitsForClient(t *testing.T) {
	block := pattern(1 << 20)
	handler := func(x *fakeCall) Outcome {
		x.start("200 OK")
		for range 8 {
			if x.write(block) != 0 {
				return Failed
			}
		}
		return x.finish()
	}
	s := serve(t, config{handler: handler})
	c := slowRequest(s, "http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, body := c.response("GET"); body != strings.Repeat(block, 8) {
		t.Errorf("%d bytes", len(body))
	}
	stalled := serve(t,
		config{handler: handler, set: func(s *option.Settings) { s.SendTimeout = 50 * time.Millisecond },
			prepare: func(e *Engine) { e.maxSpill = 1 << 20 }})
	m := mark(t)
	slowRequest(stalled, "http", "GET /stalled HTTP/1.1\r\nHost: x\r\n\r\n")
	stalled.requests(1)
	if got := messages(t, m); !strings.Contains(got, "took nothing for 50ms (socket-timeout)") {
		t.Errorf("%q", got)
	}
}

// A body that ends before its Content-Length, to a slow reader: the connection must not be used
// again.
func TestSlowShortFile(t *testing.T) {
	const size = 8 << 20
	checkFDs(t)
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	io.WriteString(file, pattern(size))
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		if x.variable("PATH_INFO") == "/shrinks" {
			x.start("200 OK")
			return x.sendfile(file, 0, size+1)
		}
		x.start("200 OK", fmt.Sprintf("Content-Length: %d", size+10))
		return x.sendfile(file, 0, size)
	}})
	for _, path := range []string{"/declared", "/shrinks"} {
		c := slowRequest(s, "http", "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
		s.held(1)
		c.hurry()
		_, body, _ := strings.Cut(c.all(), "\r\n\r\n")
		if body != pattern(size) {
			t.Errorf("%s: %d bytes: %.80q", path, len(body), tail([]byte(body), 80))
		}
		c.Close()
	}
}

// A client that still sends when its answer is out must be able to read it.
func TestLinger(t *testing.T) {
	s := serve(t, config{set: func(s *option.Settings) { s.LimitPost = 10 }, listen: []string{"http", "uwsgi"}})
	for protocol, head := range map[string]string{
		"http":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n",
		"uwsgi": packet(cgi("POST", "/", "CONTENT_LENGTH=4000000")...),
	} {
		c := s.dial(protocol)
		c.send(head + pattern(4000000)) // blocks until the server has read most of it
		if got := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); got != nil {
			t.Fatal(got)
		}
		if got := c.all(); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
			t.Errorf("%s: %q", protocol, got)
		}
	}
	// Pipelined behind a request that ends the connection, with an answer that is taken slowly.
	body := pattern(4 << 20)
	s = serve(t, config{handler: func(x *fakeCall) Outcome { x.start("200 OK"); return x.reply(body) }})
	c := slowRequest(s, "http", "GET / HTTP/1.0\r\n\r\n"+pattern(1000))
	s.held(1)
	c.hurry()
	if _, got, _ := strings.Cut(c.all(), "\r\n\r\n"); got != body {
		t.Errorf("%d bytes", len(got))
	}
}

// With HasForked a child of the application may hold the connection: it ends for the client all the
// same.
func TestCloseWithForkedChildren(t *testing.T) {
	s := serve(t, config{})
	s.app.forked.Store(true)
	c := s.dial("http")
	c.get("/")
	s.taken(c)
	fd, _ := s.connOf(c)
	copied, err := unix.Dup(fd) // as a child's
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(copied)
	c.send("GET / HTTP/1.0\r\n\r\n")
	if got := c.all(); !strings.HasSuffix(got, "hello /") {
		t.Errorf("%q", got)
	}
	s.stop()
}

// A core waits a moment for a client to take more of a large response. A crowd that takes nothing,
// and asks for just that, must not have each of them waited for.
func TestSlowReadersAreNotWaitedForInVain(t *testing.T) {
	const clients, size = 300, 8 << 20
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	file.Truncate(size)
	var waits atomic.Int64 // how often the core has waited in vain
	before := int64(0)
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		if until := x.exchange.core.noWaitUntil; until != before {
			waits.Add(1)
			before = until
		}
		x.start("200 OK")
		return x.sendfile(file, 0, size)
	}})
	var all []*client
	for range clients {
		c := s.dial("http")
		c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		all = append(all, c)
	}
	for _, c := range all {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	s.held(clients)
	if n := waits.Load(); n == 0 || n > clients/10 {
		t.Errorf("the core has waited for %d of %d", n, clients)
	}
	for _, c := range all {
		c.Close()
	}
	s.held(0)
	if got := s.eng.cores[0].noWait; got < int64(20*time.Millisecond) {
		t.Errorf("clients go on being waited for after %v", time.Duration(got))
	}
}

// A client that reads slowly, but goes on reading, gets all of the response, however long the
// kernel takes to say that there is room again.
func TestSlowReaderIsNotCut(t *testing.T) {
	const size = 6 << 20
	body := pattern(size)
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	io.WriteString(file, body)
	for path, on := range map[string]string{"/pinned": "TCP", "/file": "TCP", "/stream": "TCP",
		"/waited": "TCP", "/local": "unix"} {
		t.Run(path[1:], func(t *testing.T) {
			// What is tested is a pace. A machine that had the client pause for as long as the
			// time-out is asked for a slower one.
			for timeout := 250 * time.Millisecond; ; timeout *= 4 {
				s := serve(t, config{
					unix: on == "unix",
					set:  func(s *option.Settings) { s.SendTimeout = timeout },
					handler: func(x *fakeCall) Outcome {
						x.start("200 OK")
						switch path {
						case "/pinned", "/local":
							return x.replyPinned([]byte(body))
						case "/file":
							return x.sendfile(file, 0, size)
						}
						for left := body; len(left) > 0; left = left[min(len(left), 100000):] {
							if x.write(left[:min(len(left), 100000)]) != 0 {
								return Failed
							}
						}
						return x.finish()
					},
				})
				if path == "/waited" {
					s.eng.spilled.Store(maxSpilled) // the core waits
				}
				m := mark(t)
				got, pause, err := slowRequest(s, "http", "GET "+path+" HTTP/1.0\r\n\r\n").readSlowly(timeout / 12)
				s.stop()
				s.eng.spilled.Store(0)
				if pause > timeout/2 && timeout < patience/4 {
					t.Logf("a pause of %v", pause)
					continue
				}
				if _, text, _ := strings.Cut(got, "\r\n\r\n"); text != body || err != nil {
					t.Errorf("%d bytes of %d, %v, with a pause of %v:\n%s", len(text), size, err, pause, messages(t, m))
				}
				return
			}
		})
	}
}

// readSlowly reads all there is, a little at a time. pause is the longest time that it took
// nothing.
func (c *client) readSlowly(every time.Duration) (text string, pause time.Duration, err error) {
	var got []byte
	buf := make([]byte, 64<<10)
	for last := time.Now(); ; unix.Poll(nil, int(every/time.Millisecond)) { // why: the pace is what is tested
		c.SetDeadline(time.Now().Add(patience)) // at a slow pace all of it takes longer
		n, err := c.Conn.Read(buf)
		got = append(got, buf[:n]...)
		now := time.Now()
		pause, last = max(pause, now.Sub(last)), now
		if err == io.EOF {
			return string(got), pause, nil
		} else if err != nil {
			return string(got), pause, err
		}
	}
}

// A response that is cut off, of which nothing but the end of the connection marks the end, ends in
// a reset, and the log tells.
func TestCutIsTold(t *testing.T) {
	const size = 8 << 20
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	io.WriteString(file, pattern(size))
	for _, c := range []struct{ protocol, path, says string }{
		{"uwsgi", "/pinned", "(192.0.2.1) did not take the response to GET /pinned: it took nothing for 100ms (socket-timeout)"},
		{"uwsgi", "/stream", "did not take the response to GET /stream: it took nothing for 100ms (socket-timeout)"},
		{"uwsgi", "/shrinks", "a file became shorter while it was sent"},
		{"scgi", "/pinned", "did not take the response to GET /pinned"},
		{"fastcgi", "/pinned", "did not take the response to GET /pinned"},
		{"fastcgi", "/fails", "the response to GET /fails was cut off"},
	} {
		t.Run(c.protocol+c.path, func(t *testing.T) {
			s := serve(t, config{
				listen: []string{c.protocol},
				set:    func(s *option.Settings) { s.SendTimeout = 100 * time.Millisecond },
				handler: func(x *fakeCall) Outcome {
					x.start("200 OK")
					switch c.path {
					case "/pinned":
						return x.replyPinned([]byte(pattern(size)))
					case "/shrinks":
						return x.sendfile(file, 0, size+1)
					case "/fails":
						x.write("one")
						return Failed
					}
					if x.write(pattern(size)) != 0 {
						return Failed
					}
					return x.finish()
				},
			})
			m := mark(t)
			text := map[string]string{"uwsgi": packet(cgi("GET", c.path)...), "scgi": netstring(cgi("GET", c.path)...),
				"fastcgi": fcgi(1, true, cgi("GET", c.path))}[c.protocol]
			client := slowRequest(s, c.protocol, text)
			if c.path == "/shrinks" {
				s.held(1)
			} else {
				s.requests(1)
				s.idle()
				s.held(0)
			}
			client.cut()
			if got := messages(t, m); !strings.Contains(got, c.says) {
				t.Errorf("%q", got)
			}
			if n := s.eng.exchanges[0].cell.WriteErrs.Load(); (n == 1) != strings.Contains(c.says, "did not take") {
				t.Errorf("%d write errors", n)
			}
		})
	}
}
