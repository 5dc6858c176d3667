package cheaper

import (
	"time"

	"uwsgi/internal/option"
)

// idleWindow is spare2's where cheaper-idle is not set.
const idleWindow = 10 * time.Second

// spare2 keeps as many workers idle as cheaper says: it adds what is missing, step at most, and
// takes one away when there were more for cheaper-idle.
type spare2 struct {
	quiet int // cycles with workers to spare
}

func (a *spare2) decide(set *option.Settings, l Load, step int) (int, string) {
	idle := l.Idle + l.Coming
	if idle <= set.Cheaper {
		a.quiet = 0
		return min(set.Cheaper-idle, step), ""
	}
	window := set.CheaperIdle
	if window <= 0 {
		window = idleWindow
	}
	if a.quiet++; a.quiet >= max(int(window/l.Interval), 1) {
		a.quiet = 0
		return -1, ""
	}
	return 0, ""
}
