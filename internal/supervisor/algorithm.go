package supervisor

import (
	"fmt"
	"time"

	"uwsgi/internal/option"
)

// load is what a cheaper algorithm goes by, measured once per check interval.
type load struct {
	interval time.Duration
	active   int     // workers that should run
	coming   int     // of those, not ready yet
	idle     int     // ready and without a request
	full     int     // ready and every core busy
	backlog  int     // connections that wait
	busyness float64 // percent of the interval that the ready workers' cores were in requests
	rss      int64
}

// algorithmState is what the algorithms remember between decisions.
type algorithmState struct {
	overloaded int // spare: cycles under full load, less those that were not
	quiet      int // spare: cycles with workers to spare

	cycles     int // busyness: into the window
	sum        float64
	calm       int // busyness: windows below the minimum in a row
	multiplier int
	flapped    bool          // busyness: the last change was a removal
	waiting    time.Duration // busyness: how long the queue has not been empty
	emergency  int           // busyness: workers that a queue called for
	said       string        // busyness: what was decided and why, for cheaper-busyness-verbose
}

// decide says how many workers to add, or with a negative number to take away. The caller keeps to
// the limits.
func decide(set *option.Settings, st *algorithmState, l load) int {
	step := max(set.CheaperStep, 1)
	switch set.CheaperAlgo {
	case "manual":
		return 0
	case "backlog":
		limit := int(set.CheaperOverload / time.Second)
		switch {
		case l.backlog > limit:
			return step
		case l.backlog < limit && l.active > set.Cheaper:
			return -1
		}
		return 0
	case "busyness":
		return busyness(set, st, l, step)
	case "spare2":
		return spare2(set, st, l, step)
	}
	return spare(set, st, l, step)
}

// spare adds when all workers have been full for longer than the overload, and takes one away when
// more than one is idle for that long.
func spare(set *option.Settings, st *algorithmState, l load, step int) int {
	overload := max(int(set.CheaperOverload/l.interval), 1)
	switch {
	case l.full+l.coming == l.active && l.full > 0:
		st.overloaded++
	case st.overloaded > 0:
		st.overloaded--
	}
	if st.overloaded > overload && l.active < set.Processes {
		st.overloaded = 0
		return step
	}
	if st.overloaded > 0 || l.idle <= 1 || l.active <= set.Cheaper {
		st.quiet = 0
		return 0
	}
	if st.quiet++; st.quiet%overload == 0 {
		return -1
	}
	return 0
}

// idleWindow is spare2's where cheaper-idle is not set.
const idleWindow = 10 * time.Second

// spare2 keeps as many workers idle as cheaper says: it adds what is missing, step at most, and
// takes one away when there were more for cheaper-idle.
func spare2(set *option.Settings, st *algorithmState, l load, step int) int {
	idle := l.idle + l.coming
	if idle <= set.Cheaper {
		st.quiet = 0
		return min(set.Cheaper-idle, step)
	}
	window := set.CheaperIdle
	if window <= 0 {
		window = idleWindow
	}
	if st.quiet++; st.quiet >= max(int(window/l.interval), 1) {
		st.quiet = 0
		return -1
	}
	return 0
}

// busyness looks at the share of busy time in windows of cheaper-overload: it adds above the
// maximum, and takes one away after enough windows below the minimum in a row. A removal that had
// to be undone makes it wait longer. A queue calls for emergency workers at once; while there are
// any, fewer windows are enough (cheaper-busyness-backlog-multiplier).
func busyness(set *option.Settings, st *algorithmState, l load, step int) int {
	b := set.Busyness
	if l.backlog > 0 {
		st.waiting += l.interval
	} else {
		st.waiting = 0
	}
	if b.BacklogAlert > 0 && l.backlog > b.BacklogAlert || b.BacklogNonzero > 0 && st.waiting > b.BacklogNonzero {
		st.waiting, st.calm = 0, 0
		n := max(b.BacklogStep, 1)
		st.emergency += n
		st.said = fmt.Sprintf("%d connections wait: %d emergency workers more", l.backlog, n)
		return n
	}
	st.multiplier = max(st.multiplier, b.Multiplier, 1)
	st.sum += l.busyness
	if st.cycles++; st.cycles < max(int(set.CheaperOverload/l.interval), 1) {
		return 0
	}
	mean := st.sum / float64(st.cycles)
	st.cycles, st.sum = 0, 0
	calm := st.multiplier
	if st.emergency > 0 {
		calm = max(b.BacklogMultiplier, 1)
	}
	n := 0
	switch {
	case mean > float64(b.Max):
		if st.flapped {
			st.multiplier += b.Penalty
		}
		st.calm, st.flapped = 0, false
		n = step
	case mean < float64(b.Min):
		if st.calm++; st.calm >= calm && l.active > set.Cheaper {
			st.calm, st.flapped, st.emergency = 0, true, max(st.emergency-1, 0)
			n = -1
		}
	default:
		st.calm, st.flapped, st.emergency = 0, false, max(st.emergency-1, 0)
		st.multiplier = b.Multiplier
	}
	st.said = fmt.Sprintf("%v average busyness of %d workers is at %.0f%%: %+d (%d of %d calm windows)", set.CheaperOverload, l.active, mean, n, st.calm, calm)
	return n
}
