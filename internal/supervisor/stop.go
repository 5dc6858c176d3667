package supervisor

import (
	"context"
	"fmt"
	"log/slog"
)

// stopping is what a stop under way remembers.
type stopping struct {
	hooked bool
	hooks  bool // they run
}

// stop ends the instance; the second call cuts the first one short.
func (s *Supervisor) stop(reason string, graceful bool) {
	if s.phase >= Stopping {
		if s.phase == Stopping {
			s.log(slog.LevelWarn, "stop.short", fmt.Sprintf("stop again (%s): killing what is left", reason), slog.String(KeyReason, reason))
			s.interrupt()
			s.destroyAll()
		}
		return
	}
	event, text := "stop.start", "SIGINT/SIGTERM received...killing workers..."
	if graceful {
		event, text = "stop.graceful", "graceful shutdown triggered..."
	}
	s.log(slog.LevelInfo, event, text, slog.String(KeyReason, reason))
	s.tell(s.notify.Stopping("stopping: " + reason))
	s.enter(Stopping)
	s.interrupt()
	s.awake()
	s.recycle.clear()
	s.abandon(&s.turn)
	s.abandon(&s.queued)
	if !graceful {
		s.destroyAll()
		return
	}
	for _, p := range s.procs {
		if p.state == draining { // for the sake of a reload: whom would it hand its connections to now
			s.obeyed(p, p.w.Stop(whyStop))
		}
	}
	for _, g := range s.gens {
		s.retire(g, whyStop, false)
	}
}

// abandon drops a turnover for the sake of a stop.
func (s *Supervisor) abandon(which **turnover) {
	t := *which
	if t == nil {
		return
	}
	*which = nil
	s.agenda.drop(t.limit)
	err := ErrStopping
	if t.stage == parting {
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
	if s.over || s.stopping.hooks || len(s.procs) > 0 {
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
		s.log(slog.LevelInfo, "stop.done", "goodbye to uWSGI.")
		if run := s.cfg.Hooks; run != nil {
			s.stopping.hooks = true
			s.background(func(ctx context.Context) func() {
				err := run(ctx, "as-user-atexit")
				return func() {
					s.stopping.hooks = false
					s.hookFailed("as-user-atexit", err)
				}
			})
			return
		}
	}
	s.enter(Stopped)
	s.over = true
}
