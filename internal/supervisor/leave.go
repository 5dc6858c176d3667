package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"uwsgi/internal/loader"
)

// dismiss takes a process out of its slot and makes it leave.
func (s *Supervisor) dismiss(p *process, why string, handoff bool) {
	p.detach()
	switch p.state {
	case serving:
		s.drain(p, why, handoff)
	case forking, starting:
		s.kill(p, why)
	}
}

// detach takes a process out of its slot and reports whether it was in it.
func (p *process) detach() bool {
	sl := p.slot
	switch p {
	case sl.cur:
		sl.cur = nil
	case sl.next:
		sl.next = nil
	default:
		return false
	}
	return true
}

// drain tells a process to finish what it does, within the mercy.
func (s *Supervisor) drain(p *process, why string, handoff bool) {
	s.move(p, draining)
	p.why, p.left = why, time.Now()
	switch why {
	case whyStop, whyReload, whyRestart, whyChain:
		s.logProcess(slog.LevelInfo, "worker.leaving", fmt.Sprintf("Gracefully killing worker %d (pid: %d)...",
			p.slot.n, p.pid), p, slog.String(KeyReason, why))
	}
	p.death = s.timers.after(p.gen.cfg.mercy(), func() {
		s.logProcess(slog.LevelWarn, "worker.nomercy",
			fmt.Sprintf("worker %d (pid: %d) is taking too much time to die...NO MERCY !!!", p.slot.n, p.pid),
			p, slog.String(KeyReason, why))
		s.giveUp(p, why)
	})
	if s.phase == Stopping {
		s.obeyed(p, p.w.Stop(why))
		return
	}
	s.obeyed(p, p.w.Drain(why, handoff))
}

// kill ends a process at once; one that is only asked for dies when it comes.
func (s *Supervisor) kill(p *process, why string) {
	if p.state >= killed {
		return
	}
	s.move(p, killed)
	if p.left.IsZero() {
		p.why, p.left = why, time.Now()
	}
	s.timers.drop(p.death)
	if p.pid != 0 {
		s.signalled(p, p.w.Kill())
	}
}

// obeyed handles an order that could not be delivered: the worker does not read its orders, or has
// ended, which will be told.
func (s *Supervisor) obeyed(p *process, err error) {
	if err != nil {
		s.logProcess(slog.LevelDebug, "worker.deaf", err.Error(), p, slog.Any(KeyError, err))
	}
}

// signalled handles a signal that could not be sent.
func (s *Supervisor) signalled(p *process, err error) {
	if err != nil {
		s.logProcess(slog.LevelError, "worker.unsignalled", err.Error(), p, slog.Any(KeyError, err))
	}
}

// gone takes note of the end of a process.
func (s *Supervisor) gone(e loader.WorkerGone) {
	p := s.procs[e.Worker]
	if p == nil {
		return
	}
	was := p.state
	requests := s.inHand(p)
	t := s.rollout
	noApp := t != nil && t.gen == p.gen && p.ready.IsZero() && !p.failed &&
		e.Exit.Code() == ExitNoApp // it could not say so
	p.failed = p.failed || noApp
	attached := s.bury(p)
	s.signalsLost(p.taker)
	s.logGone(p, was, e.Exit, requests)
	s.look() // the kernel may have told it of a connection
	switch {
	case !attached || s.phase >= Stopping:
	case noApp:
		s.refuseOnceRead(t, fmt.Errorf("worker %d %s", p.slot.n, ending(e.Exit)), ExitNoApp, false)
	default:
		s.account(p, ending(e.Exit))
	}
}

// bury forgets a process and reports whether its slot still counted on it.
func (s *Supervisor) bury(p *process) bool {
	delete(s.procs, p.w)
	p.gen.procs--
	s.move(p, gone)
	s.timers.drop(p.death)
	s.timers.drop(p.life)
	s.fold(p)
	return p.detach()
}

func (s *Supervisor) logGone(p *process, was state, exit loader.Exit, requests []string) {
	attrs := []slog.Attr{slog.String(KeyReason, p.why)}
	if sig := exit.Signal(); sig != 0 {
		attrs = append(attrs, slog.Int(KeySignal, int(sig)))
	} else {
		attrs = append(attrs, slog.Int(KeyExit, exit.Code()))
	}
	n := p.slot.n
	p.gen.cfg.crashAlarm(fmt.Sprintf("worker %d", n), p.pid, exit)
	if exit.Signal() == syscall.SIGSEGV {
		s.logProcess(slog.LevelError, "worker.segfault", fmt.Sprintf("!!! uWSGI process %d got Segmentation Fault !!!",
			p.pid), p, attrs...)
	}
	// Whether it is known how a worker ended depends on its loader, which may be starved or dead:
	// one that was told to leave has left.
	left := exit.Left() || !exit.Known
	switch {
	case p.failed, was == serving && exit.Code() == loader.ExitGraceful:
		// it has said so itself, the second when somebody sent it SIGHUP
		s.logProcess(slog.LevelDebug, "worker.left", fmt.Sprintf("worker %d (pid: %d) left", n, p.pid), p, attrs...)
	case (was == draining || was == condemned) && left, was == killed && p.why != whyEvil && p.why != whyHarakiri:
		text := fmt.Sprintf("worker %d buried after %d seconds", n, int(time.Since(p.left).Seconds()))
		if p.why != whyStop && p.why != whyReload {
			text = fmt.Sprintf("worker %d killed successfully (pid: %d)", n, p.pid)
		}
		s.logProcess(slog.LevelInfo, "worker.buried", text, p, attrs...)
	case exit.Signal() != 0:
		text, more := "", []slog.Attr(nil)
		if was < killed { // else it was us
			text, more = s.killer(exit, requests)
		}
		s.logProcess(slog.LevelError, "worker.died",
			fmt.Sprintf("DAMN ! worker %d (pid: %d) died, killed by signal %d :( trying respawn ...%s",
				n, p.pid, int(exit.Signal()), text), p, append(attrs, more...)...)
	default:
		s.logProcess(slog.LevelError, "worker.died",
			fmt.Sprintf("DAMN ! worker %d (pid: %d) died :( trying respawn ...", n, p.pid), p, attrs...)
	}
}

// account decides when a slot that has lost its process gets the next one, and whether a rollout
// can still succeed.
func (s *Supervisor) account(p *process, how string) {
	sl := p.slot
	served := time.Duration(0)
	if p.ready.IsZero() {
		sl.misses.failed()
	} else {
		served = time.Since(p.ready)
	}
	if t := s.rollout; t != nil && t.gen == p.gen && t.refused {
		return
	}
	if t := s.rollout; t != nil && t.gen == p.gen && sl.misses.tries >= startTries {
		s.failRollout(t, fmt.Errorf("worker %d ended %d times before it could serve (the last one %s)", sl.n,
			sl.misses.tries, how), ExitFailed)
		return
	}
	if p.gen == s.gen && p.gen.cfg.Settings.DieOnNoWorkers && p.gen.abandoned() {
		s.exit(errors.New("die-on-no-workers: none is left"), ExitFailed)
		return
	}
	d := sl.retry.next(p.gen.cfg.Settings.ForkbombDelay, served)
	if p.gen == s.gen && sl.misses.tries > 0 {
		d = max(d, sl.misses.pause(s.endurance))
	}
	if d > 0 {
		s.log(slog.LevelWarn, "worker.toofast", fmt.Sprintf("worker respawning too fast !!! i have to sleep a bit "+
			"(%d seconds)...", int((d+time.Second-1)/time.Second)),
			slog.Int(KeyWorker, sl.n), slog.Duration("delay", d))
		s.delay(sl, d)
	}
}

// fold keeps what a process has counted and frees its row.
func (s *Supervisor) fold(p *process) {
	r := p.gen.rows
	c := r.read(p.row)
	past := &p.slot.tally.past
	past.add(c)
	if s.rows != nil {
		if r == s.rows {
			p.folded = 0
		}
		s.rows.board.Retired().Add(c.requests - p.folded)
	}
	r.give(p.row)
	for _, q := range s.procs {
		if q.slot.n == p.slot.n {
			q.gen.rows.board.Row(q.row).Base.Store(past.requests)
		}
	}
}

// adoptRows makes a board the one in force; what was counted on the one before goes over.
func (s *Supervisor) adoptRows(r *rows) {
	if r == s.rows {
		return
	}
	before := s.rows
	s.rows = r
	if before == nil {
		return
	}
	r.board.Retired().Store(before.board.TotalRequests())
	for _, p := range s.procs {
		if p.gen.rows != r {
			p.folded = p.gen.rows.read(p.row).requests
		}
	}
	if before.gens == 0 {
		before.close()
	}
}
