package supervisor

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"uwsgi/internal/option"
)

// SlowImport is how long the import of an application takes before the log tells of it: that it is
// under way, and where it is.
type SlowImport struct{ Tell, Stacks time.Duration }

var usualImport = SlowImport{Tell: time.Second, Stacks: 30 * time.Second}

// watchImport tells of an import that takes its time.
func (s *Supervisor) watchImport(t *rollout) {
	names := sources(t.cfg.Settings)
	if names == "" {
		return
	}
	g, began := t.gen, time.Now()
	under := func(do func()) func() {
		return func() {
			if s.rollout == t && t.gen == g && !t.refused && len(g.apps) == 0 {
				do()
			}
		}
	}
	s.timers.after(s.slowImport.Tell, under(func() {
		s.log(slog.LevelInfo, "import.slow", "importing "+names+" ...", slog.Int(KeyGeneration, g.n))
	}))
	var dump func()
	dump = under(func() {
		took := time.Since(began)
		s.timers.after(took, dump)
		at := g.importer(s)
		if at == nil || !at.KnowsDump() {
			return
		}
		s.log(slog.LevelWarn, "import.stacks", fmt.Sprintf("importing %s takes %s so far; it is here:", names,
			took.Round(10*time.Millisecond)), slog.Int(KeyGeneration, g.n))
		if err := at.Dump(); err != nil {
			s.fault(err)
		}
	})
	s.timers.after(s.slowImport.Stacks, dump)
}

// importer is the process that is importing the application, nil if there is none. Where each
// worker imports it, any will do: the others have come about as far.
func (g *generation) importer(s *Supervisor) interface {
	KnowsDump() bool
	Dump() error
} {
	if g.state == loading {
		return g.ld
	}
	for _, p := range s.procs {
		if p.gen == g && p.state == starting {
			return p.w
		}
	}
	return nil
}

// sources names the applications that are imported.
func sources(set *option.Settings) string {
	var names []string
	for _, a := range set.Apps {
		if a.Kind == "eval" {
			a.Value = "the application"
		}
		names = append(names, a.Value)
	}
	return strings.Join(names, ", ")
}
