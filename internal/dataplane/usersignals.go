package dataplane

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"uwsgi/internal/wire"
)

// userSignals are the uWSGI signals whose handlers are to run between two requests. Each comes with
// a token of Engine.wake: a core that has one takes a signal or a connection.
type userSignals struct {
	n       atomic.Int32 // of numbers; nobody locks for nothing
	mu      sync.Mutex
	numbers []int
	arrived *sync.Cond // of mu; nil = nobody has waited yet
	ended   bool       // nobody waits any more
}

func (u *userSignals) put(number int) {
	u.mu.Lock()
	u.numbers = append(u.numbers, number)
	u.n.Store(int32(len(u.numbers)))
	if u.arrived != nil {
		u.arrived.Signal()
	}
	u.mu.Unlock()
}

// take gives the one that came first.
func (u *userSignals) take() (number int, ok bool) {
	if u.n.Load() == 0 {
		return 0, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.first()
}

func (u *userSignals) first() (number int, ok bool) {
	if len(u.numbers) == 0 {
		return 0, false
	}
	number = u.numbers[0]
	u.numbers = u.numbers[1:]
	u.n.Store(int32(len(u.numbers)))
	return number, true
}

// remove takes one of that number away; false: there is none.
func (u *userSignals) remove(number int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.Index(u.numbers, number)
	if i >= 0 {
		u.numbers = slices.Delete(u.numbers, i, i+1)
		u.n.Store(int32(len(u.numbers)))
	}
	return i >= 0
}

// wait takes the next, once there is one; false: the worker ends.
func (u *userSignals) wait() (number int, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.arrived == nil {
		u.arrived = sync.NewCond(&u.mu)
	}
	for len(u.numbers) == 0 && !u.ended {
		u.arrived.Wait()
	}
	return u.first()
}

// end has whoever waits go on.
func (u *userSignals) end() {
	u.mu.Lock()
	u.ended = true
	if u.arrived != nil {
		u.arrived.Broadcast()
	}
	u.mu.Unlock()
}

// NextSignal waits, in a request or before Ready, for a signal whose handler is to run here; false:
// the worker ends.
func (e *Engine) NextSignal() (number int, ok bool) {
	e.house.start() // who hears the supervisor
	return e.signals.wait()
}

// withdraw gives a signal back that nobody has taken yet.
func (e *Engine) withdraw(number int) {
	if e.signals.remove(number) {
		e.Tell(wire.Report{Op: wire.OpWithdrawn, Message: fmt.Sprintf(`{"signal": %d}`, number)})
	}
}
