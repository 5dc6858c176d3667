package dataplane

import (
	"iter"
	"sync"
	"sync/atomic"
)

// connTable holds a worker's connections by their descriptors, and keeps some that have ended for
// reuse. Any thread may look something up; who owns a connection is for ownership to say.
type connTable struct {
	slots   []atomic.Pointer[conn]
	highest atomic.Int64 // the largest descriptor that was ever in slots

	mu   sync.Mutex // guards free
	free []*conn
}

// kept is how many ended connections are kept.
const kept = 256

// capacity is how many descriptors have a place here: larger ones are refused.
func (t *connTable) capacity() int { return len(t.slots) }

// of gives the connection that an event is about; nil: it has ended.
func (t *connTable) of(tag uint64) *conn {
	cn := t.slots[uint32(tag&^tagHup)].Load()
	if cn == nil || !cn.is(tag) {
		return nil
	}
	return cn
}

// all are the connections that there are, in the order of their descriptors.
func (t *connTable) all() iter.Seq[*conn] {
	return func(yield func(*conn) bool) {
		for i := range t.slots {
			if int64(i) > t.highest.Load() {
				return
			}
			if cn := t.slots[i].Load(); cn != nil && !yield(cn) {
				return
			}
		}
	}
}

// unused gives a connection to be filled and put.
func (t *connTable) unused() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		c := t.free[n-1]
		t.free = t.free[:n-1]
		return c
	}
	return &conn{}
}

func (t *connTable) put(c *conn) {
	t.slots[c.fd].Store(c)
	for h := t.highest.Load(); int64(c.fd) > h && !t.highest.CompareAndSwap(h, int64(c.fd)); h = t.highest.Load() {
	}
}

// remove comes before the descriptor is closed: after that another thread may get its number.
func (t *connTable) remove(c *conn) { t.slots[c.fd].Store(nil) }

// recycle takes back a connection that was removed.
func (t *connTable) recycle(c *conn) {
	t.mu.Lock()
	if len(t.free) < kept {
		t.free = append(t.free, c)
	}
	t.mu.Unlock()
}

// connQueue is connections that wait for a thread, first come, first served.
type connQueue struct {
	mu      sync.Mutex
	waiting []*conn
}

func (q *connQueue) put(c *conn) {
	q.mu.Lock()
	q.waiting = append(q.waiting, c)
	q.mu.Unlock()
}

// take gives the next one, nil where there is none.
func (q *connQueue) take() *conn {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	c := q.waiting[0]
	q.waiting = q.waiting[1:]
	return c
}

func (q *connQueue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
