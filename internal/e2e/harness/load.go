package harness

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Load is a crowd of clients that never tries anything twice: every request that gets no good
// answer counts as lost.
type Load struct {
	Good    atomic.Int64
	Resumed atomic.Int64 // requests on a connection that had served before
	stop    chan struct{}
	clients sync.WaitGroup
	mu      sync.Mutex
	lost    []string
	addr    string
	request string
	want    string
	keep    bool
}

// StartLoad has clients ask for path on addr until Stop; each answer has to be a 200 with that
// body.
func StartLoad(addr, path, want string, clients int, keepalive bool) *Load {
	conn := "close"
	if keepalive {
		conn = "keep-alive"
	}
	l := &Load{addr: addr, want: want, keep: keepalive,
		request: fmt.Sprintf("GET %s HTTP/1.1\r\nHost: test\r\nConnection: %s\r\n\r\n", path, conn)}
	return l.start(clients)
}

// StartUwsgiLoad is StartLoad in the uwsgi protocol, as a front end speaks it.
func StartUwsgiLoad(addr, path, want string, clients int) *Load {
	l := &Load{addr: addr, want: want, request: string(Request("GET", path, "").Packet())}
	return l.start(clients)
}

func (l *Load) start(clients int) *Load {
	l.stop = make(chan struct{})
	for range clients {
		l.clients.Go(l.client)
	}
	return l
}

// Await waits until so many more requests were answered.
func (l *Load) Await(t testing.TB, more int64) {
	t.Helper()
	goal := l.Good.Load() + more
	Eventually(t, fmt.Sprintf("%d answers (there are %d, lost: %v)", goal, l.Good.Load(), l.losses()), func() bool {
		return l.Good.Load() >= goal || len(l.losses()) > 0
	})
}

// Stop ends the crowd and fails the test for what was lost.
func (l *Load) Stop(t testing.TB) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	if lost := l.losses(); len(lost) > 0 {
		t.Errorf("%d requests lost of %d, first: %v", len(lost), int64(len(lost))+l.Good.Load(),
			lost[:min(5, len(lost))])
	}
}

func (l *Load) losses() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *Load) lose(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = append(l.lost, fmt.Sprintf(format, args...))
}

func (l *Load) client() {
	var c net.Conn
	var in *bufio.Reader
	for served := 0; ; served++ {
		select {
		case <-l.stop:
			if c != nil {
				c.Close()
			}
			return
		default:
		}
		if c == nil {
			var err error
			if c, err = net.Dial(network(l.addr), l.addr); err != nil {
				l.lose("connect: %v", err)
				return
			}
			in, served = bufio.NewReader(c), 0
		}
		c.SetDeadline(time.Now().Add(Patience))
		more, err := l.once(c, in)
		if err != nil {
			l.lose("request %d of a connection: %v", served+1, err)
			c.Close()
			return
		}
		if served > 0 {
			l.Resumed.Add(1)
		}
		l.Good.Add(1)
		if !more {
			c.Close()
			c = nil
		}
	}
}

// once asks once and reports whether the connection goes on.
func (l *Load) once(c net.Conn, in *bufio.Reader) (bool, error) {
	if _, err := io.WriteString(c, l.request); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return false, fmt.Errorf("no answer: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || string(body) != l.want {
		return false, fmt.Errorf("%s %q: %w", resp.Status, body, err)
	}
	return l.keep && !resp.Close, nil
}
