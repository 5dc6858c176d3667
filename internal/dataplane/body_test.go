package dataplane

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// echo answers with what it knows of the body.
func echo(x *fakeCall) Outcome {
	x.start("200 OK")
	return x.reply(fmt.Sprintf("%s|%s|%v|%s", x.variable("CONTENT_LENGTH"), x.variable("HTTP_TRANSFER_ENCODING"),
		x.BodyFD >= 0, x.body()))
}

// dribble sends text in two parts, cut at every place, over connections of their own, and asks for
// the same answer each time. The server has taken the first part before the second is sent.
func dribble(t *testing.T, s *server, protocol, text, want string) {
	t.Helper()
	for cut := 1; cut < len(text); cut++ {
		c := s.dial(protocol)
		c.send(text[:cut])
		s.taken(c)
		c.send(text[cut:])
		if got := undated(c.all()); got != want {
			t.Fatalf("cut after %d bytes (%q): got %q, want %q", cut, text[max(0, cut-10):cut], got, want)
		}
		c.Close()
	}
}

// taken waits until the server has read what c has sent: the kernel's queue of the server's end is
// empty.
func (s *server) taken(c *client) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if fd, cn := s.connOf(c); cn != nil {
			if n, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err == nil && n == 0 && cn.at() == connIdle {
				return
			}
		}
		unix.Poll(nil, 1)
	}
	s.t.Fatal("the server does not read")
}

// connOf finds the server's end of a client's connection, once it waits for more.
func (s *server) connOf(c *client) (int, *conn) {
	for fd := range int(s.eng.conns.highest.Load()) + 1 { // cn.fd is its owner's to read
		cn := s.eng.conns.slots[fd].Load()
		if cn == nil || cn.at() != connIdle {
			continue
		}
		sa, err := unix.Getpeername(fd)
		if in, ok := sa.(*unix.SockaddrInet4); err == nil && ok && c.LocalAddr().(*net.TCPAddr).Port == in.Port {
			return fd, cn
		}
	}
	return -1, nil
}

func TestBodySplitEverywhere(t *testing.T) {
	s := serve(t, config{handler: echo, listen: []string{"http", "uwsgi", "scgi", "fastcgi"},
		set: func(s *option.Settings) { s.Threads = 2 }})
	const head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
	for _, tc := range []struct{ name, protocol, text, want string }{
		{"length", "http", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", fmt.Sprintf(head, 15, "5|-|false|hello")},
		{"chunked", "http", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n",
			fmt.Sprintf(head, 15, "5|-|false|hello")},
		{"chunked empty", "http", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", fmt.Sprintf(head, 10, "0|-|false|")},
		{"uwsgi", "uwsgi", packet(cgi("POST", "/", "CONTENT_LENGTH=5", "HTTP_TRANSFER_ENCODING=chunked")...) + "hello", "HTTP/1.1 200 OK\r\n\r\n5|-|false|hello"},
		{"scgi", "scgi", netstring(cgi("POST", "/", "CONTENT_LENGTH=5")...) + "hello", "Status: 200 OK\r\n\r\n5|-|false|hello"},
		{"fastcgi", "fastcgi", fcgi(7, false, cgi("POST", "/", "CONTENT_LENGTH=5"), "hel", "lo"), fcgiAnswer(7, "Status: 200 OK\r\n\r\n5|-|false|hello")},
	} {
		t.Run(tc.name, func(t *testing.T) { dribble(t, s, tc.protocol, tc.text, tc.want) })
	}
}

func TestBodyThenNextRequest(t *testing.T) {
	s := serve(t, config{handler: echo})
	c := s.dial("http")
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" +
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nx")
	for _, want := range []string{"5|-|false|hello", "3|-|false|abc"} {
		if _, body := c.response("POST"); body != want {
			t.Fatalf("got %q, want %q", body, want)
		}
	}
	c.send("yzGET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, want := range []string{"3|-|false|xyz", "-|-|false|"} {
		if _, body := c.response("POST"); body != want {
			t.Fatalf("got %q, want %q", body, want)
		}
	}
}

func TestSpool(t *testing.T) {
	s := serve(t, config{handler: echo, listen: []string{"http", "fastcgi"},
		set: func(s *option.Settings) { s.ChunkedInputLimit = 1 << 30 }})
	limit := int(s.eng.memoryLimit)
	for _, tc := range []struct {
		name   string
		size   int
		onDisk bool
	}{{"in memory", limit, false}, {"in a file", 4 * limit, true}, {"large", 5 << 20, true}} {
		body := strings.Repeat("0123456789abcdef", tc.size/16+1)[:tc.size]
		want := fmt.Sprintf("%d|-|%v|%s", tc.size, tc.onDisk, body)
		t.Run(tc.name, func(t *testing.T) {
			c := s.dial("http")
			go fmt.Fprintf(c.Conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", tc.size, body)
			if _, got := c.response("POST"); got != want {
				t.Errorf("got %d bytes that begin with %q", len(got), got[:min(len(got), 40)])
			}
		})
		t.Run(tc.name+" chunked", func(t *testing.T) {
			c := s.dial("http")
			go fmt.Fprintf(c.Conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "+
				"chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", tc.size, body)
			if _, got := c.response("POST"); got != want {
				t.Errorf("got %d bytes that begin with %q", len(got), got[:min(len(got), 40)])
			}
		})
		t.Run(tc.name+" fastcgi", func(t *testing.T) {
			var parts []string
			for rest := body; len(rest) > 0; {
				n := min(len(rest), 30000)
				parts = append(parts, rest[:n])
				rest = rest[n:]
			}
			c := s.dial("fastcgi")
			go io.WriteString(c.Conn, fcgi(1, false, cgi("POST", "/", fmt.Sprintf("CONTENT_LENGTH=%d", tc.size)),
				parts...))
			out, _ := fcgiDecode(t, 1, c.all())
			if _, got, _ := strings.Cut(out, "\r\n\r\n"); got != want {
				t.Errorf("got %d bytes that begin with %q", len(got), got[:min(len(got), 40)])
			}
		})
	}
}

func TestExpect(t *testing.T) {
	s := serve(t, config{handler: echo, set: func(s *option.Settings) { s.LimitPost = 10 }})
	const head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
	c := s.dial("http")
	c.send(fmt.Sprintf(head, 5))
	resp := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(c.r, resp); err != nil || string(resp) != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("%q, %v", resp, err)
	}
	c.send("hello")
	if _, body := c.response("POST"); body != "5|-|false|hello" {
		t.Errorf("%q", body)
	}
	// A part of the body is there: the client did not wait.
	c.send(fmt.Sprintf(head, 5) + "he")
	s.taken(c)
	c.send("llo")
	if _, body := c.response("POST"); body != "5|-|false|hello" {
		t.Errorf("%q", body)
	}
	// Too large: told before a byte of it is sent.
	c.send(fmt.Sprintf(head, 11))
	if resp, _ := c.response("POST"); resp.StatusCode != 413 {
		t.Errorf("%s", resp.Status)
	}
}

func TestTemporaryHasNoName(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	fd, inRAM, err := temporary()
	if err != nil || inRAM {
		t.Fatal(err, inRAM)
	}
	defer unix.Close(fd)
	if names, _ := os.ReadDir(dir); len(names) > 0 {
		t.Errorf("%v", names)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}

func TestSpoolInPlace(t *testing.T) {
	// Chunks larger than the buffer they are decoded in.
	e := &Engine{settings: option.Default(), memoryLimit: 1 << 20}
	var s requestBody
	s.startChunked(e, e.settings.ChunkedInputLimit)
	body := bytes.Repeat([]byte("a"), 100<<10)
	text := fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\nNEXT", len(body), body)
	used, err := s.feed(text)
	if err != nil || !s.whole() || string(text[used:]) != "NEXT" || !bytes.Equal(s.mem, body) {
		t.Errorf("%v, whole %v, rest %q, %d bytes", err, s.whole(), text[used:], len(s.mem))
	}
	s.reset()
}

// What a client announces takes no memory before it comes: a thousand of them may announce as much
// as post-buffering.
func TestSpoolGrowsWithWhatComes(t *testing.T) {
	e := &Engine{settings: option.Default(), memoryLimit: 8 << 20}
	var s requestBody
	s.start(e.memoryLimit, e)
	piece := bytes.Repeat([]byte("a"), 1000)
	for !s.whole() {
		if _, err := s.feed(piece); err != nil {
			t.Fatal(err)
		}
		if got := int64(cap(s.mem)); got > max(2*s.size, 1000) || got > e.memoryLimit {
			t.Fatalf("%d bytes of memory for %d that came", got, s.size)
		}
	}
	if mem, _, _, err := s.take(); err != nil || int64(len(mem)) != e.memoryLimit {
		t.Errorf("%d bytes, %v", len(mem), err)
	}
}
