package cheaper

import (
	"time"

	"uwsgi/internal/option"
)

// backlog adds while more connections wait than cheaper-overload says, and takes one away while
// fewer do.
type backlog struct{}

func (backlog) decide(set *option.Settings, l Load, step int) (int, string) {
	limit := int(set.CheaperOverload / time.Second)
	switch {
	case l.Backlog > limit:
		return step, ""
	case l.Backlog < limit && l.Active > set.Cheaper:
		return -1, ""
	}
	return 0, ""
}
