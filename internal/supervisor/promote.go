package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"uwsgi/internal/option"
)

const (
	handOverStep   = 2 * time.Millisecond
	handOverAtMost = time.Second
)

// promote puts the new generation in force and retires the old one.
func (s *Supervisor) promote(t *rollout) {
	old, before := s.gen, s.cfg
	s.gen, s.cfg = t.gen, t.cfg
	s.timers.drop(t.limit)
	s.adoptRows(t.gen.rows)
	s.recycle.clear()
	s.repairs = repairs{}
	s.idle.since = s.host.Monotonic()
	if s.cfg != before {
		s.setRequestLog(nil)
		if s.cfg.Applied != nil {
			s.cfg.Applied()
		}
	}
	switch {
	case old == nil:
	case t.brutal:
		s.log(slog.LevelInfo, "reload.retire", "...brutally killing workers...", slog.Int(KeyGeneration, old.n))
		s.destroy(old, whyReload)
	default:
		s.log(slog.LevelInfo, "reload.retire", "...gracefully killing workers...", slog.Int(KeyGeneration, old.n))
		s.retire(old, whyReload, true)
	}
	s.release(before)
	s.startSignals(old)
	s.startMetrics()
	t.gen, t.old, t.stage, t.handingSince = nil, old, handingOver, time.Now()
	for _, sl := range s.gen.slots {
		s.recycleEarly(sl.cur)
	}
	s.handOver(t)
}

// handOver waits up to a second until the old workers stop accepting, so that a client that
// connects after the reload reaches the new code.
func (s *Supervisor) handOver(t *rollout) {
	for _, p := range s.procs {
		if p.gen == t.old && p.state == draining && p.gen.rows.board.Row(p.row).Accepting.Load() != 0 &&
			time.Since(t.handingSince) < handOverAtMost {
			s.timers.after(handOverStep, func() {}) // advance looks again
			return
		}
	}
	s.conclude(t)
}

// conclude ends a rollout that succeeded.
func (s *Supervisor) conclude(t *rollout) {
	s.rollout = nil
	if s.gen.active() == 0 && len(s.gen.slots) > 0 {
		s.enter(Sleeping)
	} else {
		s.enter(Running)
	}
	if t.kind != firstStart {
		s.reloads++
		s.log(slog.LevelInfo, "master.respawned", fmt.Sprintf("gracefully (RE)spawned uWSGI master process (pid: %d)",
			s.host.PID), slog.Int(KeyGeneration, s.gen.n))
	} else {
		s.started()
	}
	s.settle(t, nil)
}

// started says once that the instance serves.
func (s *Supervisor) started() {
	if s.phase == Sleeping {
		s.log(slog.LevelInfo, "cheap", "cheap mode enabled: waiting for socket connection...")
	}
	s.manager.status = s.statusText()
	s.tell(s.manager.Ready(s.manager.status))
	if s.manager.watchdogEvery > 0 {
		s.tell(s.manager.Watchdog())
	}
	if s.cfg.Settings.Pyrun == "" {
		text := fmt.Sprintf("uWSGI is ready: %d of %d workers", s.gen.active(), len(s.gen.slots))
		s.log(slog.LevelInfo, "ready", strings.Join(append([]string{text}, links(s.cfg.Listeners)...), ", "))
	}
	if run := s.cfg.Hooks; run != nil {
		s.background(func(ctx context.Context) func() {
			err := run(ctx, option.PhaseMaster)
			return func() {
				if err != nil && s.phase < Stopping {
					s.exit(fmt.Errorf("hooks of phase master-start: %w", err), ExitFailed)
				}
			}
		})
	}
}

// settle ends the sentence to systemd, answers who asked, and starts what was asked for meanwhile.
func (s *Supervisor) settle(t *rollout, err error) {
	if t.kind == reload {
		s.reloaded = reloadResult{At: time.Now(), Took: time.Since(t.began), Reason: t.reason, Err: err}
		s.manager.status = s.statusText()
		s.tell(s.manager.Ready(s.manager.status))
	}
	for _, w := range t.waiters {
		answer(w, err)
	}
	if next := s.queued; next != nil && s.phase < Stopping {
		s.queued = nil
		s.begin(next)
	}
}

// answer never waits: a reply channel has room for its one answer.
func answer(reply chan<- error, err error) {
	if reply != nil {
		reply <- err
	}
}
