package supervisor

import (
	"time"

	"uwsgi/internal/scoreboard"
)

// slot is one worker number of one generation.
type slot struct {
	n      int // 1…N, never changes
	gen    *generation
	active bool // should have a process: false when cheaped or asleep

	cur     *process // serves, or will
	next    *process // takes cur's place once it is ready: a recycling
	replace string   // why cur shall be replaced, "" = it shall not
	holder  *process // has what the next one needs: it has to be gone first
	why     string   // why the next process of an empty slot is forked

	retry     backoff
	notBefore time.Time // no fork before this
	misses    ordeal    // processes in a row that ended before they could serve
	accepted  bool      // a process of it has served
	tally     *tally
}

// serves reports whether the slot has a process that can serve.
func (sl *slot) serves() bool { return sl.cur != nil && sl.cur.state == serving }

// attends reports whether it has one that takes uWSGI's signals: which serves, or will once one has
// come.
func (sl *slot) attends() bool { return sl.serves() || sl.cur != nil && sl.cur.waits }

// yields reports whether the slot waits for a process that has to be gone first.
func (sl *slot) yields(s *Supervisor) bool {
	return sl.holder != nil && s.procs[sl.holder.w] == sl.holder
}

// tally is what is remembered of a worker number beyond processes and generations.
type tally struct {
	spawns    int
	harakiris int
	signals   int       // whose handlers have run in it
	spawned   time.Time // last time
	past      counts    // of processes that are gone
	code      int       // what the last one without an application said it would exit with
}

// counts are sums over the requests of a process.
type counts struct {
	requests, exceptions, tx, running int64
	refused, logLost                  int64
	apps                              [scoreboard.Apps]appCounts
}

// appCounts are what one application of a worker has answered.
type appCounts struct{ requests, exceptions int64 }

func (c *counts) add(o counts) {
	c.requests += o.requests
	c.exceptions += o.exceptions
	c.tx += o.tx
	c.running += o.running
	c.refused += o.refused
	c.logLost += o.logLost
	for i := range c.apps {
		c.apps[i].requests += o.apps[i].requests
		c.apps[i].exceptions += o.apps[i].exceptions
	}
}

// tallies finds the tally of a worker number.
type tallies map[int]*tally

func (t tallies) of(n int) *tally {
	if t[n] == nil {
		t[n] = &tally{}
	}
	return t[n]
}
