package dataplane

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// streamer gives a body of n bytes in blocks of some size, and counts the calls that are over.
func streamer(n, block int, over *atomic.Int64) func(x *fakeCall) Outcome {
	return func(x *fakeCall) Outcome {
		if x.variable("PATH_INFO") != "/stream" {
			return ok(x)
		}
		defer over.Add(1)
		if strings.HasSuffix(x.variable("QUERY_STRING"), "length") {
			x.start("200 OK", fmt.Sprintf("Content-Length: %d", n))
		} else {
			x.start("200 OK")
		}
		for body := pattern(n); len(body) > 0; body = body[min(block, len(body)):] {
			if x.write(body[:min(block, len(body))]) != 0 {
				return Failed
			}
		}
		return x.finish()
	}
}

// count waits until a number is reached.
func count(t *testing.T, n *atomic.Int64, want int64) {
	t.Helper()
	for deadline := time.Now().Add(patience); n.Load() != want; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			t.Fatalf("%d, want %d", n.Load(), want)
		}
	}
}

// The application gives a response block by block; the client takes it late, or slowly. The one
// core is free long before, and everything arrives in order, also what is more than the spill
// holds.
func TestLag(t *testing.T) {
	const size = 8 << 20
	checkFDs(t)
	for _, c := range []struct {
		name  string
		most  int64
		block int
	}{
		{"all of it spills", 16 << 20, 100000},
		{"small blocks", 16 << 20, 3000},
		{"large blocks", 16 << 20, 3 << 20},
		{"a ring that goes round", 1 << 20, 70000},
		{"a ring smaller than a block", 65000, 300000},
	} {
		var over atomic.Int64
		s := serve(t, config{listen: []string{"http", "uwsgi", "fastcgi", "scgi"},
			handler: streamer(size, c.block, &over),
			prepare: func(e *Engine) { e.maxSpill = c.most }})
		for _, protocol := range []string{"http", "length", "uwsgi", "scgi", "fastcgi"} {
			t.Run(c.name+" "+protocol, func(t *testing.T) {
				defer s.within(t)()
				over.Store(0)
				text := map[string]string{
					"http":    "GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
					"length":  "GET /stream?length HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
					"uwsgi":   packet(cgi("GET", "/stream")...),
					"scgi":    netstring(cgi("GET", "/stream")...),
					"fastcgi": fcgi(1, true, cgi("GET", "/stream")) + fcgi(1, false, cgi("GET", "/next")),
				}[protocol]
				listener := strings.Replace(protocol, "length", "http", 1)
				client := slowRequest(s, listener, text)
				if c.most > size {
					count(t, &over, 1)
					if got := s.dial("http").get("/beside"); got != "hello /beside" {
						t.Fatalf("%q", got)
					}
				}
				var got string
				switch listener {
				case "http":
					_, got = client.response("GET")
					if _, next := client.response("GET"); next != "hello /next" {
						t.Errorf("the next request on the connection: %q", next)
					}
				case "fastcgi":
					out, rest := fcgiDecode(t, 1, client.all())
					_, got, _ = strings.Cut(out, "\r\n\r\n")
					if next, _ := fcgiDecode(t, 1, rest); !strings.HasSuffix(next, "hello /next") {
						t.Errorf("the next request on the connection: %q", next)
					}
				default:
					_, got, _ = strings.Cut(client.all(), "\r\n\r\n")
				}
				if got != pattern(size) {
					t.Errorf("got %d bytes, want %d", len(got), size)
				}
				client.Close()
				if n := s.eng.spilled.Load(); n != 0 {
					t.Errorf("%d bytes are left in spills", n)
				}
			})
		}
	}
}

// A client that catches up gets the blocks that follow as they come, without the spill.
func TestLagCatchesUp(t *testing.T) {
	checkFDs(t)
	block := pattern(8 << 20)
	first, second := make(chan struct{}), make(chan struct{})
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		if x.variable("PATH_INFO") == "/next" {
			return ok(x)
		}
		x.start("200 OK", "Content-Length: 16777222")
		x.write(block)
		close(first)
		<-second
		x.write("middle")
		x.write(block)
		return x.finish()
	}})
	c := slowRequest(s, "http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-first
	s.held(1)
	got := make([]byte, 0, 17<<20)
	read := func(until string) {
		t.Helper()
		for buf := make([]byte, 1<<20); !strings.HasSuffix(string(got[max(0, len(got)-len(until)):]), until); {
			n, err := c.r.Read(buf)
			if got = append(got, buf[:n]...); err != nil {
				t.Fatalf("after %d bytes: %v", len(got), err)
			}
		}
	}
	read(block[len(block)-100:])
	for deadline := time.Now().Add(patience); s.eng.spilled.Load() != 0; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			t.Fatal("the spill does not end")
		}
	}
	close(second)
	got = got[:0]
	read(block[len(block)-100:])
	if string(got) != "middle"+block {
		t.Errorf("%d bytes, %.20q", len(got), got)
	}
	if got := c.get("/next"); got != "hello /next" {
		t.Errorf("the next one: %.20q", got)
	}
}

// A client that lags and goes, or takes nothing any more: the application is told while it writes,
// and nothing is left behind.
func TestLagEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		more  bool // the application still writes when it happens
		abort bool
		leave func(c *client)
	}{
		{"reset while it is written", true, false, func(c *client) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() }},
		{"reset behind the end", false, false, func(c *client) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() }},
		{"stalls while it is written", true, false, func(*client) {}},
		{"stalls behind the end", false, false, func(*client) {}},
		{"the application fails", false, true, func(c *client) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkFDs(t)
			behind, told := make(chan struct{}), make(chan int, 1)
			s := serve(t, config{set: func(s *option.Settings) { s.SendTimeout = 200 * time.Millisecond },
				handler: func(x *fakeCall) Outcome {
					x.start("200 OK")
					x.write(pattern(8 << 20))
					close(behind)
					if c.abort {
						told <- 0
						return Failed
					}
					for c.more {
						if rc := x.write("more"); rc != 0 {
							told <- rc
							return Failed
						}
						unix.Poll(nil, 1)
					}
					told <- 0
					return x.finish()
				}})
			client := slowRequest(s, "http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			<-behind
			c.leave(client)
			if rc := <-told; c.more != (rc < 0) {
				t.Errorf("the application was told %d", rc)
			}
			if c.abort {
				if got, err := client.r.ReadString(0); err == nil ||
					strings.HasSuffix(got, "0\r\n\r\n") || len(got) < 8<<20 {
					t.Errorf("%d bytes, %v: the client cannot tell that the response is cut off", len(got), err)
				}
			}
			s.idle()
			for deadline := time.Now().Add(patience); s.eng.row.Conns.Load() != 0 ||
				s.eng.spilled.Load() != 0; unix.Poll(nil, 1) {
				if time.Now().After(deadline) {
					t.Fatalf("%d connections, %d bytes in spills", s.eng.row.Conns.Load(), s.eng.spilled.Load())
				}
			}
			client.Close()
		})
	}
}

// Where no file can be had, or all spills together are large, the client is waited for.
func TestLagWithoutRoom(t *testing.T) {
	for _, full := range []bool{false, true} {
		var over atomic.Int64
		s := serve(t, config{handler: streamer(8<<20, 100000, &over)})
		if full {
			s.eng.spilled.Store(maxSpilled)
		} else {
			t.Setenv("TMPDIR", "/nowhere")
		}
		c := slowRequest(s, "http", "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, body := c.response("GET"); body != pattern(8<<20) {
			t.Errorf("%d bytes", len(body))
		}
		s.eng.spilled.Store(0)
		os.Unsetenv("TMPDIR")
	}
}
