package cheaper

import (
	"fmt"
	"time"

	"uwsgi/internal/option"
)

// busyness looks at the share of busy time in windows of cheaper-overload: it adds above the
// maximum, and takes one away after enough windows below the minimum in a row. A removal that had
// to be undone makes it wait longer. A queue calls for emergency workers at once; while there are
// any, fewer windows are enough (cheaper-busyness-backlog-multiplier).
type busyness struct {
	cycles     int // into the window
	sum        float64
	calm       int // windows below the minimum in a row
	multiplier int
	flapped    bool          // the last change was a removal
	waiting    time.Duration // how long the queue has not been empty
	emergency  int           // workers that a queue called for
}

func (a *busyness) decide(set *option.Settings, l Load, step int) (int, string) {
	b := set.Busyness
	if l.Backlog > 0 {
		a.waiting += l.Interval
	} else {
		a.waiting = 0
	}
	if b.BacklogAlert > 0 && l.Backlog > b.BacklogAlert || b.BacklogNonzero > 0 && a.waiting > b.BacklogNonzero {
		a.waiting, a.calm = 0, 0
		n := max(b.BacklogStep, 1)
		a.emergency += n
		return n, fmt.Sprintf("%d connections wait: %d emergency workers more", l.Backlog, n)
	}
	a.multiplier = max(a.multiplier, b.Multiplier, 1)
	a.sum += l.Busyness
	if a.cycles++; a.cycles < max(int(set.CheaperOverload/l.Interval), 1) {
		return 0, ""
	}
	mean := a.sum / float64(a.cycles)
	a.cycles, a.sum = 0, 0
	calm := a.multiplier
	if a.emergency > 0 {
		calm = max(b.BacklogMultiplier, 1)
	}
	n := 0
	switch {
	case mean > float64(b.Max):
		if a.flapped {
			a.multiplier += b.Penalty
		}
		a.calm, a.flapped = 0, false
		n = step
	case mean < float64(b.Min):
		if a.calm++; a.calm >= calm && l.Active > set.Cheaper {
			a.calm, a.flapped, a.emergency = 0, true, max(a.emergency-1, 0)
			n = -1
		}
	default:
		a.calm, a.flapped, a.emergency = 0, false, max(a.emergency-1, 0)
		a.multiplier = b.Multiplier
	}
	return n, fmt.Sprintf("%v average busyness of %d workers is at %.0f%%: %+d (%d of %d calm windows)",
		set.CheaperOverload, l.Active, mean, n, a.calm, calm)
}
