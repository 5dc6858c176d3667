package chaos

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// hordes are the kinds of clients that hold a connection and give or take next to nothing. Each
// gets a connection and works on it until the server ends it, or hold is closed.
var hordes = []struct {
	name   string
	option string // what times it out after seconds
	log    string
	ends   bool // the server ends it
	work   func(c net.Conn, hold <-chan struct{})
}{
	{"idle", "--http-headers-timeout=", "", true, func(c net.Conn, _ <-chan struct{}) { io.Copy(io.Discard, c) }},
	{"heads byte by byte", "--http-headers-timeout=", `did not finish its request in time \(http-headers-timeout`, true, func(c net.Conn, _ <-chan struct{}) {
		trickle(c, "GET /?"+strings.Repeat("a", 10000))
	}},
	{"bodies that stall", "--socket-timeout=", `did not finish its request in time \(socket-timeout`, true, func(c net.Conn, _ <-chan struct{}) {
		io.WriteString(c, "POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
		io.Copy(io.Discard, c)
	}},
	{"bodies byte by byte", "--socket-timeout=", "", false, func(c net.Conn, hold <-chan struct{}) {
		io.WriteString(c, "POST /digest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(c, "1\r\nx\r\n"); err != nil {
				return
			}
			select {
			case <-hold:
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	}},
	{"readers that stop", "--socket-timeout=", "", true, func(c net.Conn, hold <-chan struct{}) {
		c.(*net.TCPConn).SetReadBuffer(4096)
		io.WriteString(c, "GET /buffered?n=4000000 HTTP/1.1\r\nHost: a\r\n\r\n")
		<-hold
	}},
	{"slow readers", "--socket-timeout=", "", false, func(c net.Conn, hold <-chan struct{}) { readSlowly(c, hold, "/buffered?n=4000000") }},
	{"slow readers of a stream", "--socket-timeout=", "", false, func(c net.Conn, hold <-chan struct{}) { readSlowly(c, hold, "/big?n=4000000") }},
	{"half closed", "", "", true, func(c net.Conn, _ <-chan struct{}) {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n")
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	}},
	{"half closed, answered", "", "", true, func(c net.Conn, _ <-chan struct{}) {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(c); err == nil && strings.HasSuffix(string(b), "hello\n") {
			tally.right.Add(1)
		}
	}},
	{"vanished", "", "", true, func(c net.Conn, _ <-chan struct{}) {
		io.WriteString(c, "POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
		c.(*net.TCPConn).SetLinger(0) // a reset
		c.Close()
	}},
	{"vanished readers", "", "", true, func(c net.Conn, _ <-chan struct{}) {
		io.WriteString(c, "GET /buffered?n=4000000 HTTP/1.1\r\nHost: a\r\n\r\n")
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}},
}

// readSlowly takes a little of an answer now and then.
func readSlowly(c net.Conn, hold <-chan struct{}, path string) {
	c.(*net.TCPConn).SetReadBuffer(4096)
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
	buf := make([]byte, 20000)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		select {
		case <-hold:
			return
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// trickle writes a byte now and then until the other side has enough of it.
func trickle(c net.Conn, text string) {
	go io.Copy(io.Discard, c)
	for i := range text {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // why: the client's slowness is what is tested
	}
}

// A thousand slow clients of each kind beside normal traffic, which does not notice: not a request
// is lost or late.
func TestSlowClients(t *testing.T) {
	each := scale(200, 1000)
	for _, h := range hordes {
		t.Run(h.name, func(t *testing.T) {
			args := []string{"-p", "2", "--threads", "2", "--post-buffering=4096", "--ignore-sigpipe",
				"--ignore-write-errors"}
			if h.option != "" {
				args = append(args, h.option+fmt.Sprint(scale(1, 3)))
			}
			// The measure is a server like it that has no crowd, at the same time: whatever else
			// the machine does, it does to both.
			r, peer := start(t, args...), start(t, args...)
			normal, alone := traffic(r.addr, "/", "hello\n", 4, true), traffic(peer.addr, "/", "hello\n", 4, true)
			normal.await(t, 100) // who connects later waits behind those who connected before
			alone.await(t, 100)
			hold := make(chan struct{})
			var all, ended sync.WaitGroup
			connected := make(chan bool, each)
			for i := range each {
				tally.sent.Add(1)
				tally.onPurpose.Add(1)
				all.Add(1)
				ended.Go(func() {
					defer all.Done()
					d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%4))}}
					c, err := d.Dial("tcp", r.addr)
					connected <- err == nil
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					c.SetDeadline(time.Now().Add(harness.Patience))
					h.work(c, hold)
				})
			}
			for range each {
				<-connected
			}
			normal.await(t, 2000) // while they are there
			if h.ends && h.name != "readers that stop" {
				all.Wait() // the server ends them by itself
			}
			// who does not read does not see the end either: the server's descriptors tell
			if h.name == "readers that stop" {
				for _, pid := range r.workers() {
					harness.Eventually(t, "the end of those who read nothing",
						func() bool { return descriptors(pid) < r.fds+10 })
				}
			}
			close(hold)
			ended.Wait()
			if h.log != "" {
				r.Log.Wait(t, h.log)
			}
			with, without := normal.figures(t), alone.figures(t)
			t.Logf("beside %d %s: %v; a server without them: %v", each, h.name, with, without)
			// On a machine that has little else to do: half a second, and three.
			if with.p99 > max(500*time.Millisecond, 10*without.p99) ||
				with.slowest > max(3*time.Second, 10*without.slowest) {
				t.Errorf("normal traffic suffers")
			}
		})
	}
}

// Hundreds of thousands of requests and thousands of aborted ones leave nothing behind: not a
// descriptor, not memory.
func TestLeaks(t *testing.T) {
	requests, aborted := scale(60000, 1000000), scale(6000, 100000)
	r := start(t, "-p", "1", "--threads", "2", "--post-buffering=4096", "--ignore-write-errors")
	pid := r.workers()[0]
	c := traffic(r.addr, "/", "hello\n", 4, true)
	c.await(t, min(requests/4, 20000))
	abort(t, r, aborted/4)
	warm, warmFDs := harness.Memory(pid, "VmRSS"), descriptors(pid)
	for left := requests - c.answered(); left > 0; left = requests - c.answered() {
		c.await(t, min(left, 20000)) // however fast this machine is, the clients get on
	}
	abort(t, r, aborted-aborted/4)
	c.end(t)
	done := harness.Memory(pid, "VmRSS")
	t.Logf("after %d requests and %d aborted ones: %d KiB, %d descriptors; before: %d KiB, %d", c.good, aborted, done,
		descriptors(pid), warm, warmFDs)
	if done-warm > 8<<10 {
		t.Errorf("the worker grew by %d KiB", done-warm)
	}
	if w := r.workers(); len(w) != 1 || w[0] != pid {
		t.Errorf("workers %v, there was %d", w, pid)
	}
}

// abort begins n requests of every kind and leaves in the middle.
func abort(t *testing.T, r *rig, n int) {
	t.Helper()
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := worker; i < n; i += 8 {
				tally.sent.Add(1)
				tally.onPurpose.Add(1)
				addr, text := r.addr, ""
				switch i % 6 {
				case 0:
					text = "GET / HTTP/1.1\r\nHos"
				case 1:
					text = "POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" +
						strings.Repeat("x", 10000)
				case 2:
					text = "GET /buffered?n=300000 HTTP/1.1\r\nHost: a\r\n\r\n"
				case 3:
					text = "GET /big?n=300000 HTTP/1.1\r\nHost: a\r\n\r\n"
				case 4:
					text = "POST /digest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" +
						strings.Repeat("x", 20000)
				case 5:
					addr, text = r.sock, string(harness.Request("POST", "/digest", "").With("CONTENT_LENGTH",
						"50000").Packet())+"half"
				}
				c, err := net.Dial(network(addr), addr)
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(c, text)
				if i%2 == 0 {
					if tcp, ok := c.(*net.TCPConn); ok {
						tcp.SetLinger(0)
					}
				} else if i%6 == 3 {
					bufio.NewReader(c).ReadString('\n')
				}
				c.Close()
			}
		})
	}
	all.Wait()
	harness.Eventually(t, fmt.Sprintf("the end of %d aborted requests", n),
		func() bool { return descriptors(r.workers()[0]) < r.fds+10 })
}
