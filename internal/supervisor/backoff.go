package supervisor

import "time"

const (
	settled     = 10 * time.Second // a worker that served this long did not die of a bad start
	backoffTop  = 16               // the longest delay, in units of the base
	backoffStep = 8                // the first delay is the base divided by this
)

// backoff is how long a slot waits before its next process: not at all after a first death, then longer with every quick one.
type backoff struct {
	streak int
}

// next counts a death and returns the delay; base is forkbomb-delay, 0 = never wait; served is how long the process could serve.
func (b *backoff) next(base, served time.Duration) time.Duration {
	if served >= settled {
		b.streak = 0
	}
	b.streak++
	if b.streak == 1 || base <= 0 {
		return 0
	}
	top := base * backoffTop
	d := base / backoffStep
	for range b.streak - 2 {
		if d *= 2; d >= top {
			return top
		}
	}
	return d
}
