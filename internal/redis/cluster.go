package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
	"uwsgi/internal/schedule"
)

// Cluster is the instances that have the same Redis and name= in common: a name is one's at a time.
// It implements schedule.Lease.
type Cluster struct {
	agent   *Agent
	address string
	changed func(name string, held bool)
	ctx     context.Context
	cancel  func()
	wg      sync.WaitGroup

	mu    sync.Mutex
	names map[string]*lease
}

// lease is a name that this instance tries to have.
type lease struct {
	name    string
	until   atomic.Int64  // of Uptime()
	held    bool          // as it was told last
	changes chan bool     // to be told, in order
	told    chan struct{} // closed: nothing is told any more
}

// Join makes this instance one of them. changed is told, one change of a name after the other, when
// this instance has it and when it has not any more.
func (a *Agent) Join(address string, changed func(name string, held bool)) *Cluster {
	c := &Cluster{agent: a, address: address, changed: changed, names: map[string]*lease{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Address is the URL that it was joined by.
func (c *Cluster) Address() string { return c.address }

// Holds implements schedule.Lease.
func (c *Cluster) Holds(name string) time.Duration {
	c.mu.Lock()
	l := c.names[name]
	if l == nil && c.ctx.Err() == nil {
		l = &lease{name: name, changes: make(chan bool, 64), told: make(chan struct{})}
		c.names[name] = l
		c.wg.Go(crash.Guarded(func() { c.follow(l) }))
		c.wg.Go(crash.Guarded(func() { c.tell(l) }))
	}
	c.mu.Unlock()
	if l == nil {
		return 0
	}
	return l.left()
}

func (l *lease) left() time.Duration { return max(0, time.Duration(l.until.Load())-Uptime()) }

// Claim implements schedule.Lease.
func (c *Cluster) Claim(name string, minute int64) schedule.Verdict {
	token := rand.Text() // the same claim, however often it is asked
	for range 3 {
		if c.Holds(name) == 0 {
			return schedule.Later
		}
		answer, err := c.ask("once", name, strconv.FormatInt(minute, 10), token)
		switch {
		case err != nil:
		case answer == "mine":
			return schedule.Mine
		case answer == "done":
			return schedule.Done
		}
	}
	return schedule.Later
}

func (c *Cluster) ask(op string, args ...string) (string, error) {
	conn, err := c.agent.Door.Dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(Patience + time.Second))
	if err := WriteFrame(conn, append([]string{op, c.address}, args...)...); err != nil {
		return "", err
	}
	answer, err := ReadFrame(conn)
	switch {
	case err != nil:
		return "", err
	case len(answer) < 2 || answer[0] != "+":
		return "", fmt.Errorf("redis: %q", answer)
	}
	return answer[1], nil
}

// follow hears of a name until the end.
func (c *Cluster) follow(l *lease) {
	for c.ctx.Err() == nil {
		if conn, err := c.agent.Door.Dial(); err == nil {
			stop := context.AfterFunc(c.ctx, func() { conn.Close() })
			c.hear(l, conn)
			stop()
			conn.Close()
		}
		l.note()
		select {
		case <-c.ctx.Done():
		case <-time.After(50 * time.Millisecond): // an agent is started again; or the name is over
		}
	}
	l.until.Store(0)
	l.note()
	close(l.changes)
	<-l.told // what follows the end of a name is over before another has it
	_, _ = c.ask("yield", l.name)
}

// hear reads what one agent says of a name, until it says no more, or the name is over.
func (c *Cluster) hear(l *lease, conn net.Conn) {
	if WriteFrame(conn, "lease", c.address, l.name) != nil {
		return
	}
	for {
		end := time.Time{}
		if left := l.left(); left > 0 {
			end = time.Now().Add(left + time.Millisecond)
		}
		_ = conn.SetReadDeadline(end)
		answer, err := ReadFrame(conn)
		if err != nil || len(answer) < 2 || answer[0] != "+" {
			return
		}
		until, err := strconv.ParseInt(answer[1], 10, 64)
		if err != nil {
			return
		}
		l.until.Store(until)
		l.note()
	}
}

// note has a change told.
func (l *lease) note() {
	if held := l.left() > 0; held != l.held {
		l.held = held
		l.changes <- held
	}
}

func (c *Cluster) tell(l *lease) {
	defer close(l.told)
	for held := range l.changes {
		c.changed(l.name, held)
	}
}

// Leave ends what this instance is in the cluster: each name that it has is told to be over, and
// left to others. nil has nothing to leave.
func (c *Cluster) Leave() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.wg.Wait()
}

// Uptime is the machine's, asleep or awake.
func Uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
