package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
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
	excuse              func(status int, err error) bool // what the test provokes

	stop    chan struct{}
	clients sync.WaitGroup
	mu      sync.Mutex
	good    int
	excused int
	slowest []time.Duration // a sample of all
	lost    []string
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
	c := &crowd{addr: addr, want: want, keep: keep, stop: make(chan struct{}),
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
		return c.good >= goal || len(c.lost) > 0
	})
}

func (c *crowd) answered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.good
}

// end stops the crowd; a lost request fails the test. It gives the slowest answers: half are faster, 99 of 100 are.
func (c *crowd) end(t *testing.T) (median, p99 time.Duration) {
	t.Helper()
	close(c.stop)
	c.clients.Wait()
	tally.sent.Add(int64(c.good + c.excused + len(c.lost)))
	tally.right.Add(int64(c.good))
	tally.onPurpose.Add(int64(c.excused))
	tally.lost.Add(int64(len(c.lost)))
	if len(c.lost) > 0 {
		t.Errorf("%d requests lost of %d, first: %v", len(c.lost), len(c.lost)+c.good, c.lost[:min(5, len(c.lost))])
	}
	if len(c.slowest) == 0 {
		return 0, 0
	}
	slices.Sort(c.slowest)
	return c.slowest[len(c.slowest)/2], c.slowest[len(c.slowest)*99/100]
}

func (c *crowd) client() {
	var conn net.Conn
	var in *bufio.Reader
	served := 0
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
			var err error
			if conn, err = net.Dial(network(c.addr), c.addr); err != nil {
				conn = nil
				if !c.failed(0, fmt.Errorf("connect: %w", err)) {
					return
				}
				continue
			}
			in, served = bufio.NewReader(conn), 0
		}
		conn.SetDeadline(time.Now().Add(harness.Patience))
		more, status, err := c.once(conn, in)
		if err != nil {
			drop()
			if !c.failed(status, fmt.Errorf("request %d of a connection: %w", served+1, err)) {
				return
			}
			continue
		}
		c.mu.Lock()
		c.good++
		if len(c.slowest) < 1<<20 {
			c.slowest = append(c.slowest, time.Since(begun))
		}
		c.mu.Unlock()
		if served++; !more {
			drop()
		}
	}
}

// failed notes a request without a good answer; false: it is lost, and this client gives up.
func (c *crowd) failed(status int, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.excuse != nil && c.excuse(status, err) {
		c.excused++
		return true
	}
	c.lost = append(c.lost, err.Error())
	return false
}

var errAnswer = errors.New("not the answer")

// once asks once and says whether the connection goes on.
func (c *crowd) once(conn net.Conn, in *bufio.Reader) (bool, int, error) {
	if _, err := io.WriteString(conn, c.request); err != nil {
		return false, 0, err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return false, 0, fmt.Errorf("no answer: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || string(body) != c.want) {
		err = errAnswer
	}
	if err != nil {
		return false, resp.StatusCode, fmt.Errorf("%s %.100q: %w", resp.Status, body, err)
	}
	return c.keep && !resp.Close, resp.StatusCode, nil
}
