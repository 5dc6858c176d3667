package supervisor

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	reasonException = "reload-on-exception" // the worker's own
	// a lifetime is stretched by up to a tenth, so that equals do not end together
	jitterShare = 10
	jitterMost  = 30 * time.Second
)

// recycler replaces workers one slot at a time: the replacement first, then the old one drains.
type recycler struct {
	queue []recycling
	now   *slot // whose replacement is coming up
	chain bool  // a chain reload is under way: its lines are logged
}

// recycling is one worker's turn.
type recycling struct {
	p      *process
	reason string
}

func (r *recycler) clear() { *r = recycler{} }

// recycleProcess queues a process for replacement, once it is old enough. A worker asks once, and
// under load it may have served its max-requests before we have heard that it is ready, or before
// the rest of its generation is: ready and promote come back to that.
func (s *Supervisor) recycleProcess(p *process, reason string) {
	switch {
	case p.wanted && reason == reasonException && p.state == serving: // it need not come of age any more
	case p.wanted || p.state > serving:
		return
	case p.state < serving || p.gen != s.gen:
		p.early = reason
		return
	}
	p.wanted = true
	young := time.Until(p.ready.Add(p.gen.cfg.Settings.MinWorkerLifetime))
	if reason == reasonException {
		young = 0
	}
	s.timers.drop(p.life)
	if young > 0 {
		p.life = s.timers.after(young, func() { s.recycle.queue = append(s.recycle.queue, recycling{p, reason}) })
		return
	}
	s.recycle.queue = append(s.recycle.queue, recycling{p, reason})
}

// recycleEarly comes back to what a process asked for too early.
func (s *Supervisor) recycleEarly(p *process) {
	if p != nil && p.early != "" {
		s.recycleProcess(p, p.early)
	}
}

// recycleNext begins the next recycling when none is under way.
func (s *Supervisor) recycleNext() {
	r := &s.recycle
	if s.rollout != nil {
		return // everything will be new
	}
	if r.now != nil {
		if r.now.active && r.now.replace != "" {
			return
		}
		r.now = nil
	}
	for r.now == nil && len(r.queue) > 0 {
		next := r.queue[0]
		r.queue = r.queue[1:]
		sl := next.p.slot
		if sl.cur != next.p || next.p.state != serving || !sl.active || sl.replace != "" {
			continue
		}
		sl.replace = next.reason
		r.now = sl
		if next.reason == whyChain {
			s.log(slog.LevelInfo, "chain.next", fmt.Sprintf("chain next victim is worker %d", sl.n),
				slog.Int(KeyWorker, sl.n))
		}
	}
	if r.chain && r.now == nil {
		r.chain = false
		s.log(slog.LevelInfo, "chain.done", "chain reloading complete")
	}
}

// swap lets a replacement that is ready take over.
func (s *Supervisor) swap(sl *slot) {
	old, reason := sl.cur, sl.replace
	sl.cur, sl.next, sl.replace = sl.next, nil, ""
	if old == nil {
		return
	}
	switch reason {
	case reasonException:
		s.logProcess(slog.LevelInfo, "worker.recycled",
			fmt.Sprintf("... monitored exception detected, respawning worker %d (pid: %d)...", sl.n, old.pid), old,
			slog.String(KeyReason, reason))
	case whyLifetime, whyChain, whyRestart:
	default:
		s.logProcess(slog.LevelInfo, "worker.recycled",
			fmt.Sprintf("...The work of process %d is done. Seeya!", old.pid), old, slog.String(KeyReason, reason))
	}
	s.dismiss(old, reason, true)
}

// planLifetime sets the end of a process's life: max-worker-lifetime.
func (s *Supervisor) planLifetime(p *process) {
	set := p.gen.cfg.Settings
	if set.MaxWorkerLifetime <= 0 {
		return
	}
	life := set.MaxWorkerLifetime + time.Duration(p.slot.n-1)*set.MaxWorkerDelta
	if most := min(life/jitterShare, jitterMost); most > 0 {
		life += time.Duration(s.host.Random(int64(most)))
	}
	p.life = s.timers.after(life, func() {
		s.logProcess(slog.LevelInfo, "worker.lifetime",
			fmt.Sprintf("worker %d lifetime reached, it was running for %d second(s)",
				p.slot.n, int(time.Since(p.ready).Seconds())), p)
		s.recycleProcess(p, whyLifetime)
	})
}

// restartWorkers replaces all workers from the same loader.
func (s *Supervisor) restartWorkers(reason string, graceful bool) {
	if s.phase != Running || s.gen == nil {
		return // everything is new, or will be, or nothing runs
	}
	text := "...gracefully killing workers..."
	if !graceful {
		text = "...brutally killing workers..."
	}
	s.log(slog.LevelInfo, "workers.reload", text, slog.String(KeyReason, reason))
	for _, sl := range s.gen.slots {
		switch {
		case !sl.active || sl.cur == nil:
		case graceful && sl.replace == "":
			sl.replace = whyRestart
		case !graceful:
			s.kill(sl.cur, whyRestart)
		}
	}
}

// chainReload queues all workers.
func (s *Supervisor) chainReload(reason string) {
	if s.phase != Running || s.gen == nil || s.recycle.chain {
		return
	}
	s.log(slog.LevelInfo, "chain.start", "chain reload starting...", slog.String(KeyReason, reason))
	s.recycle.chain = true
	for _, sl := range s.gen.slots {
		if sl.active && sl.serves() {
			sl.cur.wanted = true
			s.recycle.queue = append(s.recycle.queue, recycling{sl.cur, whyChain})
		}
	}
}
