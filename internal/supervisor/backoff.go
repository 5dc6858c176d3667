package supervisor

import "time"

const (
	settled     = 10 * time.Second // a worker that served this long did not die of a bad start
	backoffTop  = 16               // the longest delay, in units of the base
	backoffStep = 8                // the first delay is the base divided by this
)

// backoff is how long a slot waits before its next process: not at all after a first death, then
// longer with every quick one.
type backoff struct {
	streak int
}

// next counts a death and returns the delay; base is forkbomb-delay, 0 = never wait; served is how
// long the process could serve.
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

// endurance is that of an instance that has served: it ends by time, not by a count of tries, which
// may take milliseconds each.
type endurance struct {
	limit time.Duration // nothing serves and tries have failed for this long: the instance ends
	pause time.Duration // between the first two of them; it grows
}

var usual = endurance{limit: 30 * time.Second, pause: time.Second}

// growths is how often the pause doubles.
const growths = 2

// ordeal is a row of tries that failed.
type ordeal struct {
	tries int
	since time.Time // the end of the first one
}

func (o *ordeal) failed() {
	if o.tries++; o.tries == 1 {
		o.since = time.Now()
	}
}

// pause is how long to wait for the next one.
func (o ordeal) pause(e endurance) time.Duration { return e.pause << min(o.tries-1, growths) }

// hopeless reports whether it has lasted too long.
func (o ordeal) hopeless(e endurance) bool { return o.tries > 1 && time.Since(o.since) >= e.limit }
