package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/option"
)

// rolloutKind is what a rollout is for.
type rolloutKind int

const (
	firstStart rolloutKind = iota
	reload
	repair // the loader in force has died
)

// stage is how far a rollout has come.
type stage int

const (
	reading      stage = iota // the configuration
	stoppingOld               // the old generation has to be gone first
	runningHooks              // pre-app
	importing
	filling     // workers are coming up
	handingOver // the new generation is in force, the old one stops accepting
)

// startTries is how often a worker of a new generation may end before it can serve.
const startTries = 3

// rollout is the coming up of a generation.
type rollout struct {
	kind         rolloutKind
	stage        stage
	reason       string
	began        time.Time
	waiters      []chan<- error
	cfg          *Config     // nil while it is read
	gen          *generation // nil before the loader is started
	old          *generation // stoppingOld: what has to be gone; handingOver: what stops accepting
	handingSince time.Time   // since when
	stopFirst    bool        // the old generation ends before the new one begins
	brutal       bool        // the old workers are killed, not drained
	refused      bool        // its application cannot be had; only what it printed is still to come
	asleep       bool        // came from Sleeping
	limit        *timer
}

// reloadResult is how the last reload went.
type reloadResult struct {
	At     time.Time // when it was over; zero = there was none
	Took   time.Duration
	Reason string
	Err    error
}

// reload answers a request for one.
func (s *Supervisor) reload(reason string, brutal bool, reply chan<- error) {
	switch {
	case s.phase >= Closing:
		answer(reply, ErrStopping)
	case s.rollout != nil:
		if s.queued == nil {
			s.queued = &rollout{kind: reload, reason: reason}
			if s.rollout.kind != firstStart { // nothing serves that could serve on
				s.boundImport(s.rollout)
			}
		}
		s.queued.brutal = s.queued.brutal || brutal
		s.queued.waiters = append(s.queued.waiters, reply)
		s.log(slog.LevelInfo, "reload.queued", "another start or reload is under way; this reload follows it",
			slog.String(KeyReason, reason))
	default:
		s.begin(&rollout{kind: reload, reason: reason, brutal: brutal, waiters: []chan<- error{reply}})
	}
}

// boundImport gives a rollout that hangs in its import, while another one waits behind it, no more
// than the mercy.
func (s *Supervisor) boundImport(t *rollout) {
	d := max(time.Until(t.began.Add(s.cfg.mercy())), 0)
	t.limit = s.timers.after(d, func() {
		if s.rollout == t && t.stage < handingOver {
			s.failRollout(t, fmt.Errorf("the new generation took longer than %s and another reload was asked for",
				s.cfg.mercy()), ExitFailed)
		}
	})
}

// begin starts a rollout.
func (s *Supervisor) begin(t *rollout) {
	t.began = time.Now()
	t.asleep = s.phase == Sleeping
	s.rollout = t
	if t.kind == firstStart {
		s.prepare(t)
		return
	}
	if t.kind == repair {
		s.enter(Reloading)
		t.cfg = s.cfg
		s.prepare(t)
		return
	}
	if s.cfg.Settings.ExitOnReload {
		s.log(slog.LevelInfo, "reload.exit", "uWSGI: GAME OVER (insert coin)", slog.String(KeyReason, t.reason))
		s.stop("exit-on-reload", true)
		return
	}
	s.enter(Reloading)
	s.tell(s.manager.Reloading("reloading: " + t.reason))
	s.log(slog.LevelInfo, "reload.start", fmt.Sprintf("reloading uWSGI (%s): starting generation %d, the old one "+
		"serves until it is ready",
		t.reason, s.lastGen+1), slog.String(KeyReason, t.reason))
	hooks, read := s.cfg.Hooks, s.reconfigure
	if hooks == nil && read == nil {
		t.cfg = s.cfg
		s.prepare(t)
		return
	}
	s.background(func(ctx context.Context) func() {
		var hookErr error
		if hooks != nil {
			hookErr = hooks(ctx, option.PhaseUserAtExit) // as uWSGI, which ends there
		}
		cfg, err := s.readConfig(ctx)
		if err == nil && cfg == nil {
			err = errors.New("there is none")
		}
		if err == nil {
			err = cfg.check()
		}
		return func() {
			s.hookFailed(option.PhaseUserAtExit, hookErr)
			s.configured(t, cfg, err)
		}
	})
}

// readConfig reads the configuration; without a way to do so it is the same.
func (s *Supervisor) readConfig(ctx context.Context) (*Config, error) {
	if s.reconfigure == nil {
		return s.cfg, nil // nobody changes it while this rollout is under way
	}
	return s.reconfigure(ctx)
}

// hookFailed logs the failure of a hook that nothing depends on.
func (s *Supervisor) hookFailed(phase string, err error) {
	if err != nil {
		s.log(slog.LevelError, "hook.failed", fmt.Sprintf("hooks of phase %s: %v", phase, err))
	}
}

// configured takes the configuration that a reload has read.
func (s *Supervisor) configured(t *rollout, cfg *Config, err error) {
	if cfg != nil {
		s.held[cfg] = true
	}
	switch {
	case s.rollout != t:
		s.release(cfg)
	case err != nil:
		s.release(cfg)
		s.failRollout(t, fmt.Errorf("configuration: %w", err), ExitFailed)
	default:
		t.cfg = cfg
		s.prepare(t)
	}
}

// prepare starts the generation, or first stops the old one where that was asked for.
func (s *Supervisor) prepare(t *rollout) {
	if t.kind != firstStart && t.cfg.Settings.ReloadStopFirst {
		s.stopOld(t)
		return
	}
	s.start(t)
}

// stopOld stops the generation in force; the sockets stay open and clients wait. advance goes on
// when it is gone.
func (s *Supervisor) stopOld(t *rollout) {
	t.stage, t.stopFirst = stoppingOld, true
	if t.brutal && s.gen != nil {
		s.destroy(s.gen, whyReload)
	}
	s.log(slog.LevelInfo, "reload.stopfirst", "...gracefully killing workers... (reload-stop-first: the new "+
		"generation starts when they are gone)")
	if t.old = s.gen; t.old != nil {
		s.retire(t.old, whyReload, true)
		s.gen = nil
		s.recycle.clear()
	}
}

// start runs the hooks and starts the loader.
func (s *Supervisor) start(t *rollout) {
	t.stage = runningHooks
	s.hook(t, option.PhasePreApp, func() {
		t.stage = importing
		active, why := t.cfg.atFirst(), whyReload
		switch {
		case t.kind == firstStart && t.cfg.Settings.Cheap, t.asleep:
			active = 0
		case t.kind == firstStart:
			why = whyStart
		case t.cfg.Settings.Cheaper > 0 && s.gen != nil && s.gen.active() > 0:
			active = clamp(s.gen.active(), t.cfg.Settings.Cheaper, t.cfg.Settings.Processes)
		}
		g, err := s.launch(t.cfg, active, why, s.retryExclusive(t) != nil)
		if err != nil {
			s.failRollout(t, err, ExitFailed)
			return
		}
		t.gen = g
		s.watchImport(t)
	})
}

// hook runs the hooks of a phase beside the loop and then goes on with the rollout, if it still is
// the one under way.
func (s *Supervisor) hook(t *rollout, phase string, then func()) {
	run := t.cfg.Hooks
	if run == nil {
		then()
		return
	}
	s.background(func(ctx context.Context) func() {
		err := run(ctx, phase)
		return func() {
			switch {
			case s.rollout != t:
			case err != nil:
				s.failRollout(t, fmt.Errorf("hooks of phase %s: %w", phase, err), ExitFailed)
			default:
				then()
			}
		}
	})
}

// advance goes on with the rollout where it waited for processes.
func (s *Supervisor) advance() {
	t := s.rollout
	switch {
	case t == nil, t.refused:
	case t.stage == stoppingOld && t.old == nil:
		s.start(t)
	case t.stage == filling:
		s.fill(t.gen)
		if t.gen.complete() {
			s.promote(t)
		}
	case t.stage == handingOver:
		s.handOver(t)
	}
}

// imported takes note of a loader that has the application.
func (s *Supervisor) imported(e loader.Loaded) {
	t := s.rollout
	if t == nil || t.gen == nil || t.gen.ld != e.Loader || t.gen.state != loading {
		return
	}
	g := t.gen
	g.apps, g.ready = e.Apps, time.Now()
	fork := func() {
		s.moveLoader(g, loaded)
		t.stage = filling
		if t.kind == firstStart {
			s.log(slog.LevelInfo, "master.spawned", fmt.Sprintf("spawned uWSGI master process (pid: %d)", s.host.PID))
		}
	}
	if t.cfg.Settings.NoServer {
		s.postApp(t, func() {
			s.moveLoader(g, loaded)
			s.log(slog.LevelInfo, "noserver", "no-server mode requested. Goodbye.")
			s.stop("no-server", true)
		})
		return
	}
	if g.lazy && g.active() > 0 {
		if t.cfg.masterless() && g.active() > 1 {
			s.log(slog.LevelInfo, "masterless", fmt.Sprintf("each of the %d workers imports the application, for "+
				"there is no master: with it they share one import and its memory", g.active()))
		}
		fork()
		return
	}
	s.postApp(t, fork)
}

// postApp does what comes once the application is imported, and then goes on.
func (s *Supervisor) postApp(t *rollout, then func()) {
	t.gen.hooked = true
	s.hook(t, option.PhasePostApp, func() {
		then()
		if t.kind == firstStart && t.cfg.Loaded != nil && s.phase < Stopping {
			t.cfg.Loaded()
		}
	})
}

// workerImported takes note of a worker that has imported the application itself.
func (s *Supervisor) workerImported(e loader.WorkerLoaded) {
	p := s.procs[e.Worker]
	if p == nil {
		return
	}
	if len(p.gen.apps) == 0 {
		p.gen.apps = e.Apps
	}
	if t := s.rollout; t != nil && t.gen == p.gen && !t.gen.hooked {
		s.postApp(t, func() {})
	}
}
