package chaos

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// casualties are the deaths that a test brings about. The requests that a worker was running when
// it died are lost, and nothing can change that; no other one may be.
type casualties struct {
	// busy says that all threads of a worker may be busy: it hands connections on to idle workers
	// then, and who has answered on one before does not tell who has it now.
	busy bool

	mu     sync.Mutex
	deaths []span
}

func (c *casualties) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, d := range c.deaths {
		fmt.Fprintf(&b, "%s … %s\n", d.from.Format("15:04:05.000"), d.to.Format("15:04:05.000"))
	}
	return b.String()
}

// span is when one worker died, as far as can be told from outside.
type span struct{ from, to time.Time }

// during notes the death that do brings about and waits for.
func (c *casualties) during(do func()) {
	from := time.Now()
	do()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaths = append(c.deaths, span{from, time.Now()})
}

// explain reports whether a death can have hit a request: it came while its connection waited for
// this answer, and the worker that has served this connection so far did not survive it. A
// connection that nobody has served yet may have been accepted by any worker.
func (c *casualties) explain(f failure) bool {
	if f.pid != 0 && !f.left && !c.busy {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.deaths {
		if !f.since.After(d.to) && !f.at.Before(d.from) {
			return true
		}
	}
	return false
}
