package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/loader"
	"uwsgi/internal/schedule"
	"uwsgi/internal/stats"
	"uwsgi/internal/wire"
)

const (
	// what a signal waits for a process that is free before it goes to a busy one
	signalPatience = time.Second
	signalAgain    = 50 * time.Millisecond // how often one that waits for that is looked at
	mostSaid       = 1 << 10               // warnings
	mostUnread     = 64                    // signals that one process was sent and has not begun with
	longestFailure = 200                   // bytes of how a handler ended
)

// signals are uWSGI's signals of one generation.
type signals struct {
	table   schedule.Table
	common  map[int]bool            // registered before the fork: every process knows them
	knowing map[int]map[*taker]bool // registered by a process for itself
	early   map[int]int             // raised before the generation was in force
	waiting map[errand]*waiting
	unread  map[int]int // sent to whichever process was free, and not begun
	last    map[int]*stats.Signal
	seen    map[string]string // of monitored files: see look
	looking bool              // which is under way
	said    map[string]bool   // warnings are told once
}

// errand is what a signal has to have done: by one process of its kind, by number, or by any of
// them (0).
type errand struct{ signal, number int }

// waiting is an errand that nobody was sent on yet.
type waiting struct {
	count int
	since time.Time
}

// note is what the messages about signals hold.
type note struct {
	Signal int    `json:"signal"`
	Target string `json:"target"`
	Error  string `json:"error"`
}

// signalsOf makes a generation's signals with the first that it registers.
func signalsOf(g *generation) *signals {
	if g.signals == nil {
		g.signals = &signals{common: map[int]bool{}, knowing: map[int]map[*taker]bool{}, early: map[int]int{},
			waiting: map[errand]*waiting{}, unread: map[int]int{}, last: map[int]*stats.Signal{},
			said: map[string]bool{}}
	}
	return g.signals
}

// told hears what the application registers, raises and has handled.
func (s *Supervisor) told(e loader.Told) {
	var n note
	err := json.Unmarshal([]byte(e.Message), &n)
	g, t := s.teller(e)
	if g == nil {
		return
	}
	signalsOf(g)
	if err == nil {
		err = s.heed(g, t, e.Op, n, e.Message)
	}
	if err != nil {
		s.warnOnce(g, fmt.Sprintf("uwsgi signals: %v", err))
	}
	if g == s.gen {
		s.tickSchedule()
	}
}

// teller is who said something: the generation (nil = it is gone) and the process (nil = its
// loader).
func (s *Supervisor) teller(e loader.Told) (*generation, *taker) {
	if e.Worker == nil {
		return s.generationOf(e.Loader), nil
	}
	if p := s.procs[e.Worker]; p != nil {
		return p.gen, s.workerTaker(p)
	}
	if p := s.attendants.procs[e.Worker]; p != nil {
		return p.gen, s.attendantTaker(p)
	}
	return nil, nil
}

func (s *Supervisor) heed(g *generation, t *taker, op string, n note, message string) error {
	sig := g.signals
	switch op {
	case wire.OpRegister:
		if err := sig.table.Register(n.Signal, n.Target); err != nil {
			return err
		}
		if t == nil {
			sig.common[n.Signal] = true
			return nil
		}
		if sig.knowing[n.Signal] == nil {
			sig.knowing[n.Signal] = map[*taker]bool{}
		}
		sig.knowing[n.Signal][t] = true
	case wire.OpSchedule:
		var source schedule.Source
		if err := json.Unmarshal([]byte(message), &source); err != nil {
			return err
		}
		return sig.table.Add(source, time.Now())
	case wire.OpRaise:
		s.raise(g, n.Signal, false)
	case wire.OpBegan:
		s.handlerBegan(t, n.Signal)
	case wire.OpHandled:
		s.handled(t, n)
	case wire.OpWithdrawn:
		s.withdrawn(t, n.Signal)
	case wire.OpWaits:
		s.waitsForSignal(t)
	}
	return nil
}

// waitsForSignal lets a worker take signals though it is not ready yet.
func (s *Supervisor) waitsForSignal(t *taker) {
	for _, p := range s.procs {
		if p.taker != t || p.state != starting {
			continue
		}
		p.waits = true
		if p.slot.next == p {
			s.swap(p.slot)
		}
	}
}

func (s *Supervisor) warnOnce(g *generation, text string) {
	if said := signalsOf(g).said; !said[text] && len(said) < mostSaid {
		said[text] = true
		s.log(slog.LevelWarn, "signal.warning", text, slog.Int(KeyGeneration, g.n))
	}
}

// startSignals switches to the schedule of the generation that is in force now. What was raised and
// not begun goes to its handlers.
func (s *Supervisor) startSignals(old *generation) {
	s.addSources(s.gen)
	if old != nil && old.signals != nil && s.gen.signals != nil {
		s.gen.signals.table.Inherit(&old.signals.table)
	}
	if sig := s.gen.signals; sig != nil {
		sig.table.Start(time.Now())
		for n, count := range sig.early {
			for range count {
				s.raise(s.gen, n, false)
			}
		}
		clear(sig.early)
	}
	if old != nil && old.signals != nil {
		for e, w := range old.signals.waiting {
			s.again(old, e, w.count)
		}
		clear(old.signals.waiting)
	}
	s.tickSchedule()
}

// addSources adds what the configuration has raise signals.
func (s *Supervisor) addSources(g *generation) {
	set := g.cfg.Settings
	var sources []schedule.Source
	for _, t := range set.SignalTimers {
		sources = append(sources, schedule.Source{Kind: schedule.Timer, Signal: t.Signal, Seconds: float64(t.Seconds)})
	}
	for _, f := range set.SignalFiles {
		path := f.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(g.cfg.Dir, path)
		}
		sources = append(sources, schedule.Source{Kind: schedule.Monitor, Signal: f.Signal, Path: path})
	}
	for _, source := range sources {
		if err := signalsOf(g).table.Add(source, time.Now()); err != nil {
			s.warnOnce(g, fmt.Sprintf("uwsgi signals: %v", err))
		}
	}
}

// tickSchedule starts the timed commands and raises the application's signals that are due, and
// sets a timer for the next.
func (s *Supervisor) tickSchedule() {
	s.timers.drop(s.scheduled)
	s.scheduled = nil
	if s.phase >= Stopping {
		return
	}
	wait := time.Duration(-1)
	if s.commands != nil {
		wait = s.commands(time.Now())
	}
	if g := s.gen; g != nil && g.signals != nil {
		wait = sooner(wait, s.tickSignals(g))
	}
	if wait >= 0 {
		s.scheduled = s.timers.after(max(wait, time.Millisecond), s.tickSchedule)
	}
}

// sooner is the shorter of two times to wait; negative: for ever.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// tickSignals raises what is due and delivers what waits: how long until there is more.
func (s *Supervisor) tickSignals(g *generation) time.Duration {
	s.lookAtFiles(g)
	if g.cfg.Lease != nil {
		g.signals.table.Share()
	}
	due, wait := g.signals.table.Due(time.Now(), g.signals.seen)
	for _, n := range due {
		s.raise(g, n, true)
	}
	s.contend(g)
	for _, e := range slices.SortedFunc(maps.Keys(g.signals.waiting), func(a, b errand) int {
		return cmp.Or(a.signal-b.signal, a.number-b.number)
	}) {
		wait = sooner(wait, s.deliver(g, e))
	}
	return sooner(wait, s.withdraw(g))
}

// contend asks, beside the loop, whether this instance runs a unique cron that is due.
func (s *Supervisor) contend(g *generation) {
	lease := g.cfg.Lease
	if lease == nil {
		return
	}
	for _, name := range g.signals.table.Names() {
		lease.Holds(name) // from now on it is tried for
	}
	for _, c := range g.signals.table.Contests() {
		s.background(func(ctx context.Context) func() {
			mine := schedule.Contend(ctx.Done(), lease, c.Name, c.Minute)
			return func() {
				if now := s.gen; mine && now != nil && now.signals != nil {
					s.raise(now, c.Signal, true)
				}
			}
		})
	}
}

// lookAtFiles looks at what is monitored, beside the loop: a file system may be slow.
func (s *Supervisor) lookAtFiles(g *generation) {
	sig := g.signals
	paths := sig.table.Paths()
	if len(paths) == 0 || sig.looking {
		return
	}
	sig.looking = true
	s.background(func(context.Context) func() {
		seen := map[string]string{}
		for _, path := range paths {
			seen[path] = look(path)
		}
		return func() { sig.looking, sig.seen = false, seen }
	})
}

// look describes a file or folder so that the description changes with it, and not when it is read.
func look(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ""
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim)
}

// raise makes a signal due. A tick of the schedule is left out where its handler is due or runs.
func (s *Supervisor) raise(g *generation, n int, tick bool) {
	sig := g.signals
	if g != s.gen {
		sig.early[n]++
		return
	}
	errands, err := s.errands(g, n)
	if err != nil {
		s.warnOnce(g, fmt.Sprintf("uwsgi signals: %v", err))
		return
	}
	for _, e := range errands {
		if tick && s.underway(g, e) {
			sig.of(n).Coalesced++
			continue
		}
		sig.wait(e, 1, time.Now())
	}
}

func (sig *signals) wait(e errand, count int, since time.Time) {
	if sig.waiting[e] == nil {
		sig.waiting[e] = &waiting{since: since}
	}
	sig.waiting[e].count += count
}

// again has an errand done by another process. One of a generation that is no longer in force goes
// to the one that is, if that knows the signal.
func (s *Supervisor) again(g *generation, e errand, count int) {
	if g != s.gen {
		if s.gen == nil || s.gen.signals == nil {
			return
		}
		if _, ok := s.gen.signals.table.Target(e.signal); !ok {
			return
		}
		errands, err := s.errands(s.gen, e.signal)
		if err != nil {
			return
		}
		if !slices.Contains(errands, e) { // the new code has it go elsewhere
			for _, e := range errands {
				s.gen.signals.wait(e, count, time.Now())
			}
			return
		}
	}
	s.gen.signals.wait(e, count, time.Now())
}

// underway reports whether an errand waits or is in somebody's hand.
func (s *Supervisor) underway(g *generation, e errand) bool {
	return g.signals.waiting[e] != nil || slices.ContainsFunc(s.takers(g, e), func(t *taker) bool {
		return t.hands[e.signal] != nil
	})
}

// errands are what has to be done for a signal. One that nobody has registered goes to a worker, as
// under uWSGI: some worker may be waiting for it.
func (s *Supervisor) errands(g *generation, n int) ([]errand, error) {
	text, _ := g.signals.table.Target(n)
	target, err := schedule.ParseTarget(text)
	if err != nil {
		return nil, fmt.Errorf("signal %d: %w", n, err)
	}
	nobody := fmt.Errorf("signal %d is for %q, which is nobody here", n, text)
	set := g.cfg.Settings
	switch target.Kind {
	case schedule.Worker:
		if set.Pyrun != "" {
			return scriptErrands(n, target.Number, nobody)
		}
		s.wakeFor(n)
		if target.Number > len(g.slots) {
			return nil, nobody
		}
		if target.Number > 0 && !g.slots[target.Number-1].active {
			g.slots[target.Number-1].active, g.slots[target.Number-1].why = true, whyWake
		}
		if target.Each {
			var each []errand
			for _, sl := range g.slots {
				if sl.active {
					each = append(each, errand{n, sl.n})
				}
			}
			return each, nil
		}
	case schedule.Mule:
		if target.Number > len(set.Mules) || len(set.Mules) == 0 {
			return nil, nobody
		}
		if target.Each {
			var each []errand
			for i := range set.Mules {
				each = append(each, errand{n, i + 1})
			}
			return each, nil
		}
	case schedule.Farm:
		if farmOf(g, target) == nil {
			return nil, nobody
		}
		return []errand{{n, 0}}, nil
	case schedule.Spooler:
		if len(set.Spoolers) == 0 {
			return nil, nobody
		}
	case schedule.Nobody:
		return nil, nil
	}
	return []errand{{n, target.Number}}, nil
}

// wakeFor starts the workers of an instance that is asleep.
func (s *Supervisor) wakeFor(signal int) {
	if s.phase == Sleeping {
		s.log(slog.LevelInfo, "signal.wake", fmt.Sprintf("signal %d is due, starting the workers", signal))
		s.stopWatching()
		s.enter(Running)
		s.startWorkers()
	}
}

// of is what is remembered of a signal.
func (sig *signals) of(n int) *stats.Signal {
	if sig.last[n] == nil {
		sig.last[n] = &stats.Signal{}
	}
	return sig.last[n]
}

// queued is how many wait for somebody.
func (sig *signals) queued() (n int) {
	if sig != nil {
		for _, w := range sig.waiting {
			n += w.count
		}
	}
	return n
}

// stats describes what is registered.
func (sig *signals) stats() (list []stats.Signal) {
	if sig == nil {
		return nil
	}
	for _, n := range sig.table.Signals() {
		one := *sig.of(n)
		one.Signal = n
		one.Target, _ = sig.table.Target(n)
		for _, source := range sig.table.Sources(n) {
			text := source.Kind
			switch source.Kind {
			case schedule.Timer, schedule.RBTimer:
				text += fmt.Sprintf(" %vs", source.Seconds)
			case schedule.Cron:
				text += fmt.Sprintf(" %d %d %d %d %d", source.When.Minute, source.When.Hour, source.When.Day,
					source.When.Month, source.When.Week)
			case schedule.Monitor:
				text += " " + source.Path
			}
			one.Sources = append(one.Sources, text)
		}
		list = append(list, one)
	}
	return list
}
