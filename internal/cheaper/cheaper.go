// Package cheaper says how many workers an instance should have: one file an algorithm. It knows no
// processes: the supervisor measures the load and does what comes out.
package cheaper

import (
	"time"

	"uwsgi/internal/option"
)

// Load is what an algorithm goes by, measured once per check interval.
type Load struct {
	Interval time.Duration
	Active   int     // workers that should run
	Coming   int     // of those, not ready yet
	Idle     int     // ready and without a request
	Full     int     // ready and every core busy
	Backlog  int     // connections that wait
	Busyness float64 // percent of the interval that the ready workers' cores were in requests
}

// algorithm is one way to judge the load. It returns how many workers to add, step at a time, or
// with a negative number to take away, and perhaps why.
type algorithm interface {
	decide(set *option.Settings, l Load, step int) (n int, why string)
}

// algorithms are those of option.CheaperAlgorithms.
var algorithms = map[string]func() algorithm{
	"spare":    func() algorithm { return &spare{} },
	"spare2":   func() algorithm { return &spare2{} },
	"backlog":  func() algorithm { return backlog{} },
	"busyness": func() algorithm { return &busyness{} },
	"manual":   func() algorithm { return manual{} },
}

// Decider decides by the algorithm of the settings, which remembers what it saw.
type Decider struct {
	name string // of the algorithm
	algorithm
}

// Decide returns how many workers to add, or with a negative number to take away, and perhaps why.
// The caller keeps to the limits.
func (d *Decider) Decide(set *option.Settings, l Load) (n int, why string) {
	if d.algorithm == nil || d.name != set.CheaperAlgo {
		begin, ok := algorithms[set.CheaperAlgo]
		if !ok {
			begin = algorithms["spare"] // as uWSGI does
		}
		d.name, d.algorithm = set.CheaperAlgo, begin()
	}
	return d.decide(set, l, max(set.CheaperStep, 1))
}

// manual leaves it to the operator.
type manual struct{}

func (manual) decide(*option.Settings, Load, int) (int, string) { return 0, "" }
