package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// crowd is normal traffic: clients that ask again and again and never try anything twice.
type crowd struct {
	addr, request, want string
	keep                bool
	proxied             bool               // somebody else's connections lead to the workers
	excuse              func(failure) bool // what the test provokes; asked at the end, when all that happened is known
	// says of a worker that it hands its connections on; nil = it can be seen to end
	leaving func(pid int) bool

	begun   time.Time
	stop    chan struct{}
	clients sync.WaitGroup
	mu      sync.Mutex
	good    int
	slowest []time.Duration // a sample of all
	failed  []failure
}

// failure is a request without a good answer.
type failure struct {
	err    error
	status int // 0: nothing came
	pid    int // the worker that gave the answer before on the same connection, 0 = there was none
	// when that one was asked for, or the connection opened: what happened from here on may have
	// hit it
	since  time.Time
	at     time.Time // when it failed
	served int       // answers on the connection before
	left   bool      // that worker did not live on
}

func (f failure) String() string {
	lives := "which lives on"
	if f.left {
		lives = "which has left"
	}
	return fmt.Sprintf("request %d of a connection, last answered by %d (%s), in %v until %s: %v", f.served+1, f.pid,
		lives, f.at.Sub(f.since).Round(time.Microsecond),
		f.at.Format("15:04:05.000"), f.err)
}

func network(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp"
}

// traffic has clients ask for path until it is stopped.
func traffic(addr, path, want string, clients int, keep bool) *crowd {
	conn := "close"
	if keep {
		conn = "keep-alive"
	}
	c := &crowd{addr: addr, want: want, keep: keep, begun: time.Now(), stop: make(chan struct{}),
		request: fmt.Sprintf("GET %s HTTP/1.1\r\nHost: test\r\nConnection: %s\r\n\r\n", path, conn)}
	for range clients {
		c.clients.Go(c.client)
	}
	return c
}

// await waits until so many more requests were answered.
func (c *crowd) await(t *testing.T, more int) {
	t.Helper()
	goal := c.answered() + more
	harness.Eventually(t, fmt.Sprintf("%d more answers", more), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.good >= goal || len(c.failed) > 0 && c.excuse == nil
	})
}

func (c *crowd) answered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.good
}

// end stops the crowd; a lost request fails the test. It gives the slowest answers: half are
// faster, 99 of 100 are.
func (c *crowd) end(t *testing.T) (median, p99 time.Duration) {
	t.Helper()
	close(c.stop)
	c.clients.Wait()
	var lost []failure
	for _, f := range c.failed {
		if c.excuse == nil || !c.excuse(f) {
			lost = append(lost, f)
		}
	}
	tally.sent.Add(int64(c.good + len(c.failed)))
	tally.right.Add(int64(c.good))
	tally.onPurpose.Add(int64(len(c.failed) - len(lost)))
	tally.lost.Add(int64(len(lost)))
	if len(lost) > 0 {
		t.Errorf("%d requests lost of %d, first: %v", len(lost), len(c.failed)+c.good, lost[:min(5, len(lost))])
	}
	if len(c.slowest) == 0 {
		return 0, 0
	}
	slices.Sort(c.slowest)
	return c.slowest[len(c.slowest)/2], c.slowest[len(c.slowest)*99/100]
}

// figures are those of a crowd that has ended.
type figures struct {
	rate                 float64 // requests a second
	median, p99, slowest time.Duration
}

func (f figures) String() string {
	return fmt.Sprintf("%.0f requests/s, half within %v, 99 of 100 within %v, all within %v", f.rate,
		f.median.Round(time.Microsecond), f.p99.Round(time.Microsecond), f.slowest.Round(time.Microsecond))
}

// figures ends the crowd.
func (c *crowd) figures(t *testing.T) figures {
	t.Helper()
	rate := float64(c.answered()) / time.Since(c.begun).Seconds()
	median, p99 := c.end(t)
	return figures{rate, median, p99, slices.Max(append(c.slowest, 0))}
}

func (c *crowd) client() {
	var conn net.Conn
	var in *bufio.Reader
	var last failure // what a failure now would be
	drop := func() {
		if conn != nil {
			conn.Close()
			conn = nil
		}
	}
	defer drop()
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		begun := time.Now()
		if conn == nil {
			last = failure{since: begun}
			var err error
			if conn, err = net.Dial(network(c.addr), c.addr); err != nil {
				conn = nil
				if !c.failure(last, fmt.Errorf("connect: %w", err)) {
					return
				}
				continue
			}
			in = bufio.NewReader(conn)
		}
		conn.SetDeadline(time.Now().Add(harness.Patience))
		more, pid, err := c.once(conn, in, &last)
		if err != nil {
			drop()
			if !c.failure(last, err) {
				return
			}
			continue
		}
		last.since, last.status = begun, 0
		if !c.proxied {
			last.pid = pid
		}
		c.mu.Lock()
		c.good++
		if len(c.slowest) < 1<<20 {
			c.slowest = append(c.slowest, time.Since(begun))
		}
		c.mu.Unlock()
		if last.served++; !more {
			drop()
		}
	}
}

// leaves is how long a worker may still live that has handed a connection on to another one.
const leaves = 3 * time.Second

// failure notes a request without a good answer; false: none is to be excused, and this client
// gives up.
func (c *crowd) failure(f failure, err error) bool {
	f.err, f.at = err, time.Now()
	if c.excuse != nil && f.pid != 0 {
		f.left = c.leaving != nil && c.leaving(f.pid)
		for !f.left && time.Since(f.at) < leaves {
			f.left = !harness.Alive(f.pid)
			time.Sleep(time.Millisecond) // why: somebody else's child, nothing tells of its end
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, f)
	return c.excuse != nil
}

var errAnswer = errors.New("not the answer")

// once asks once. It says whether the connection goes on and which worker has answered, where that
// is known.
func (c *crowd) once(conn net.Conn, in *bufio.Reader, last *failure) (more bool, pid int, err error) {
	if _, err := io.WriteString(conn, c.request); err != nil {
		return false, 0, err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return false, 0, fmt.Errorf("no answer: %w", err)
	}
	last.status = resp.StatusCode
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || string(body) != c.want) {
		err = errAnswer
	}
	if err != nil {
		return false, 0, fmt.Errorf("%s %.100q: %w", resp.Status, body, err)
	}
	pid, _ = strconv.Atoi(resp.Header.Get("X-Pid"))
	return c.keep && !resp.Close, pid, nil
}
