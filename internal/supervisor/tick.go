package supervisor

import (
	"log/slog"
	"time"
)

const (
	tickInterval   = time.Second
	calmInterval   = 8 * time.Second // at most, while nothing happens
	statusInterval = 5 * time.Second
	extendInterval = 5 * time.Second
	extendBy       = 15 * time.Second
	extendAtMost   = 15 * time.Minute // an import that hangs is the service manager's to end, after that
)

// manager is the service manager, and what it was told.
type manager struct {
	Notifier
	watchdogEvery time.Duration // 0 = it watches nothing
	status        string
	statusAt      time.Time
	patience      *timer // when it is asked for some; nil: the instance is up
}

// tick does what is sampled, each second; where nothing has happened since the last one the next
// one takes twice as long to come.
func (s *Supervisor) tick() {
	s.reapOrphans()
	s.sampleMemory()
	s.sampleLoads()
	s.sampleOOM()
	s.reportLost()
	s.checkIdle()
	s.checkQueues()
	if s.scaling.at.Before(time.Now()) {
		s.checkCheaper()
	}
	if time.Since(s.manager.statusAt) >= statusInterval {
		s.notifyStatus()
	}
	if s.pace = min(max(2*s.pace, tickInterval), calmInterval); s.stirs() {
		s.pace = tickInterval
	}
	s.timers.after(s.pace, s.tick)
}

// stirs reports whether anything has happened since it was last called, goes on, or is to be looked
// for each second.
func (s *Supervisor) stirs() bool {
	stirs := s.phase != Running && s.phase != Sleeping || s.rollout != nil || len(s.orphans) > 0 || s.waiting
	n := int64(0)
	for _, p := range s.procs {
		set, board := p.gen.cfg.Settings, p.gen.rows.board
		n += board.Row(p.row).Requests.Load()
		stirs = stirs || p.state != serving || p.looped() || set.Cheaper > 0 || set.Idle > 0 ||
			limitsMemory(set) || board.Busy(p.row) > 0
	}
	stirs = stirs || n != s.requests
	s.requests = n
	return stirs
}

// notifyStatus tells the service manager what is going on, where that has changed.
func (s *Supervisor) notifyStatus() {
	s.manager.statusAt = time.Now()
	if text := s.statusText(); text != s.manager.status &&
		(s.phase == Running || s.phase == Sleeping || s.phase == Closing) {
		s.manager.status = text
		s.tell(s.manager.Status(text))
	}
}

// watchdog pings from the loop itself: a loop that is stuck stops pinging.
func (s *Supervisor) watchdog() {
	if s.manager.watchdogEvery <= 0 {
		return
	}
	s.timers.after(s.manager.watchdogEvery, s.watchdog)
	if s.phase != Starting {
		s.tell(s.manager.Watchdog())
	}
}

// extendLater has the service manager asked for patience in time, unless the instance is up. It is
// called with each change of phase.
func (s *Supervisor) extendLater() {
	s.timers.drop(s.manager.patience)
	s.manager.patience = nil
	switch s.phase {
	case Starting, Reloading, Closing, Stopping:
		s.manager.patience = s.timers.after(extendInterval, s.extend)
	}
}

// extend asks the service manager for patience while an import, a shutdown-delay or a drain is
// under way; all are bounded by us.
func (s *Supervisor) extend() {
	s.extendLater()
	switch {
	case s.phase == Starting && time.Since(s.startedAt) < extendAtMost,
		s.phase == Reloading && s.rollout != nil && s.rollout.kind == reload &&
			time.Since(s.rollout.began) < extendAtMost,
		s.phase == Closing, s.phase == Stopping:
		s.tell(s.manager.ExtendTimeout(extendBy))
	}
}

// tell logs what the service manager could not be told.
func (s *Supervisor) tell(err error) {
	if err != nil {
		s.log(slog.LevelWarn, "notify.failed", err.Error(), slog.Any(KeyError, err))
	}
}

// silence is the Notifier of an instance that nobody manages.
type silence struct{}

func (silence) Ready(string) error                { return nil }
func (silence) Reloading(string) error            { return nil }
func (silence) Stopping(string) error             { return nil }
func (silence) Status(string) error               { return nil }
func (silence) Failed(string, int) error          { return nil }
func (silence) Watchdog() error                   { return nil }
func (silence) ExtendTimeout(time.Duration) error { return nil }
