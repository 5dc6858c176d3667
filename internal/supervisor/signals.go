package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/schedule"
	"uwsgi/internal/stats"
	"uwsgi/internal/wire"
)

const (
	signalPatience = time.Second           // what a signal waits for an idle worker before it goes to a busy one
	signalAgain    = 50 * time.Millisecond // how often one that waits is looked at
	mostRaised     = 1 << 10               // of one signal that wait
	longestFailure = 200                   // bytes of how a handler ended
)

// signals are uWSGI's signals of one generation.
type signals struct {
	table   schedule.Table
	common  map[int]bool              // registered before the fork: every worker knows them
	knowing map[int]map[*process]bool // by a worker itself
	waiting map[int]*waiting
	last    map[int]*stats.Signal
	seen    map[string]string // what monitored files are like
	looking bool
	said    map[string]bool // warnings are told once
}

// waiting is a signal that is due and has no worker yet.
type waiting struct {
	count int
	since time.Time
}

// delivery is a signal that a process was sent.
type delivery struct {
	sent, running int // sent: not begun
	began         time.Time
	limit         *timer
}

// note is what the messages of a loader or worker hold.
type note struct {
	Signal  int     `json:"signal"`
	Target  string  `json:"target"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error"`
}

// told hears what the application registers, raises and has handled.
func (s *Supervisor) told(e loader.Told) {
	g, p := s.generationOf(e.Loader), s.procs[e.Worker]
	if e.Worker != nil {
		if p == nil {
			return
		}
		g = p.gen
	}
	if g == nil {
		return
	}
	if g.signals == nil {
		g.signals = &signals{common: map[int]bool{}, knowing: map[int]map[*process]bool{}, waiting: map[int]*waiting{},
			last: map[int]*stats.Signal{}, said: map[string]bool{}}
	}
	var n note
	err := json.Unmarshal([]byte(e.Message), &n)
	if err == nil {
		err = s.heed(g, p, e.Op, n, e.Message)
	}
	if err != nil {
		s.warnOnce(g, fmt.Sprintf("uwsgi signals: %v", err))
	}
	if g == s.gen {
		s.tickSignals()
	}
}

func (s *Supervisor) heed(g *generation, p *process, op string, n note, message string) error {
	sig := g.signals
	switch op {
	case wire.OpRegister:
		if err := sig.table.Register(n.Signal, n.Target); err != nil {
			return err
		}
		if p == nil {
			sig.common[n.Signal] = true
			return nil
		}
		if sig.knowing[n.Signal] == nil {
			sig.knowing[n.Signal] = map[*process]bool{}
		}
		sig.knowing[n.Signal][p] = true
	case wire.OpSchedule:
		var source schedule.Source
		if err := json.Unmarshal([]byte(message), &source); err != nil {
			return err
		}
		return sig.table.Add(source, time.Now())
	case wire.OpRaise:
		s.raise(g, n.Signal, false)
	case wire.OpBegan:
		s.handlerBegan(p, n.Signal)
	case wire.OpHandled:
		s.handled(p, n)
	}
	return nil
}

func (s *Supervisor) warnOnce(g *generation, text string) {
	if !g.signals.said[text] && len(g.signals.said) < mostRaised {
		g.signals.said[text] = true
		s.log(slog.LevelWarn, "signal.warning", text, slog.Int(KeyGeneration, g.n))
	}
}

// startSignals goes over to the schedule of the generation that is in force now.
func (s *Supervisor) startSignals() {
	if s.gen.signals != nil {
		s.gen.signals.table.Start(time.Now())
	}
	s.tickSignals()
}

// tickSignals raises what is due, delivers what waits, and comes back for the next.
func (s *Supervisor) tickSignals() {
	s.timers.drop(s.signalling)
	s.signalling = nil
	g := s.gen
	if g == nil || g.signals == nil || s.phase >= Stopping {
		return
	}
	s.lookAtFiles(g)
	due, wait := g.signals.table.Due(time.Now(), g.signals.seen)
	for _, n := range due {
		s.raise(g, n, true)
	}
	for _, n := range slices.Sorted(maps.Keys(g.signals.waiting)) {
		s.deliver(g, n)
	}
	if len(g.signals.waiting) > 0 && (wait < 0 || wait > signalAgain) {
		wait = signalAgain
	}
	if wait >= 0 {
		s.signalling = s.timers.after(max(wait, time.Millisecond), s.tickSignals)
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
			seen[path] = ""
			if st, err := os.Stat(path); err == nil {
				seen[path] = fmt.Sprint(st.ModTime().UnixNano(), st.Size(), st.Mode(), st.Sys())
			}
		}
		return func() { sig.looking, sig.seen = false, seen }
	})
}

// raise makes a signal due. A tick of the schedule is left out while the handler is due or runs.
func (s *Supervisor) raise(g *generation, n int, tick bool) {
	sig := g.signals
	if _, ok := sig.table.Target(n); !ok {
		s.warnOnce(g, fmt.Sprintf("uwsgi signals: nobody has registered signal %d", n))
		return
	}
	w := sig.waiting[n]
	if tick && (w != nil || s.underway(g, n)) {
		sig.of(n).Coalesced++
		return
	}
	if w == nil {
		w = &waiting{since: time.Now()}
		sig.waiting[n] = w
	}
	if w.count == mostRaised {
		s.warnOnce(g, fmt.Sprintf("uwsgi signals: signal %d is raised faster than it is handled, some are lost", n))
		return
	}
	w.count++
}

// underway reports whether some process of the generation has the signal in hand.
func (s *Supervisor) underway(g *generation, n int) bool {
	for _, p := range s.procs {
		if p.gen == g && p.signals[n] != nil {
			return true
		}
	}
	return false
}

// deliver sends a signal that waits to those that it is for, once they are there.
func (s *Supervisor) deliver(g *generation, n int) {
	sig := g.signals
	w := sig.waiting[n]
	target, _ := sig.table.Target(n)
	if s.phase == Sleeping {
		s.log(slog.LevelInfo, "signal.wake", fmt.Sprintf("signal %d is due, starting the workers", n))
		s.stopWatching()
		s.enter(Running)
		s.startWorkers()
		return
	}
	one, slot, err := parseTarget(target)
	if err != nil || slot > len(g.slots) {
		s.warnOnce(g, fmt.Sprintf("uwsgi signals: signal %d is for %q, which is nobody here", n, target))
		delete(sig.waiting, n)
		return
	}
	if slot > 0 && !g.slots[slot-1].active {
		g.slots[slot-1].active, g.slots[slot-1].why = true, whyWake
	}
	var takers []*process
	for _, sl := range g.slots {
		if (slot == 0 || sl.n == slot) && sl.serves() && sig.knows(sl.cur, n) {
			takers = append(takers, sl.cur)
		}
	}
	if len(takers) == 0 {
		return
	}
	for ; w.count > 0; w.count-- {
		to := takers
		if one {
			p := s.leastBusy(takers)
			if busy, _ := s.saturation(p); (busy || len(p.signals) > 0) && slot == 0 &&
				time.Since(w.since) < signalPatience {
				return
			}
			to = []*process{p}
		}
		for _, p := range to {
			p.delivery(n).sent++
			s.obeyed(p, p.w.Raise(n))
		}
	}
	delete(sig.waiting, n)
}

// leastBusy is who has the least in hand; the first of equals.
func (s *Supervisor) leastBusy(list []*process) *process {
	load := func(p *process) int {
		n, _ := p.inFlight()
		for _, d := range p.signals {
			n += d.sent + d.running
		}
		return n
	}
	return slices.MinFunc(list, func(a, b *process) int { return load(a) - load(b) })
}

// parseTarget reads a target: one process or all of them, of a slot or (0) of any.
func parseTarget(target string) (one bool, slot int, err error) {
	switch target {
	case "", "worker", "worker0":
		return true, 0, nil
	case "workers", "active-workers":
		return false, 0, nil
	}
	number, ok := strings.CutPrefix(target, "worker")
	if !ok {
		return false, 0, fmt.Errorf("no worker: %q", target)
	}
	slot, err = strconv.Atoi(number)
	if err == nil && slot < 1 {
		err = strconv.ErrRange
	}
	return true, slot, err
}

func (sig *signals) knows(p *process, n int) bool { return sig.common[n] || sig.knowing[n][p] }

// of is what is remembered of a signal.
func (sig *signals) of(n int) *stats.Signal {
	if sig.last[n] == nil {
		sig.last[n] = &stats.Signal{}
	}
	return sig.last[n]
}

func (p *process) delivery(n int) *delivery {
	if p.signals == nil {
		p.signals = map[int]*delivery{}
	}
	if p.signals[n] == nil {
		p.signals[n] = &delivery{}
	}
	return p.signals[n]
}

// handlerBegan holds the handler to harakiri, one of a cron to cron-harakiri where that is set.
func (s *Supervisor) handlerBegan(p *process, n int) {
	if p == nil || p.signals[n] == nil || p.signals[n].sent == 0 {
		return
	}
	d := p.signals[n]
	d.sent--
	d.running++
	d.began = time.Now()
	last := p.gen.signals.of(n)
	last.LastRun, last.Ended = d.began.Unix(), "running"
	set := p.gen.cfg.Settings
	limit := set.Harakiri
	if set.CronHarakiri > 0 && slices.ContainsFunc(p.gen.signals.table.Sources(n),
		func(source schedule.Source) bool { return source.Kind == schedule.Cron }) {
		limit = set.CronHarakiri
	}
	if limit > 0 && d.limit == nil {
		d.limit = s.timers.after(limit, func() { s.handlerLate(p, n) })
	}
}

// handlerLate ends a worker whose handler is past its deadline: the stacks are logged, then it
// answers in the place of its requests and is killed.
func (s *Supervisor) handlerLate(p *process, n int) {
	if p.state != serving && p.state != draining {
		return
	}
	s.logProcess(slog.LevelError, "harakiri.signal", fmt.Sprintf("*** HARAKIRI ON WORKER %d (pid: %d): the handler of "+
		"signal %d runs for %d seconds ***", p.slot.n, p.pid, n, int(time.Since(p.signals[n].began).Seconds())), p)
	s.doom(p)
	p.death = s.timers.after(dumpTime, func() { s.giveUp(p, whyHarakiri) })
}

// handled notes how a handler ended.
func (s *Supervisor) handled(p *process, n note) {
	if p == nil || p.signals[n.Signal] == nil || p.signals[n.Signal].running == 0 {
		return
	}
	s.settleRun(p, n.Signal, n.Error)
}

// settleRun ends one run.
func (s *Supervisor) settleRun(p *process, n int, failure string) {
	d, last := p.signals[n], p.gen.signals.of(n)
	d.running--
	last.Runs++
	last.Took, last.Ended = time.Since(d.began).Microseconds(), "ok"
	if failure != "" {
		last.Failures++
		last.Ended = failure[:min(len(failure), longestFailure)]
	}
	if d.running == 0 {
		s.timers.drop(d.limit)
		d.limit = nil
	}
	if d.running == 0 && d.sent == 0 {
		delete(p.signals, n)
	}
}

// signalsLost sees to what a process that is gone had in hand: what it had not begun goes to
// another one, what it ran is not run again.
func (s *Supervisor) signalsLost(p *process) {
	sig := p.gen.signals
	if sig == nil {
		return
	}
	for _, who := range sig.knowing {
		delete(who, p)
	}
	for n, d := range p.signals {
		for d.running > 0 {
			s.settleRun(p, n, "its worker ended")
		}
		if target, _ := sig.table.Target(n); d.sent > 0 && p.gen == s.gen && s.phase < Stopping {
			if one, _, err := parseTarget(target); err == nil && one {
				for range d.sent {
					s.raise(p.gen, n, false)
				}
			}
		}
		s.timers.drop(d.limit)
	}
	p.signals = nil
	if p.gen == s.gen {
		s.tickSignals()
	}
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
