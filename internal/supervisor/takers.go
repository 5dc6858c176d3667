package supervisor

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/schedule"
)

// taker is a process that handlers of signals run in.
type taker struct {
	gen      *generation
	number   int                    // among its kind
	limit    time.Duration          // for a handler, 0 = none
	ran      *int                   // counts those that have run in its slot, nil = nobody counts
	load     func() int             // what else it has in hand
	order    func(signal int) error // has it run the handler
	recall   func(signal int) error // has it not do so, if it has not begun
	late     func(text string)      // its handler is past its deadline
	occupied func(since time.Time)  // a handler runs since then, zero = none
	hands    map[int]*delivery      // signals that it was sent and has not handled
	// when a signal that it had not begun was taken back from it; zero once it has begun another
	declined time.Time
}

// delivery is a signal that a process was sent.
type delivery struct {
	sent, running int // sent: not begun
	since         time.Time
	recalled      bool // what is not begun was taken back for another process
	began         time.Time
	limit         *timer
}

func (t *taker) hand(signal int) *delivery {
	if t.hands == nil {
		t.hands = map[int]*delivery{}
	}
	if t.hands[signal] == nil {
		t.hands[signal] = &delivery{}
	}
	return t.hands[signal]
}

// tidy forgets a signal that is handled.
func (t *taker) tidy(signal int) {
	if d := t.hands[signal]; d != nil && d.sent == 0 && d.running == 0 {
		delete(t.hands, signal)
	}
}

func (t *taker) unread() (n int) {
	for _, d := range t.hands {
		n += d.sent
	}
	return n
}

func (t *taker) free() bool { return len(t.hands) == 0 && t.load() == 0 }

// workerTaker is a worker as one that takes signals.
func (s *Supervisor) workerTaker(p *process) *taker {
	if p.taker == nil {
		p.taker = &taker{gen: p.gen, number: p.slot.n, limit: p.gen.cfg.Settings.Harakiri,
			ran: &p.slot.tally.signals,
			load: func() int {
				n, _ := p.inFlight()
				if busy, _ := s.saturation(p); !busy { // another one has room in it
					return 0
				}
				return n
			},
			order:  func(n int) error { return p.w.Raise(n) },
			recall: func(n int) error { return p.w.Withdraw(n) },
			late:   func(text string) { s.handlerLate(p, text) },
		}
	}
	return p.taker
}

// attendantTaker is the same of a mule or a process of the spooler. What a mule has in hand of
// messages is in its hand's memory.
func (s *Supervisor) attendantTaker(p *attendant) *taker {
	if p.taker == nil {
		p.taker = &taker{gen: p.gen, number: p.post.n, limit: p.post.kind.harakiri(p.gen.cfg.Settings),
			load: func() int {
				if !p.busy.IsZero() || p.post.kind == &muleKind && s.queues.holds(p.post.n) {
					return 1
				}
				return 0
			},
			order:    func(n int) error { return p.w.Raise(n) },
			recall:   func(n int) error { return p.w.Withdraw(n) },
			late:     func(string) { s.attendantLate(p) },
			occupied: func(since time.Time) { p.busy = since },
		}
	}
	return p.taker
}

// holds reports whether a mule has a message in hand.
func (m *muleQueues) holds(n int) bool {
	var state [4]byte
	if n > len(m.hands) {
		return false
	}
	read, _ := m.hands[n-1].ReadAt(state[:], 0)
	return read == len(state) && binary.NativeEndian.Uint32(state[:]) != 0
}

// farmOf is the farm that a target means, nil = none.
func farmOf(g *generation, target schedule.Target) *option.Farm {
	farms := g.cfg.Settings.Farms
	i := target.Number - 1
	if target.Name != "" {
		i = slices.IndexFunc(farms, func(f option.Farm) bool { return f.Name == target.Name })
	}
	if i < 0 || i >= len(farms) {
		return nil
	}
	return &farms[i]
}

// takers are who can be sent on an errand now.
func (s *Supervisor) takers(g *generation, e errand) (list []*taker) {
	text, _ := g.signals.table.Target(e.signal)
	target, err := schedule.ParseTarget(text)
	if err != nil {
		return nil
	}
	switch target.Kind {
	case schedule.Worker:
		for _, sl := range g.slots {
			if (e.number == 0 || sl.n == e.number) && sl.attends() {
				list = append(list, s.workerTaker(sl.cur))
			}
		}
		for _, at := range s.attendants.posts[&scriptKind] {
			list = s.withAttendant(list, g, at)
		}
	case schedule.Mule, schedule.Farm:
		farm := farmOf(g, target)
		for _, at := range s.attendants.posts[&muleKind] {
			if target.Kind == schedule.Mule && (e.number == 0 || at.n == e.number) ||
				target.Kind == schedule.Farm && farm != nil && slices.Contains(farm.Mules, at.n) {
				list = s.withAttendant(list, g, at)
			}
		}
	case schedule.Spooler:
		for _, at := range s.attendants.posts[&spoolerKind] {
			list = s.withAttendant(list, g, at)
		}
	}
	if _, registered := g.signals.table.Target(e.signal); !registered {
		return list
	}
	return slices.DeleteFunc(list, func(t *taker) bool { return !g.signals.knows(t, e.signal) })
}

func (s *Supervisor) withAttendant(list []*taker, g *generation, at *post) []*taker {
	if p := at.cur; p != nil && p.gen == g && p.state == serving {
		list = append(list, s.attendantTaker(p))
	}
	return list
}

func (sig *signals) knows(t *taker, n int) bool { return sig.common[n] || sig.knowing[n][t] }

// choose picks the taker to send: rather one that is free, then one that has left no signal
// untouched, then the one with the least in hand, then the first.
func choose(list []*taker) *taker {
	return slices.MinFunc(list, func(a, b *taker) int {
		switch free := a.free(); {
		case free != b.free() && free:
			return -1
		case free != b.free():
			return 1
		case !a.declined.Equal(b.declined):
			return a.declined.Compare(b.declined)
		}
		return a.load() + a.unread() - b.load() - b.unread()
	})
}

// deliver sends those that an errand is for on it, as far as they are there. It gives when to look
// again; negative: when something happens.
func (s *Supervisor) deliver(g *generation, e errand) time.Duration {
	sig := g.signals
	w := sig.waiting[e]
	takers := s.takers(g, e)
	for ; w.count > 0; w.count-- {
		if len(takers) == 0 {
			return signalPatience
		}
		t := choose(takers)
		if len(takers) > 1 && !t.free() && time.Since(w.since) < signalPatience {
			return signalAgain
		}
		if t.unread() >= mostUnread { // it begins with one, and there is room
			return signalPatience
		}
		d := t.hand(e.signal)
		if d.sent == 0 {
			d.since = time.Now()
		}
		d.sent++
		if e.number == 0 {
			sig.unread[e.signal]++
		}
		if err := t.order(e.signal); err != nil { // its end will be told
			s.log(slog.LevelDebug, "signal.undelivered", err.Error(), slog.Any(KeyError, err))
		}
	}
	delete(sig.waiting, e)
	return -1
}

// withdraw takes back signals that were sent to whichever process was free and that it has not
// begun, where another one is free now. It gives when to look again; negative: there is nothing to
// look for.
func (s *Supervisor) withdraw(g *generation) time.Duration {
	again := time.Duration(-1)
	for n := range g.signals.unread {
		takers := s.takers(g, errand{n, 0})
		if len(takers) < 2 {
			continue
		}
		again = signalPatience
		for _, t := range takers {
			d := t.hands[n]
			if d == nil || d.sent == 0 || d.recalled || time.Since(d.since) < signalPatience ||
				!slices.ContainsFunc(takers, func(other *taker) bool { return other != t && other.free() }) {
				continue
			}
			d.recalled = true
			if err := t.recall(n); err != nil {
				s.log(slog.LevelDebug, "signal.undelivered", err.Error(), slog.Any(KeyError, err))
			}
		}
	}
	return again
}

// withdrawn sends another process on what one had not begun.
func (s *Supervisor) withdrawn(t *taker, signal int) {
	if t == nil || t.hands[signal] == nil || t.hands[signal].sent == 0 {
		return
	}
	d := t.hands[signal]
	d.sent--
	d.recalled, d.since = false, time.Now()
	t.declined = time.Now()
	s.read(t, signal)
	t.tidy(signal)
	s.again(t.gen, s.errandOf(t, signal), 1)
}

// read counts one signal less that lies with somebody.
func (s *Supervisor) read(t *taker, signal int) {
	unread := t.gen.signals.unread
	if unread[signal]--; unread[signal] <= 0 {
		delete(unread, signal)
	}
}

// errandOf is what a process was sent on with a signal.
func (s *Supervisor) errandOf(t *taker, signal int) errand {
	text, _ := t.gen.signals.table.Target(signal)
	if target, err := schedule.ParseTarget(text); err == nil && (target.Each || target.Number > 0 &&
		target.Kind != schedule.Farm) {
		return errand{signal, t.number}
	}
	return errand{signal, 0}
}

// handlerBegan holds the handler to its deadline, one of a cron to cron-harakiri where that is set.
func (s *Supervisor) handlerBegan(t *taker, n int) {
	if t == nil || t.hands[n] == nil || t.hands[n].sent == 0 {
		return
	}
	d := t.hands[n]
	d.sent--
	d.running++
	d.began, d.since, d.recalled = time.Now(), time.Now(), false
	t.declined = time.Time{}
	s.read(t, n)
	last := t.gen.signals.of(n)
	last.LastRun, last.Ended = d.began.Unix(), "running"
	limit := t.limit
	if set := t.gen.cfg.Settings; set.CronHarakiri > 0 && slices.ContainsFunc(t.gen.signals.table.Sources(n),
		func(source schedule.Source) bool { return source.Kind == schedule.Cron }) {
		limit = set.CronHarakiri
	}
	if t.occupied != nil {
		t.occupied(d.began)
	}
	if limit > 0 && d.limit == nil {
		d.limit = s.timers.after(limit, func() {
			t.late(fmt.Sprintf("the handler of signal %d runs for %d seconds", n, int(time.Since(d.began).Seconds())))
		})
	}
}

// handlerLate ends a worker whose handler is past its deadline: the stacks are logged, then it
// answers in the place of its requests and is killed.
func (s *Supervisor) handlerLate(p *process, text string) {
	if p.state != serving && p.state != draining {
		return
	}
	s.logProcess(slog.LevelError, "harakiri.signal", fmt.Sprintf("*** HARAKIRI ON WORKER %d (pid: %d): %s ***",
		p.slot.n, p.pid, text), p)
	s.doom(p)
	p.death = s.timers.after(dumpTime, func() { s.giveUp(p, whyHarakiri) })
}

// handled notes how a handler ended.
func (s *Supervisor) handled(t *taker, n note) {
	if t == nil || t.hands[n.Signal] == nil || t.hands[n.Signal].running == 0 {
		return
	}
	s.settleRun(t, n.Signal, n.Error)
	t.tidy(n.Signal)
}

// settleRun ends one run.
func (s *Supervisor) settleRun(t *taker, n int, failure string) {
	d, last := t.hands[n], t.gen.signals.of(n)
	d.running--
	last.Runs++
	if t.ran != nil {
		*t.ran++
	}
	last.Took, last.Ended = time.Since(d.began).Microseconds(), "ok"
	if failure != "" {
		last.Failures++
		last.Ended = failure[:min(len(failure), longestFailure)]
	}
	if d.running == 0 {
		s.timers.drop(d.limit)
		d.limit = nil
		if t.occupied != nil {
			t.occupied(time.Time{})
		}
	}
}

// signalsLost deals with what a process that is gone had in hand: what it had not begun goes to
// another one, what it ran is not run again.
func (s *Supervisor) signalsLost(t *taker) {
	if t == nil {
		return
	}
	for _, who := range t.gen.signals.knowing {
		delete(who, t)
	}
	for n, d := range t.hands {
		for d.running > 0 {
			s.settleRun(t, n, "its process ended")
		}
		if d.sent > 0 && s.phase < Stopping {
			s.again(t.gen, s.errandOf(t, n), d.sent)
		}
		for ; d.sent > 0; d.sent-- {
			s.read(t, n)
		}
		s.timers.drop(d.limit)
	}
	t.hands = nil
	s.tickSchedule()
}
