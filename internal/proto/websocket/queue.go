package websocket

import "bytes"

// Queue keeps messages that came before the application asked for them. While it is full no more
// should be read of the connection: then its client waits, too.
type Queue struct {
	list []Message
	size int
}

// How much a Queue holds before it is full.
const (
	queueMessages = 32
	queueBytes    = 64 << 10
)

// Push keeps a copy of m.
func (q *Queue) Push(m Message) {
	m.Data = bytes.Clone(m.Data)
	q.list = append(q.list, m)
	q.size += len(m.Data)
}

// Pop takes the oldest message; its Op is 0 if there is none.
func (q *Queue) Pop() (m Message) {
	if len(q.list) == 0 {
		return m
	}
	m, q.list[0] = q.list[0], Message{}
	q.size -= len(m.Data)
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
	}
	return m
}

// Full says that no more should be read.
func (q *Queue) Full() bool { return len(q.list) >= queueMessages || q.size >= queueBytes }
