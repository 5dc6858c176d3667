package supervisor

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"uwsgi/internal/loader"
)

// forkPatience is how long a loader may take to fork. It does nothing else: what keeps it longer is
// a thread that the application left in it.
const forkPatience = 30 * time.Second

// retryFork is how long a slot waits when a fork could not even be asked for.
const retryFork = time.Second

// fill forks what a generation lacks.
func (s *Supervisor) fill(g *generation) {
	if g.state != loaded {
		return
	}
	now := time.Now()
	for _, sl := range g.slots {
		if !sl.active || now.Before(sl.notBefore) || sl.yields(s) { // a timer is set for the time
			continue
		}
		switch {
		case sl.cur == nil && sl.next != nil:
			sl.cur, sl.next, sl.replace = sl.next, nil, ""
		case sl.cur == nil:
			sl.replace = ""
			sl.cur = s.fork(sl, sl.why)
		case sl.replace != "" && sl.next == nil && sl.cur.state == serving:
			sl.next = s.fork(sl, whyRecycle)
		}
	}
}

// fork asks the loader for a process; nil if it could not, the slot waits then.
func (s *Supervisor) fork(sl *slot, why string) *process {
	g := sl.gen
	again := g.lazy && (sl.cur != nil || s.rollout != nil && s.rollout.gen == g && s.retryExclusive(s.rollout) != nil)
	row, ok := g.rows.take()
	if !ok {
		if !s.starved {
			s.log(slog.LevelWarn, "worker.norow", fmt.Sprintf("worker %d has to wait: too many old workers "+
				"are still draining", sl.n))
		}
		s.starved = true
		s.delay(sl, retryFork)
		return nil
	}
	var stderr *os.File
	w, err := (*loader.Worker)(nil), error(nil)
	if g.cfg.WorkerStderr != nil {
		stderr, err = g.cfg.WorkerStderr(sl.n)
	}
	if err == nil {
		r := g.rows.board.Row(row)
		r.Slot.Store(int32(sl.n))
		r.Base.Store(sl.tally.past.requests)
		w, err = g.ld.Fork(loader.Fork{Slot: sl.n, Row: row, Reason: why, First: !sl.accepted, Again: again,
			Trial: g != s.gen || sl.replace == whyChain || sl.replace == whyRestart}, stderr)
		if stderr != nil {
			stderr.Close()
		}
	}
	if err != nil {
		g.rows.give(row)
		s.log(slog.LevelError, "worker.notforked", fmt.Sprintf("worker %d cannot be forked: %v", sl.n, err),
			slog.Int(KeyWorker, sl.n), slog.Any(KeyError, err))
		s.delay(sl, retryFork)
		return nil
	}
	p := &process{slot: sl, gen: g, w: w, row: row, cause: why, again: again, stuck: map[int]int64{},
		cancelled: map[int]cancelled{}}
	s.procs[w] = p
	p.death = s.timers.after(forkPatience, func() { s.unanswered(p) })
	g.procs++
	sl.why = whyRespawn
	return p
}

// unanswered ends a loader that does not fork: another one takes its place, as if it had died.
func (s *Supervisor) unanswered(p *process) {
	if p.state != forking {
		return
	}
	s.log(slog.LevelError, "loader.stuck", fmt.Sprintf("the loader (pid: %d) has not forked worker %d for %s: a "+
		"thread of the application's keeps it; it is killed",
		p.gen.ld.PID(), p.slot.n, forkPatience), slog.Int(KeyPID, p.gen.ld.PID()), slog.Int(KeyWorker, p.slot.n),
		slog.Int(KeyGeneration, p.gen.n))
	if err := p.gen.ld.Kill(); err != nil {
		s.fault(err)
	}
}

// delay keeps a slot from forking for d.
func (s *Supervisor) delay(sl *slot, d time.Duration) {
	sl.notBefore = time.Now().Add(d)
	s.timers.after(d, func() {}) // reconcile does it
}

// forked takes note of a new process.
func (s *Supervisor) forked(e loader.Forked) {
	p := s.procs[e.Worker]
	if p == nil {
		return
	}
	p.pid = e.Worker.PID()
	p.gen.rows.board.Row(p.row).PID.Store(int32(p.pid))
	if p.state == killed {
		s.signalled(p, p.w.Kill())
		return
	}
	s.move(p, starting)
	s.timers.drop(p.death)
	t := p.slot.tally
	t.spawns++
	t.spawned = time.Now()
	r := p.gen.rows.board.Row(p.row)
	r.Spawned.Store(uint32(t.spawned.Unix()))
	r.Respawns.Store(int32(t.spawns - 1))
	text := fmt.Sprintf("spawned uWSGI worker %d (pid: %d, cores: %d)", p.slot.n, p.pid, p.gen.cfg.cores())
	if p.cause == whyRespawn || p.cause == whyRecycle {
		text = fmt.Sprintf("Respawned uWSGI worker %d (new pid: %d)", p.slot.n, p.pid)
	}
	s.logProcess(slog.LevelInfo, "worker.spawned", text, p, slog.String(KeyReason, p.cause))
}

// notForked takes note of a process that will not be.
func (s *Supervisor) notForked(e loader.ForkFailed) {
	p := s.procs[e.Worker]
	if p == nil {
		return
	}
	wanted := p.state == forking
	attached := s.bury(p)
	if !wanted {
		return
	}
	s.log(slog.LevelError, "worker.notforked", fmt.Sprintf("worker %d cannot be forked: %s", p.slot.n, e.Error),
		slog.Int(KeyWorker, p.slot.n))
	if attached && s.phase < Stopping {
		s.account(p, "could not be forked: "+e.Error)
	}
}

// ready has a process that could serve do so. It takes no connection before it counts as serving.
func (s *Supervisor) ready(e loader.WorkerReady) {
	p := s.procs[e.Worker]
	if p == nil || p.state != starting {
		return
	}
	if s.paused {
		s.obeyed(p, p.w.Pause())
	}
	if s.phase == Closing {
		s.obeyed(p, p.w.Part())
	}
	if p.gen.log != s.requestLog.epoch {
		s.obeyed(p, p.w.ReopenLog(s.requestLog.file))
	}
	if err := p.w.Serve(); err != nil { // it would wait for ever
		s.obeyed(p, err)
		s.kill(p, whyFailed)
		return
	}
	s.move(p, serving)
	p.ready, p.waits = time.Now(), false
	sl := p.slot
	sl.misses, sl.accepted = ordeal{}, true
	s.starved = false
	s.logProcess(slog.LevelDebug, "worker.ready", fmt.Sprintf("worker %d (pid: %d) is ready", sl.n, p.pid), p)
	s.planLifetime(p)
	if sl.next == p {
		s.swap(sl)
	}
	s.recycleEarly(p)
	s.harakiriSoon()
	s.tickSchedule()
}

// incapable takes note of a worker that cannot serve: it has not imported the application, or not
// answered a warmup.
func (s *Supervisor) incapable(e loader.WorkerFailed) {
	p := s.procs[e.Worker]
	if p == nil {
		return
	}
	t, level := s.rollout, slog.LevelError
	ours := t != nil && t.gen == p.gen
	// It is told as the reason of what follows, or another worker's has been.
	if ours || p.again && e.Exclusive || p.gen != s.gen {
		level = slog.LevelDebug
	}
	what := "OOPS ! failed loading app in"
	if e.Code != loader.ExitNoApp {
		what = "OOPS ! cannot run"
	}
	if e.Trace != "" && (ours && !t.refused || p.gen == s.gen) {
		s.logProcess(slog.LevelError, "worker.traceback", e.Trace, p)
	}
	s.logProcess(level, "worker.noapp", fmt.Sprintf("%s worker %d (pid %d): %s", what, p.slot.n, p.pid, e.Error), p)
	p.slot.tally.code, p.failed = e.Code, true
	if old := p.slot.cur; e.Exclusive && p.slot.next == p && old != nil {
		s.logProcess(slog.LevelWarn, "worker.exclusive",
			fmt.Sprintf("the next worker %d needs what this one holds (%s): this one leaves first", p.slot.n, e.Error),
			old)
		p.slot.holder = old
		s.dismiss(p, p.slot.replace, false)
		s.dismiss(old, p.slot.replace, true)
	}
	if ours {
		who := ""
		if e.Code != loader.ExitNoApp { // which one could not import it makes no difference
			who = fmt.Sprintf("worker %d: ", p.slot.n)
		}
		s.refuseOnceRead(t, unloadedBy(who, e.Error, e.Brief), e.Code, e.Exclusive)
	}
}

// move changes the state of a process.
func (s *Supervisor) move(p *process, to state) {
	if err := checkMove(stateMoves, p.state, to); err != nil {
		s.fault(fmt.Errorf("%s: %w", p, err))
	}
	p.state = to
}
