package dataplane

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// cpu is what the thread of core 0 has used.
func (s *server) cpu() time.Duration {
	const perThread, sched = 4, 2 // linux/posix-timers.h
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^s.eng.pySignals.thread.Load()<<3|perThread|sched), &ts); err != nil {
		s.t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// bytewise sends text byte by byte, each once the server has taken the one before.
func (c *client) bytewise(text string) { c.piecewise(text, 1) }

// piecewise sends text in pieces of a size, each once the server has taken the one before.
func (c *client) piecewise(text string, size int) {
	c.t.Helper()
	raw, err := c.Conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for i := 0; i < len(text); i += size {
			if _, err := unix.Write(int(fd), []byte(text[i:min(i+size, len(text))])); err != nil {
				c.t.Fatalf("after %d bytes: %v", i, err)
			}
			for end := time.Now().Add(patience); queued(int(fd)) > 0; {
				if runtime.Gosched(); time.Now().After(end) {
					c.t.Fatalf("byte %d is not taken", i)
				}
			}
		}
	})
}

// The last bytes of a large head that comes byte by byte cost what its first ones do: it is neither
// copied nor parsed again for each.
func TestHeadByteByByte(t *testing.T) {
	const part, size = 512, 48 << 10
	record := string([]byte{1, 4, 0, 1, 0, 1, 0, 0, 'x'}) // PARAMS, a byte of them
	for protocol, head := range map[string]string{
		"http":    "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a:\r\n", size/4),
		"uwsgi":   string([]byte{0, 0, 0xff, 0}) + strings.Repeat("x", size),
		"scgi":    "60000:" + strings.Repeat("x\x00", size/2),
		"fastcgi": string([]byte{1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}) + strings.Repeat(record, size/len(record)),
	} {
		t.Run(protocol, func(t *testing.T) {
			s := serve(t, config{listen: []string{protocol}, unix: true,
				set: func(s *option.Settings) {
					s.MaxVars = 0
					s.HTTPHeadersTimeout, s.SocketTimeout = time.Hour, time.Hour // a busy machine takes minutes
				}})
			c := s.dial(protocol)
			// cost is that of the cheapest part: what else this machine does costs too.
			cost := func(text string) time.Duration {
				least := time.Hour
				for ; len(text) >= part; text = text[part:] {
					begun := s.cpu()
					c.bytewise(text[:part])
					least = min(least, s.cpu()-begun)
				}
				return least / part
			}
			c.bytewise(head[:part])
			first := cost(head[part : 9*part])
			c.piecewise(head[9*part:len(head)-8*part], part)
			last := cost(head[len(head)-8*part:])
			t.Logf("%v a byte at first, %v at last", first, last)
			if last > 3*first {
				t.Errorf("%v a byte at first, %v at last", first, last)
			}
		})
	}
}

// Of many requests that are sent at once each costs no more than of a few.
func TestPipelineIsNotCopied(t *testing.T) {
	const request, few, many = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 16, 4000
	s := serve(t, config{unix: true, handler: func(x *fakeCall) Outcome { x.start("200 OK"); return x.reply("") }})
	c := s.dial("http")
	cost := func(n, times int) time.Duration {
		least := time.Hour
		for range times {
			begun := s.cpu()
			go io.WriteString(c.Conn, strings.Repeat(request, n))
			for range n {
				if resp, err := http.ReadResponse(c.r, nil); err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
			}
			least = min(least, s.cpu()-begun)
		}
		return least / time.Duration(n)
	}
	c.r = bufio.NewReaderSize(c.Conn, 1<<20)
	cost(few, 1) // the core's thread is known
	a, b := cost(few, 100), cost(many, 3)
	t.Logf("%v each of %d, %v each of %d", a, few, b, many)
	if b > 3*a {
		t.Errorf("%v each of %d, %v each of %d", a, few, b, many)
	}
}

// A head in pieces is the same request, whatever is cut where, on a connection that other requests
// have been on, with others beside it.
func TestHeadsInPieces(t *testing.T) {
	handler := func(x *fakeCall) Outcome {
		x.start("200 OK")
		return x.reply(x.variable("PATH_INFO") + " " + x.variable("HTTP_X") + " " +
			x.variable("CONTENT_LENGTH") + " " + string(x.body()))
	}
	s := serve(t, config{listen: []string{"http", "uwsgi", "scgi", "fastcgi"}, handler: handler})
	beside := s.dial("http")
	for protocol, text := range map[string]string{
		"http":    "\r\n\r\nPOST /a HTTP/1.0\r\nX: y\r\nContent-Length: 4\r\n\r\nbody",
		"uwsgi":   packet(cgi("POST", "/a", "HTTP_X=y", "CONTENT_LENGTH=4")...) + "body",
		"scgi":    netstring(cgi("POST", "/a", "HTTP_X=y", "CONTENT_LENGTH=4")...) + "body",
		"fastcgi": fcgi(7, false, cgi("POST", "/a", "HTTP_X=y", "CONTENT_LENGTH=4"), "body"),
		// The empty PARAMS is left out.
		"fastcgi ": strings.Replace(fcgi(7, false, cgi("POST", "/a", "HTTP_X=y", "CONTENT_LENGTH=4"), "body"), fcgiRecord(4, 7, ""), "", 1),
	} {
		protocol, want := strings.TrimSpace(protocol), "/a y 4 body"
		for cut := 1; cut < len(text); cut++ {
			c := s.dial(protocol)
			c.send(text[:cut])
			s.taken(c)
			if got := beside.get("/b"); got != "/b - - " {
				t.Fatalf("beside it: %q", got)
			}
			c.send(text[cut:])
			got := c.all()
			if protocol == "fastcgi" {
				got, _ = fcgiDecode(t, 7, got)
			}
			if !strings.HasSuffix(got, "\r\n\r\n"+want) {
				t.Errorf("%s cut at %d of %d: %q", protocol, cut, len(text), got)
			}
			c.Close()
		}
	}
}
