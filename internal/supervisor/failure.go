package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"uwsgi/internal/loader"
)

const (
	repairBase = 2 * time.Second // where forkbomb-delay is off
	printTime  = 60 * time.Millisecond
)

// repairs are the tries to replace a loader that has died.
type repairs struct {
	retry  backoff
	misses ordeal // new loaders in a row that could not take its place
	at     time.Time
}

// refuseOnceRead is refuse once the log has what the application printed when it could not be
// loaded: the reason comes before its consequence.
func (s *Supervisor) refuseOnceRead(t *rollout, err error, code int, exclusive bool) {
	if t.refused {
		return
	}
	if !t.gen.piped {
		s.refuse(t, err, code, exclusive)
		return
	}
	t.refused = true
	s.timers.after(printTime, func() {
		if s.rollout == t {
			t.refused = false
			s.refuse(t, err, code, exclusive)
		}
	})
}

// refuse ends a rollout whose application cannot be had. Where that is because the old generation
// holds something exclusive, the old one is stopped and the new one tried once more.
func (s *Supervisor) refuse(t *rollout, err error, code int, exclusive bool) {
	if retry := s.retryExclusive(t); exclusive && retry != nil {
		retry(err)
		return
	}
	if code <= 0 {
		code = ExitNoApp
	}
	s.failRollout(t, err, code)
}

// retryExclusive is the other way to load an application that failed on something that only one
// process can have, nil where there is none.
func (s *Supervisor) retryExclusive(t *rollout) func(error) {
	switch {
	case t.kind != firstStart && !t.stopFirst && s.gen != nil:
		return func(err error) {
			s.log(slog.LevelWarn, "reload.exclusive",
				fmt.Sprintf("the new generation needs what the old one holds (%v): stopping the old one first. "+
					"Set reload-stop-first to do so at once", err), slog.Int(KeyGeneration, t.gen.n),
				slog.Any(KeyError, err))
			s.destroy(t.gen, whyFailed)
			t.gen = nil
			s.stopOld(t)
		}
	case t.cfg.masterless() && t.cfg.Settings.Processes > 1 && !s.once:
		return func(err error) {
			s.log(slog.LevelWarn, "start.exclusive",
				fmt.Sprintf("one worker needs what another one holds (%v): the application is imported "+
					"once, for all of them. "+
					"Set master to do so at once", err), slog.Int(KeyGeneration, t.gen.n), slog.Any(KeyError, err))
			s.once = true
			s.destroy(t.gen, whyFailed)
			t.stage, t.old, t.gen = stoppingOld, t.gen, nil // what it holds is free when it is gone
		}
	}
	return nil
}

// failRollout abandons a failed rollout; the generation in force keeps serving. Workers of the new
// one may have taken requests already: they finish them.
func (s *Supervisor) failRollout(t *rollout, err error, code int) {
	s.rollout = nil
	s.timers.drop(t.limit)
	if t.gen != nil {
		s.retire(t.gen, whyFailed, true)
	}
	if t.cfg != nil {
		s.release(t.cfg)
	}
	if t.kind == firstStart || s.gen == nil {
		s.exit(err, code)
		for _, w := range t.waiters {
			answer(w, err)
		}
		return
	}
	s.log(slog.LevelError, "reload.failed", fmt.Sprintf("reload failed: %v; the old generation serves on", err),
		slog.String(KeyReason, t.reason), slog.Any(KeyError, err))
	if t.asleep && s.gen.active() == 0 {
		s.enter(Sleeping)
	} else {
		s.enter(Running)
	}
	if t.kind == repair {
		s.repairs.misses.failed()
		s.repairLater(0)
		if s.repairs.misses.hopeless(s.endurance) && s.gen.serving() == 0 {
			s.exit(fmt.Errorf("no loader could be started for %s, %d tries, and no worker is left: %w",
				s.endurance.limit, s.repairs.misses.tries, err), code)
		}
	}
	s.settle(t, err)
}

// repairLater plans the next try to replace a dead loader.
func (s *Supervisor) repairLater(served time.Duration) {
	base := s.cfg.Settings.ForkbombDelay
	if base <= 0 {
		base = repairBase
	}
	d := s.repairs.retry.next(base, served)
	if s.repairs.misses.tries > 0 {
		d = max(d, s.repairs.misses.pause(s.endurance))
	}
	s.repairs.at = time.Now().Add(d)
	s.timers.after(d, func() {}) // reconcile does it
}

// replaceLoader replaces a loader that has died by a new generation.
func (s *Supervisor) replaceLoader() {
	if s.gen.state == dead && s.rollout == nil && !time.Now().Before(s.repairs.at) &&
		(s.phase == Running || s.phase == Sleeping) {
		s.begin(&rollout{kind: repair, reason: "the loader died"})
	}
}

// exitIfHopeless ends the instance when nothing serves and, for all that was tried, nothing will.
func (s *Supervisor) exitIfHopeless() {
	if s.phase != Running || s.gen == nil || s.gen.state != loaded || s.gen.active() == 0 {
		return
	}
	code := ExitFailed
	for _, sl := range s.gen.slots {
		if !sl.active {
			continue
		}
		if sl.serves() || !sl.misses.hopeless(s.endurance) {
			return
		}
		if sl.tally.code > 0 {
			code = sl.tally.code
		}
	}
	s.exit(fmt.Errorf("no worker could be brought to serve for %s", s.endurance.limit), code)
}

// exit ends the instance by itself.
func (s *Supervisor) exit(err error, code int) {
	event := "exit"
	if s.phase == Starting {
		event = "start.failed"
	}
	text := err.Error()
	if told, ok := err.(unloaded); ok {
		text = told.brief
	}
	say := func() {
		s.log(slog.LevelError, event, fmt.Sprintf("%s; exiting with status %d", text, code), slog.Any(KeyError, err),
			slog.Int(KeyExit, code))
	}
	s.tell(s.manager.Failed(err.Error(), 0))
	s.code = code
	if s.phase == Starting {
		s.stopping.lastWord = say
	} else {
		say()
	}
	if s.phase < Stopping {
		s.stop(err.Error(), true)
	}
}

// unloaded is why an application could not be loaded. brief is what is left to say of it where the
// log has the traceback already.
type unloaded struct{ why, brief string }

func (e unloaded) Error() string { return e.why }

// unloadedBy gives what a loader or a worker says of it, who being in front.
func unloadedBy(who, why, brief string) error {
	if brief == "" {
		brief = why
	}
	return unloaded{why: who + why, brief: who + brief}
}

// unloadable takes note of a loader without an application.
func (s *Supervisor) unloadable(e loader.Failed) {
	t := s.rollout
	if t == nil || t.gen == nil || t.gen.ld != e.Loader {
		return
	}
	s.refuseOnceRead(t, unloadedBy("", e.Error, e.Brief), e.Code, e.Exclusive)
}

// loaderGone takes note of the end of a loader.
func (s *Supervisor) loaderGone(e loader.LoaderGone) {
	g := s.generationOf(e.Loader)
	if g == nil {
		return
	}
	was := g.state
	s.moveLoader(g, dead)
	s.timers.drop(g.death)
	g.cfg.crashAlarm("loader", e.Loader.PID(), e.Exit)
	if was == quitting || s.phase >= Stopping {
		return
	}
	how := fmt.Sprintf("the loader (pid: %d) %s", e.Loader.PID(), ending(e.Exit))
	if s.outOfMemory(e.Exit) {
		how += " (out of memory)"
	}
	if t := s.rollout; t != nil && t.gen == g {
		if t.refused {
			return
		}
		s.failRollout(t, errors.New(how+" before the new generation could serve"), max(e.Exit.Code(), ExitFailed))
		return
	}
	if g == s.gen {
		s.log(slog.LevelError, "loader.died", how+"; its workers serve on, a new generation will replace them",
			slog.Int(KeyPID, e.Loader.PID()), slog.Int(KeyGeneration, g.n))
		s.repairLater(time.Since(g.ready))
	}
}

func (s *Supervisor) generationOf(l *loader.Loader) *generation {
	for _, g := range s.gens {
		if g.ld == l {
			return g
		}
	}
	return nil
}

// ending says how a process ended.
func ending(e loader.Exit) string {
	switch {
	case e.Signal() != 0:
		return fmt.Sprintf("was killed by signal %d", int(e.Signal()))
	case e.Known:
		return fmt.Sprintf("exited with status %d", e.Code())
	}
	return "ended"
}
