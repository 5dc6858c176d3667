package chaos

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// stages is how far a client comes before it vanishes: what it sends, and what it waits for.
var stages = []struct{ name, send, wait string }{
	{"nothing", "", ""},
	{"half a head", "GET / HTTP/1.1\r\nHost: a\r\nX-", ""},
	{"a head", head("GET", "/wait"), ""},
	{"half a body, gathered", head("POST", "/upload", "Content-Length: 1000") + "half", ""},
	{"half a body, streamed", head("POST", "/upload", "Content-Length: 200000") + "half", ""},
	{"half a body, and waits", head("POST", "/wait", "Content-Length: 200000") + "half", ""},
	{"an open chunked body", head("POST", "/upload", "Transfer-Encoding: chunked") + "5\r\nhello\r\n", ""},
	{"half a chunk", head("POST", "/upload", "Transfer-Encoding: chunked") + "50\r\nhel", ""},
	{"a bad chunk", head("POST", "/upload", "Transfer-Encoding: chunked") + "zz\r\nhel", ""},
	{"before 100 Continue", head("POST", "/upload", "Content-Length: 9", "Expect: 100-continue"), ""},
	{"after 100 Continue", head("POST", "/upload", "Content-Length: 9", "Expect: 100-continue"), "100 Continue"},
	{"while it sleeps", head("GET", "/sleep?s=0.05"), ""},
	{"while it races", head("GET", "/race"), ""},
	{"within a stream", head("GET", "/stream?n=50&s=0.01"), "xxx"},
	{"within an endless stream", head("GET", "/endless"), "tick"},
	{"within a large answer", head("GET", "/big?n=4000000"), "yyy"},
	{"within a large stream", head("GET", "/stream?n=100&size=100000"), "xxx"},
	{"after an answer", head("GET", "/"), "hello"},
	{"after an answer, pipelined", head("GET", "/") + head("GET", "/wait"), "hello"},
	{"after an answer, half pipelined", head("GET", "/") + "GET /wai", "hello"},
	{"many pipelined", head("GET", "/") + head("GET", "/stream?n=5") + head("GET", "/background") + head("GET", "/sleep") + head("GET", "/wait"), "end\n"},
	{"before the background ends", head("GET", "/background"), "answered"},
	{"collected", head("GET", "/collect"), ""},
	{"a WebSocket's handshake", socketHead, ""},
	{"an open WebSocket", socketHead, "101 "},
	{"half a frame", socketHead + "\x81\xfe\x00\x90ab", "101 "},
	{"flooded", socketHead + "\x81\x85\x00\x00\x00\x00flood", "zzz"},
}

var socketHead = head("GET", "/socket", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")

// vanish comes that far and goes: by closing, by ending its side first, by a reset.
func vanish(addr, send, wait string, how int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * harness.Patience))
	if how == 3 { // a byte at a time, for a while
		for i := 0; i < min(len(send), 40); i++ {
			if _, err := io.WriteString(c, send[i:i+1]); err != nil {
				return nil
			}
		}
		send = send[min(len(send), 40):]
	}
	if _, err := io.WriteString(c, send); err != nil {
		return nil
	}
	if wait != "" {
		in := bufio.NewReaderSize(c, 4096)
		for at := 0; at < len(wait); {
			b, err := in.ReadByte()
			if err != nil {
				return fmt.Errorf("waits for %q: %w", wait, err)
			}
			if b == wait[at] {
				at++
			} else if at = 0; b == wait[0] {
				at = 1
			}
		}
	}
	switch tcp := c.(*net.TCPConn); how {
	case 1:
		tcp.SetLinger(0)
	case 2:
		tcp.CloseWrite()
		io.CopyN(io.Discard, c, 100)
	}
	return nil
}

// Clients vanish at every stage while signals come, collections are forced all the time and others
// are served; afterwards nothing is left of them.
func TestEventedVanishing(t *testing.T) {
	clients := scale(1500, 10000)
	loops(t, func(t *testing.T, loop string) {
		r := newEvented(t, loop)
		r.Setenv("GOGC=1", "GC_EVERY=50")
		r.beginEvented("-p", "1", "--stats", r.Path("stats.sock"), inFlight(loop), "3000")
		r.Tolerate(`closed the connection after|refused a request body|broke the WebSocket protocol|did not take|writev?\(\)|write error`)
		before := r.clean()
		stop := signals(t, before.PID, syscall.SIGWINCH, syscall.SIGURG, syscall.SIGCHLD)
		served := traffic(r.addr, "/", "hello\n", 2, true)
		gates := make(chan struct{}, scale(300, 3000)) // at once
		var all sync.WaitGroup
		for i := range clients {
			gates <- struct{}{}
			all.Go(func() {
				defer func() { <-gates }()
				s := stages[i%len(stages)]
				tally.sent.Add(1)
				tally.onPurpose.Add(1)
				if err := vanish(r.addr, s.send, s.wait, rand.IntN(4)); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
			})
		}
		all.Wait()
		served.end(t)
		stop()
		after := r.clean()
		if after.PID != before.PID {
			t.Errorf("the worker has ended")
		}
		if after.Signals < 50 {
			t.Errorf("%d signals were handled", after.Signals)
		}
		// the address sanitizer keeps what is freed
		if grown := after.RSS - before.RSS; grown > 80<<20 && os.Getenv("UWSGI_CHAOS_ENV") == "" {
			t.Errorf("it has grown by %d MiB", grown>>20)
		}
		t.Logf("%d MiB before, %d MiB after; %+v", before.RSS>>20, after.RSS>>20, after)
		r.serves()
	})
}
