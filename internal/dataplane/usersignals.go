package dataplane

import (
	"sync"
	"sync/atomic"
)

// userSignals are the uWSGI signals whose handlers are to run between two requests. Each comes with
// a token of Engine.wake: a core that has one takes a signal or a connection.
type userSignals struct {
	n       atomic.Int32 // of numbers; nobody locks for nothing
	mu      sync.Mutex
	numbers []int
}

func (u *userSignals) put(number int) {
	u.mu.Lock()
	u.numbers = append(u.numbers, number)
	u.n.Store(int32(len(u.numbers)))
	u.mu.Unlock()
}

// take gives the one that came first.
func (u *userSignals) take() (number int, ok bool) {
	if u.n.Load() == 0 {
		return 0, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.numbers) == 0 {
		return 0, false
	}
	number = u.numbers[0]
	u.numbers = u.numbers[1:]
	u.n.Store(int32(len(u.numbers)))
	return number, true
}
