package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"uwsgi/internal/option"
)

// stopping is what a stop under way remembers.
type stopping struct {
	delay  *timer    // the end of shutdown-delay
	at     time.Time // and when that is
	hooked bool
	hooks  bool // they run
	// lastWord logs why the start has failed, in place of the words of an ordinary stop: people
	// look for the reason at the end of the log. nil = this is one.
	lastWord func()
}

// close serves on for shutdown-delay before a stop. False: it is not asked for, under way already,
// or nothing serves.
func (s *Supervisor) close(reason string) bool {
	d := s.cfg.Settings.ShutdownDelay
	if d <= 0 || s.phase == Starting || s.phase >= Closing || s.gen == nil {
		return false
	}
	asleep := s.phase == Sleeping
	coming := s.rollout
	s.enter(Closing)
	s.abandon(&s.rollout)
	s.abandon(&s.queued)
	if coming != nil && coming.gen != nil {
		s.retire(coming.gen, whyStop, true)
	}
	if asleep {
		s.stopWatching()
		s.startWorkers()
	}
	for _, p := range s.procs {
		if p.state == serving {
			s.obeyed(p, p.w.Part())
		}
	}
	s.stopping.at = time.Now().Add(d)
	s.stopping.delay = s.timers.after(d, func() { s.stop(reason, true) })
	s.log(slog.LevelInfo, "stop.delayed", fmt.Sprintf("stopping in %d seconds (shutdown-delay): serving on until "+
		"then; stop again to end the wait", int(d.Seconds())),
		slog.String(KeyReason, reason))
	s.manager.status = s.statusText()
	s.tell(s.manager.Stopping(s.manager.status))
	return true
}

// stop ends the instance; the second call cuts the first one short.
func (s *Supervisor) stop(reason string, graceful bool) {
	if s.phase >= Stopping {
		if s.phase == Stopping {
			s.log(slog.LevelWarn, "stop.short", fmt.Sprintf("stop again (%s): killing what is left", reason),
				slog.String(KeyReason, reason))
			s.interrupt()
			s.destroyAll()
		}
		return
	}
	event, text := "stop.start", "SIGINT/SIGTERM received...killing workers..."
	if graceful {
		event, text = "stop.graceful", "graceful shutdown triggered..."
	}
	if s.stopping.lastWord == nil {
		s.log(slog.LevelInfo, event, text, slog.String(KeyReason, reason))
	}
	s.tell(s.manager.Stopping("stopping: " + reason))
	s.enter(Stopping)
	s.timers.drop(s.stopping.delay)
	s.interrupt()
	s.stopWatching()
	s.recycle.clear()
	s.abandon(&s.rollout)
	s.abandon(&s.queued)
	if !graceful {
		s.destroyAll()
		return
	}
	if limit := s.cfg.StopWithin; limit > 0 {
		s.timers.after(limit, func() { s.late(limit) })
	}
	for _, p := range s.procs {
		if p.state == draining { // for the sake of a reload: whom would it hand its connections to now
			s.obeyed(p, p.w.Stop(whyStop))
		}
	}
	for _, g := range s.gens {
		s.retire(g, whyStop, false)
	}
	s.dismissAttendants()
}

// late kills what a stop still waits for.
func (s *Supervisor) late(limit time.Duration) {
	if len(s.procs)+len(s.attendants.procs) == 0 {
		return
	}
	s.log(slog.LevelWarn, "stop.late", fmt.Sprintf("the stop takes longer than %s (graceful-timeout): "+
		"killing what is left", limit))
	s.interrupt()
	s.destroyAll()
}

// abandon drops a rollout for the sake of a stop.
func (s *Supervisor) abandon(which **rollout) {
	t := *which
	if t == nil {
		return
	}
	*which = nil
	s.timers.drop(t.limit)
	err := ErrStopping
	if t.stage == handingOver {
		err = nil
	}
	for _, w := range t.waiters {
		answer(w, err)
	}
	if t.cfg != nil {
		s.release(t.cfg)
	}
}

func (s *Supervisor) destroyAll() {
	for _, g := range s.gens {
		s.destroy(g, whyStop)
	}
}

// interrupt cancels the background work of now.
func (s *Supervisor) interrupt() {
	s.cancel()
	s.ctx, s.cancel = context.WithCancel(s.root)
}

// finishStop ends the loop once all processes have ended and the last hooks have run.
func (s *Supervisor) finishStop() {
	if s.over || s.stopping.hooks || len(s.procs)+len(s.attendants.procs) > 0 {
		return
	}
	for _, g := range s.gens {
		if g.state != dead {
			return
		}
	}
	if !s.stopping.hooked {
		s.stopping.hooked = true
		s.reportLost()
		if s.stopping.lastWord == nil {
			s.log(slog.LevelInfo, "stop.done", "goodbye to uWSGI.")
		}
		if run := s.cfg.Hooks; run != nil {
			s.stopping.hooks = true
			s.background(func(ctx context.Context) func() {
				err := run(ctx, option.PhaseUserAtExit)
				return func() {
					s.stopping.hooks = false
					s.hookFailed(option.PhaseUserAtExit, err)
				}
			})
			return
		}
	}
	if s.stopping.lastWord != nil {
		s.stopping.lastWord()
	}
	s.enter(Stopped)
	s.over = true
}
