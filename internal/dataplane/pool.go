package dataplane

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// pool runs the WSGI applications of a worker with an event loop, on threads of its own: the loop
// reads their requests whole, and a core of the pool answers them.
type pool struct {
	wakefd int // an eventfd, one token for each connection in queue
	queue  connQueue
}

// pooled is a request that waits for a core of the pool; its head is cn.req.
type pooled struct {
	body   []byte
	bodyFD int
}

func newPool() (*pool, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &pool{wakefd: fd}, nil
}

func (p *pool) put(cn *conn) {
	p.queue.put(cn)
	wake(p.wakefd, 1)
}

// get waits for a connection; nil: the worker may have drained.
func (p *pool) get() *conn {
	var b [8]byte
	unix.Read(p.wakefd, b[:])
	return p.queue.take()
}

// pass leaves a whole request to the pool.
func (l *Loop) pass(cn *conn, head int, body []byte, bodyFD int, rest []byte) step {
	cn.pooled = &pooled{body: bytes.Clone(body), bodyFD: bodyFD}
	l.suspend(cn, head)
	cn.in = rest
	cn.detach()
	l.eng.setActive(cn, true)
	l.eng.pool.put(cn)
	return stepClosed
}

// runPooled is Run for a core of the pool.
func (c *Core) runPooled() int {
	e := c.eng
	c.looping.Store(true)
	for {
		if e.phase() >= leaving && !c.sawLeaving.Load() {
			c.sawLeaving.Store(true)
			e.tellAnswered(e.active.Load())
		}
		if cn := e.pool.get(); cn != nil {
			c.servePooled(cn)
		}
		if e.phase() == left {
			return e.ExitCode()
		}
	}
}

// servePooled answers one request; whatever follows it on the connection is for the loop.
func (c *Core) servePooled(cn *conn) {
	e, p := c.eng, cn.pooled
	c.serving.Store(true)
	cn.pooled = nil
	c.resume(cn)
	if c.x.answer(cn, cn.head, p.body, p.bodyFD, cn.in) == stepAgain {
		e.enqueue(cn)
	}
	c.serving.Store(false)
	if e.stuck.Load() > 0 {
		e.tellAnswered(e.active.Load())
	}
}
