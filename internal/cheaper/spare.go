package cheaper

import "uwsgi/internal/option"

// spare adds when all workers have been full for longer than the overload, and takes one away when
// more than one is idle for that long.
type spare struct {
	overloaded int // cycles under full load, less those that were not
	quiet      int // cycles with workers to spare
}

func (a *spare) decide(set *option.Settings, l Load, step int) (int, string) {
	overload := max(int(set.CheaperOverload/l.Interval), 1)
	switch {
	case l.Full+l.Coming == l.Active && l.Full > 0:
		a.overloaded++
	case a.overloaded > 0:
		a.overloaded--
	}
	if a.overloaded > overload && l.Active < set.Processes {
		a.overloaded = 0
		return step, ""
	}
	if a.overloaded > 0 || l.Idle <= 1 || l.Active <= set.Cheaper {
		a.quiet = 0
		return 0, ""
	}
	if a.quiet++; a.quiet%overload == 0 {
		return -1, ""
	}
	return 0, ""
}
