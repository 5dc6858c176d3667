package cheaper

import (
	"maps"
	"slices"
	"testing"
	"time"

	"uwsgi/internal/option"
)

// TestNames: the option takes what there is.
func TestNames(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(algorithms)),
		slices.Sorted(slices.Values(option.CheaperAlgorithms)); !slices.Equal(got, want) {
		t.Errorf("there are %v, cheaper-algo takes %v", got, want)
	}
	if algo := option.Default().CheaperAlgo; !slices.Contains(option.CheaperAlgorithms, algo) {
		t.Errorf("the default is %q", algo)
	}
}

// cycle is one decision of an algorithm and what it should be.
type cycle struct {
	l    Load
	want int
}

func TestAlgorithms(t *testing.T) {
	full := func(n int) Load { return Load{Active: n, Full: n} }
	for _, c := range []struct {
		name, algo string
		change     func(*option.Settings)
		cycles     []cycle
	}{
		{"spare adds after more than the overload", "spare", nil,
			[]cycle{{full(2), 0}, {full(2), 0}, {full(2), 0}, {full(2), 1}, {full(3), 0}}},
		{"spare adds in steps", "spare", func(s *option.Settings) { s.CheaperStep = 3 },
			[]cycle{{full(2), 0}, {full(2), 0}, {full(2), 0}, {full(2), 3}}},
		{"spare waits for those that are coming", "spare", nil,
			[]cycle{{Load{Active: 2, Coming: 2}, 0}, {Load{Active: 2, Coming: 2}, 0}, {Load{Active: 2, Coming: 2}, 0}, {Load{Active: 2, Coming: 2}, 0}}},
		{"spare forgets overload cycle by cycle", "spare", nil,
			[]cycle{{full(2), 0}, {full(2), 0}, {full(2), 0}, {Load{Active: 2, Full: 1, Idle: 1}, 0}, {full(2), 0}, {full(2), 1}}},
		{"a free core is room enough", "spare", nil,
			[]cycle{{Load{Active: 2, Full: 1}, 0}, {Load{Active: 2, Full: 1}, 0}, {Load{Active: 2, Full: 1}, 0}, {Load{Active: 2, Full: 1}, 0}}},
		{"spare keeps one idle worker", "spare", nil,
			[]cycle{{Load{Active: 3, Full: 2, Idle: 1}, 0}, {Load{Active: 3, Full: 2, Idle: 1}, 0}, {Load{Active: 3, Full: 2, Idle: 1}, 0}}},
		{"spare removes one an overload", "spare", nil,
			[]cycle{{Load{Active: 4, Idle: 4}, 0}, {Load{Active: 4, Idle: 4}, 0}, {Load{Active: 4, Idle: 4}, -1}, {Load{Active: 3, Idle: 3}, 0}, {Load{Active: 3, Idle: 3}, 0}, {Load{Active: 3, Idle: 3}, -1}}},
		{"spare keeps cheaper", "spare", nil,
			[]cycle{{Load{Active: 2, Idle: 2}, 0}, {Load{Active: 2, Idle: 2}, 0}, {Load{Active: 2, Idle: 2}, 0}, {Load{Active: 2, Idle: 2}, 0}}},
		{"spare2 keeps cheaper idle", "spare2", func(s *option.Settings) { s.CheaperStep = 2 },
			[]cycle{{Load{Active: 2, Full: 2}, 2}, {Load{Active: 4, Full: 2, Coming: 2}, 0}, {Load{Active: 4, Full: 3, Idle: 1}, 1}, {Load{Active: 5, Full: 3, Idle: 2}, 0}}},
		{"spare2 removes after cheaper-idle", "spare2", func(s *option.Settings) { s.CheaperIdle = 2 * time.Second },
			[]cycle{{Load{Active: 4, Idle: 4}, 0}, {Load{Active: 4, Idle: 4}, -1}, {Load{Active: 3, Idle: 3}, 0}, {Load{Active: 3, Full: 1, Idle: 2}, 0}, {Load{Active: 3, Idle: 3}, 0}, {Load{Active: 3, Idle: 3}, -1}}},
		{"an unknown algorithm is spare", "lunar", nil, []cycle{{full(2), 0}, {full(2), 0}, {full(2), 0}, {full(2), 1}}},
		{"backlog", "backlog", nil,
			[]cycle{{Load{Active: 3, Backlog: 4}, 1}, {Load{Active: 4, Backlog: 3}, 0}, {Load{Active: 4, Backlog: 2}, -1}, {Load{Active: 2, Backlog: 0}, 0}}},
		{"manual", "manual", nil, []cycle{{full(2), 0}, {Load{Active: 4, Idle: 4, Backlog: 99}, 0}}},
		{"busyness adds above the maximum", "busyness", nil,
			[]cycle{{Load{Active: 2, Busyness: 40}, 0}, {Load{Active: 2, Busyness: 60}, 0}, {Load{Active: 2, Busyness: 60}, 1}}},
		{"busyness stays in between", "busyness", nil,
			[]cycle{{Load{Active: 3, Busyness: 30}, 0}, {Load{Active: 3, Busyness: 30}, 0}, {Load{Active: 3, Busyness: 30}, 0}}},
		{"busyness removes after enough calm windows", "busyness", func(s *option.Settings) { s.Busyness.Multiplier = 2; s.CheaperOverload = time.Second },
			[]cycle{{Load{Active: 3}, 0}, {Load{Active: 3}, -1}, {Load{Active: 2}, 0}, {Load{Active: 2}, 0}}},
		{"busyness waits longer after flapping", "busyness", func(s *option.Settings) { s.Busyness.Multiplier = 1; s.CheaperOverload = time.Second },
			[]cycle{{Load{Active: 3}, -1}, {Load{Active: 2, Busyness: 90}, 1}, {Load{Active: 3}, 0}, {Load{Active: 3}, 0}, {Load{Active: 3}, -1}}},
		{"busyness adds for a queue", "busyness", func(s *option.Settings) { s.Busyness.BacklogStep = 2 },
			[]cycle{{Load{Active: 3, Backlog: 34}, 2}, {Load{Active: 5, Backlog: 33}, 0}}},
		{"busyness adds for a queue that stays", "busyness", func(s *option.Settings) { s.Busyness.BacklogNonzero = 2 * time.Second },
			[]cycle{{Load{Active: 3, Backlog: 1}, 0}, {Load{Active: 3, Backlog: 1}, 0}, {Load{Active: 3, Backlog: 1}, 1}, {Load{Active: 3, Backlog: 1}, 0}}},
		{"busyness removes emergency workers sooner", "busyness", func(s *option.Settings) { s.CheaperOverload, s.Busyness.BacklogMultiplier = time.Second, 2 },
			[]cycle{{Load{Active: 3, Backlog: 34}, 1}, {Load{Active: 4}, 0}, {Load{Active: 4}, -1}, {Load{Active: 3}, 0}, {Load{Active: 3}, 0}, {Load{Active: 3}, 0}}},
		{"busyness takes what is in use for no emergency", "busyness", func(s *option.Settings) { s.CheaperOverload, s.Busyness.BacklogMultiplier = time.Second, 2 },
			[]cycle{{Load{Active: 3, Backlog: 34}, 1}, {Load{Active: 4, Busyness: 30}, 0}, {Load{Active: 4}, 0}, {Load{Active: 4}, 0}, {Load{Active: 4}, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := option.Default()
			set.Processes, set.Cheaper, set.CheaperAlgo = 8, 2, c.algo
			if c.change != nil {
				c.change(set)
			}
			var d Decider
			for i, cy := range c.cycles {
				cy.l.Interval = time.Second
				if got, _ := d.Decide(set, cy.l); got != cy.want {
					t.Errorf("cycle %d: %+d, want %+d", i, got, cy.want)
				}
			}
		})
	}
}
