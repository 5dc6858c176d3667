// Package schedule is what an application has registered of uWSGI's signals: which number goes
// where, and when timers, crons and file monitors raise it. It is pure: who uses it brings the
// clock, looks at the files and delivers what is due.
package schedule

import (
	"fmt"
	"time"
)

// Highest is the highest number of a signal.
const Highest = 255

// most bounds what one application can register: uWSGI's is 64 of each kind.
const most = 1 << 10

// Kinds of sources.
const (
	Timer   = "timer"
	RBTimer = "rbtimer"
	Cron    = "cron"
	Monitor = "filemon"
)

// Source is what raises a signal by itself.
type Source struct {
	Kind    string  `json:"kind"`
	Signal  int     `json:"signal"`
	Seconds float64 `json:"seconds,omitempty"` // between two ticks, of a timer; the first comes after as long
	Times   int     `json:"times,omitempty"`   // of an rbtimer; 0 = for ever
	When    When    `json:"when,omitzero"`     // of a cron
	Path    string  `json:"path,omitempty"`    // of a monitor
	Unique  bool    `json:"unique,omitempty"`  // of a cron: in one of several instances
}

func (s Source) check() error {
	switch {
	case s.Signal < 0 || s.Signal > Highest:
		return fmt.Errorf("signal %d: the numbers are 0 to %d", s.Signal, Highest)
	case s.Kind == Timer || s.Kind == RBTimer:
		if !(s.Seconds > 0 && s.Seconds < 1e9) {
			return fmt.Errorf("%s of signal %d: %v seconds are none", s.Kind, s.Signal, s.Seconds)
		}
	case s.Kind == Monitor && s.Path == "":
		return fmt.Errorf("file monitor of signal %d: no path", s.Signal)
	case s.Kind == Cron && s.When.never() != "":
		return fmt.Errorf("cron of signal %d: the %s never comes: write -1 for every", s.Signal, s.When.never())
	case s.Kind != Cron && s.Kind != Monitor:
		return fmt.Errorf("signal %d: unknown source %q", s.Signal, s.Kind)
	}
	return nil
}

// entry is a source and where it stands.
type entry struct {
	Source
	next  time.Time // of a timer's tick
	fired int
	clock Clock  // of a cron
	seen  string // of a monitor: what the file was like
	known bool
}

// Table is what one generation of the application has registered. The zero value is empty.
type Table struct {
	targets [Highest + 1]string
	known   [Highest + 1]bool
	sources []*entry
	runs    bool
	shared  bool // unique crons are other instances', too

	contests []Contest
}

// Contest is a minute of a unique cron that several instances may want.
type Contest struct {
	Name   string // of the cron, the same in all
	Minute int64  // of Unix time
	Signal int
}

// Share has unique crons raise nothing: what is due is a Contest.
func (t *Table) Share() { t.shared = true }

// Names are what unique crons are called among instances.
func (t *Table) Names() (names []string) {
	for _, e := range t.sources {
		if e.Unique {
			names = append(names, e.name())
		}
	}
	return names
}

func (e *entry) name() string {
	w := e.When
	return fmt.Sprintf("signal %d %d %d %d %d %d", e.Signal, w.Minute, w.Hour, w.Day, w.Month, w.Week)
}

// Contests are those that have come up since it was asked last.
func (t *Table) Contests() []Contest {
	c := t.contests
	t.contests = nil
	return c
}

// Register notes where a signal goes. The same again is the same registration; another target takes
// the place of the one before, as in uWSGI.
func (t *Table) Register(signal int, target string) error {
	if signal < 0 || signal > Highest {
		return fmt.Errorf("signal %d: the numbers are 0 to %d", signal, Highest)
	}
	t.targets[signal], t.known[signal] = target, true
	return nil
}

// Target is where a signal goes; false: it is not registered.
func (t *Table) Target(signal int) (string, bool) {
	if signal < 0 || signal > Highest || !t.known[signal] {
		return "", false
	}
	return t.targets[signal], true
}

// Add notes a source, once: whoever registers the same again changes nothing.
func (t *Table) Add(s Source, now time.Time) error {
	if err := s.check(); err != nil {
		return err
	}
	for _, e := range t.sources {
		if e.Source == s {
			return nil
		}
	}
	if len(t.sources) >= most {
		return fmt.Errorf("%s of signal %d: there are %d timers, crons and monitors already", s.Kind, s.Signal, most)
	}
	t.sources = append(t.sources, &entry{Source: s, next: now.Add(s.every()), clock: Clock{When: s.When}})
	return nil
}

// shortest keeps a timer from being a loop.
const shortest = 10 * time.Millisecond

func (s Source) every() time.Duration {
	return max(shortest, time.Duration(s.Seconds*float64(time.Second)))
}

// Start begins to count: the generation is in force.
func (t *Table) Start(now time.Time) {
	t.runs = true
	for _, e := range t.sources {
		e.next = now.Add(e.every())
	}
}

// Inherit takes over what the table before it has seen of the same crons and files: a cron runs
// once in its minute, and a change is not lost, over a reload.
func (t *Table) Inherit(before *Table) {
	for _, e := range t.sources {
		for _, b := range before.sources {
			if e.Source == b.Source {
				e.clock, e.seen, e.known = b.clock, b.seen, b.known
			}
		}
	}
}

// Paths are the files that are monitored.
func (t *Table) Paths() (paths []string) {
	for _, e := range t.sources {
		if e.Kind == Monitor {
			paths = append(paths, e.Path)
		}
	}
	return paths
}

// Sources are what raises a signal by itself.
func (t *Table) Sources(signal int) (list []Source) {
	for _, e := range t.sources {
		if e.Signal == signal {
			list = append(list, e.Source)
		}
	}
	return list
}

// Signals are the numbers that are registered.
func (t *Table) Signals() (numbers []int) {
	for n, known := range t.known {
		if known {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// lookAtFiles is how often a monitored file is looked at.
const lookAtFiles = time.Second

// Due gives the signals that are due, each once however many ticks of it were missed, and how long
// it is until it wants to be asked again; negative: never. seen describes files so that two
// descriptions differ when one has changed; a file that is missing there is not judged.
func (t *Table) Due(now time.Time, seen map[string]string) (due []int, wait time.Duration) {
	wait = -1
	if !t.runs {
		return nil, wait
	}
	again := func(d time.Duration) {
		if wait < 0 || d < wait {
			wait = max(d, 0)
		}
	}
	raised := map[int]bool{}
	raise := func(signal int) {
		if !raised[signal] {
			raised[signal] = true
			due = append(due, signal)
		}
	}
	kept := t.sources[:0]
	for _, e := range t.sources {
		switch e.Kind {
		case Timer, RBTimer:
			if !now.Before(e.next) {
				raise(e.Signal)
				e.fired++
				e.next = e.next.Add(e.every())
				if !e.next.After(now) { // ticks were missed
					e.next = now.Add(e.every())
				}
			}
			if e.Times > 0 && e.fired >= e.Times {
				continue
			}
			again(e.next.Sub(now))
		case Cron:
			switch {
			case !e.clock.Due(now):
			case e.Unique && t.shared:
				t.contests = append(t.contests, Contest{e.name(), now.Unix() / 60, e.Signal})
			default:
				raise(e.Signal)
			}
			again(UntilNext(now))
		case Monitor:
			if is, ok := seen[e.Path]; ok {
				if e.known && is != e.seen {
					raise(e.Signal)
				}
				e.seen, e.known = is, true
			}
			again(lookAtFiles)
		}
		kept = append(kept, e)
	}
	clear(t.sources[len(kept):])
	t.sources = kept
	return due, wait
}
