package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// ask sends one request on a connection and reads its answer.
func ask(c net.Conn, in *bufio.Reader, path, conn string) (int, string, http.Header, error) {
	tally.sent.Add(1)
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: %s\r\n\r\n", path, conn); err != nil {
		return 0, "", nil, err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, "", nil, err
	}
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), resp.Header, err
}

// Ten thousand clients are connected at once; then all of them ask, once and twice. The client side
// takes its ports from several addresses, so that it does not run out of them.
func TestTenThousandConnections(t *testing.T) {
	clients := scale(2000, 10000)
	r := start(t, "-p", "2", "--threads", "2")
	conns := make([]net.Conn, clients)
	readers := make([]*bufio.Reader, clients)
	for i := range conns {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%4))}}
		c, err := d.Dial("tcp", r.addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		c.SetDeadline(time.Now().Add(3 * harness.Patience))
		conns[i], readers[i] = c, bufio.NewReaderSize(c, 512)
		defer c.Close()
	}
	for round, conn := range []string{"keep-alive", "keep-alive", "close"} { // 10,000 requests, then 20,000
		begun := time.Now()
		var lost atomic.Int64
		var first sync.Once
		var all sync.WaitGroup
		for i := range conns {
			all.Go(func() {
				if status, body, _, err := ask(conns[i], readers[i], "/", conn); err != nil ||
					status != 200 || body != "hello\n" {
					lost.Add(1)
					first.Do(func() { t.Errorf("round %d, connection %d: %d %q %v", round, i, status, body, err) })
				}
			})
		}
		all.Wait()
		tally.lost.Add(lost.Load())
		tally.right.Add(int64(clients) - lost.Load())
		t.Logf("round %d: %d requests at once in %v, %d lost", round, clients,
			time.Since(begun).Round(time.Millisecond), lost.Load())
	}
	for _, c := range conns {
		c.Close()
	}
}

// A burst of many times the backlog while every core is busy: none is lost. nginx connects to a
// unix socket without waiting, so a full queue would be a 502 at once.
func TestBurstPastBacklog(t *testing.T) {
	t.Run("nginx, unix", func(t *testing.T) {
		r := start(t, "-p", "2", "--threads", "1") // a backlog of 4096, the kernel's
		n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+r.sock+"; }")
		burst(t, n.Addr)
	})
	t.Run("nginx, unix, a short queue", func(t *testing.T) {
		r := start(t, "-p", "2", "--threads", "1", "--listen", "256")
		n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+r.sock+"; }")
		burst(t, n.Addr)
	})
	t.Run("http", func(t *testing.T) {
		r := start(t, "-p", "2", "--threads", "1", "--listen", "1024")
		before := listenOverflows(t)
		burst(t, r.addr)
		t.Logf("the kernel's queues overflowed %d times", listenOverflows(t)-before)
	})
}

// The kernel makes a process's table of descriptors larger as they come, and while it does none can
// be accepted, for tens of milliseconds. A worker has that behind it before the crowd comes.
func TestRoomForDescriptors(t *testing.T) {
	for _, c := range []struct{ maxFD, want int }{{0, 8192}, {1024, 1024}} {
		r := start(t, "-p", "1", "--max-fd", fmt.Sprint(c.maxFD))
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.workers()[0]))
		if err != nil {
			t.Fatal(err)
		}
		var size int
		if fmt.Sscan(field(string(status), "FDSize"), &size); size < c.want {
			t.Errorf("max-fd %d: room for %d descriptors, want %d", c.maxFD, size, c.want)
		}
	}
}

// burst has thousands connect and ask at once for what takes a moment.
func burst(t *testing.T, addr string) {
	t.Helper()
	clients := scale(3000, 8000)
	var all sync.WaitGroup
	var lost atomic.Int64
	var first sync.Once
	for i := range clients {
		all.Go(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%4))}}
			c, err := d.Dial("tcp", addr)
			if err == nil {
				defer c.Close()
				c.SetDeadline(time.Now().Add(2 * harness.Patience))
				var status int
				var body string
				if status, body, _, err = ask(c, bufio.NewReader(c), "/sleep?s=0.001", "close"); err == nil &&
					body != "slept\n" {
					err = fmt.Errorf("%d %q", status, body)
				}
			}
			if err != nil {
				lost.Add(1)
				first.Do(func() { t.Errorf("client %d: %v", i, err) })
			}
		})
	}
	all.Wait()
	tally.lost.Add(lost.Load())
	tally.right.Add(int64(clients) - lost.Load())
	if lost.Load() > 0 {
		t.Errorf("%d of %d were lost", lost.Load(), clients)
	}
}

// listenOverflows is the kernel's count of connections that came to a full queue, of the whole
// host.
func listenOverflows(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for k, name := range names {
			if name == "ListenOverflows" {
				fmt.Sscan(values[k], &n)
			}
		}
	}
	return n
}

// Past what the descriptors allow a client is told so: 503 with Retry-After, counted and logged,
// never a reset.
func TestOverload(t *testing.T) {
	clients := scale(400, 2000)
	r := start(t, "-p", "1", "--threads", "1", "--listen", "64", "--max-fd", "128")
	r.Tolerate(`cannot accept connections`) // the cores may find no descriptor left before the housekeeper does
	var all sync.WaitGroup
	var right, told, bad atomic.Int64
	for range clients {
		all.Go(func() {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				bad.Add(1)
				t.Errorf("connect: %v", err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(2 * harness.Patience))
			status, body, head, err := ask(c, bufio.NewReader(c), "/sleep?s=0.002", "close")
			switch {
			case err == nil && status == 200 && body == "slept\n":
				right.Add(1)
			case err == nil && status == 503 && head.Get("Retry-After") != "":
				told.Add(1)
			default:
				bad.Add(1)
				t.Errorf("%d %q %v (reset: %v)", status, body, err, errors.Is(err, syscall.ECONNRESET))
			}
		})
	}
	all.Wait()
	tally.right.Add(right.Load())
	tally.onPurpose.Add(told.Load())
	tally.lost.Add(bad.Load())
	t.Logf("%d clients at once: %d answered, %d told 503", clients, right.Load(), told.Load())
	if right.Load() == 0 || told.Load() == 0 {
		t.Errorf("both should have happened")
	}
	r.Log.Wait(t, `connections were answered 503: the listening queue is filling`)
	r.serves()
}
