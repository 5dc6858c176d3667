package supervisor

import (
	"log/slog"
	"time"
)

const (
	tickInterval   = time.Second
	statusInterval = 5 * time.Second
	extendInterval = 5 * time.Second
	extendBy       = 15 * time.Second
	extendAtMost   = 15 * time.Minute // an import that hangs is the service manager's to end, after that
)

// tick does what is sampled.
func (s *Supervisor) tick() {
	s.agenda.after(tickInterval, s.tick)
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
	if time.Since(s.stated) >= statusInterval {
		s.state()
	}
}

// state tells the service manager what is going on, where that has changed.
func (s *Supervisor) state() {
	s.stated = time.Now()
	if text := s.statusText(); text != s.status && (s.phase == Running || s.phase == Sleeping || s.phase == Closing) {
		s.status = text
		s.tell(s.notify.Status(text))
	}
}

// watchdog pings from the loop itself: a loop that is stuck stops pinging.
func (s *Supervisor) watchdog() {
	if s.dog <= 0 {
		return
	}
	s.agenda.after(s.dog, s.watchdog)
	if s.phase != Starting {
		s.tell(s.notify.Watchdog())
	}
}

// extend asks the service manager for patience while an import, a shutdown-delay or a drain is
// under way; all are bounded by us.
func (s *Supervisor) extend() {
	s.agenda.after(extendInterval, s.extend)
	switch {
	case s.phase == Starting && time.Since(s.startedAt) < extendAtMost,
		s.phase == Reloading && s.turn != nil && s.turn.kind == reload && time.Since(s.turn.began) < extendAtMost,
		s.phase == Closing, s.phase == Stopping:
		s.tell(s.notify.ExtendTimeout(extendBy))
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
