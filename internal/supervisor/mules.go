package supervisor

import (
	"fmt"
	"log/slog"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/stats"
	"uwsgi/internal/wire"
)

// mule is one number among the mules, whatever process and generation has it: the next process
// begins when the last one is gone, for what a program holds it holds alone.
type mule struct {
	n         int
	cur       *muleProcess
	retry     backoff
	notBefore time.Time // no fork before this
	spawns    int
	spawned   time.Time
	harakiris int
}

// muleProcess is one process of a mule. Its states are those of a worker's, but that it serves when
// it has said that it is ready.
type muleProcess struct {
	mule     *mule
	gen      *generation
	w        *loader.Worker
	pid      int // 0 before it has one
	state    state
	ready    time.Time
	why      string // it leaves
	left     time.Time
	busy     time.Time // since when it has something in hand that has to be over, zero = nothing
	death    *timer    // the end of its mercy
	deadline *timer    // the end of what it has in hand
}

// mules are all there are, and their processes.
type mules struct {
	list  []*mule // mule n at n-1
	procs map[*loader.Worker]*muleProcess
	forks int // so far
}

// tendMules brings the mules to what the generation in force asks for. While none is in force, or
// its loader is dead, nothing is forked.
func (s *Supervisor) tendMules() {
	want := 0
	if s.gen != nil {
		want = len(s.gen.cfg.Settings.Mules)
	}
	for len(s.mules.list) < want {
		s.mules.list = append(s.mules.list, &mule{n: len(s.mules.list) + 1})
	}
	now := time.Now()
	for _, m := range s.mules.list {
		switch p := m.cur; {
		case p != nil && (p.gen != s.gen || m.n > want):
			s.dismissMule(p, whyReload)
		case p == nil && m.n <= want && s.gen.state == loaded && !now.Before(m.notBefore):
			s.forkMule(m)
		}
	}
}

func (s *Supervisor) forkMule(m *mule) {
	s.mules.forks++
	w, err := s.gen.ld.Fork(loader.Fork{Kind: wire.KindMule, Slot: m.n, Row: -s.mules.forks, Reason: whyStart}, nil)
	if err != nil {
		s.log(slog.LevelError, "mule.notforked", fmt.Sprintf("mule %d cannot be forked: %v", m.n, err),
			slog.Int(KeyMule, m.n), slog.Any(KeyError, err))
		s.muleLater(m, retryFork)
		return
	}
	m.cur = &muleProcess{mule: m, gen: s.gen, w: w}
	if s.mules.procs == nil {
		s.mules.procs = map[*loader.Worker]*muleProcess{}
	}
	s.mules.procs[w] = m.cur
	s.gen.procs++
}

func (s *Supervisor) muleLater(m *mule, d time.Duration) {
	m.notBefore = time.Now().Add(d)
	s.timers.after(d, func() {}) // reconcile does it
}

// ofMule handles what a mule did; false: it is not a mule's.
func (s *Supervisor) ofMule(e loader.Event) bool {
	switch e := e.(type) {
	case loader.Forked:
		p := s.mules.procs[e.Worker]
		if p == nil {
			return false
		}
		s.muleForked(p)
	case loader.ForkFailed:
		p := s.mules.procs[e.Worker]
		if p == nil {
			return false
		}
		s.log(slog.LevelError, "mule.notforked", fmt.Sprintf("mule %d cannot be forked: %s", p.mule.n, e.Error),
			slog.Int(KeyMule, p.mule.n))
		s.buryMule(p)
		s.muleLater(p.mule, retryFork)
	case loader.WorkerReady:
		p := s.mules.procs[e.Worker]
		if p == nil {
			return false
		}
		if p.state == starting {
			s.moveMule(p, serving)
			p.ready = time.Now()
		}
	case loader.WorkerFailed:
		p := s.mules.procs[e.Worker]
		if p == nil {
			return false
		}
		s.logMule(slog.LevelError, "mule.failed", fmt.Sprintf("mule %d (pid: %d): %s", p.mule.n, p.pid, e.Error), p)
	case loader.WorkerBusy:
		if p := s.mules.procs[e.Worker]; p != nil {
			s.muleBusy(p, e.Within)
		}
	case loader.WorkerGone:
		p := s.mules.procs[e.Worker]
		if p == nil {
			return false
		}
		s.muleGone(p, e.Exit)
	case loader.Log:
		p := s.mules.procs[e.Worker]
		if p == nil {
			return false
		}
		s.logMule(levelOf(e.Level), "mule.log", e.Message, p)
	default:
		return false
	}
	return true
}

func (s *Supervisor) muleForked(p *muleProcess) {
	p.pid = p.w.PID()
	if p.state == killed {
		s.muleSignalled(p, p.w.Kill())
		return
	}
	s.moveMule(p, starting)
	m := p.mule
	text := fmt.Sprintf("spawned uWSGI mule %d (pid: %d)", m.n, p.pid)
	if m.spawns > 0 {
		text = fmt.Sprintf("Respawned uWSGI mule %d (new pid: %d)", m.n, p.pid)
	}
	m.spawns++
	m.spawned = time.Now()
	s.logMule(slog.LevelInfo, "mule.spawned", text, p)
}

// dismissMule has a mule end once it is done with what it has in hand, within the mercy.
func (s *Supervisor) dismissMule(p *muleProcess, why string) {
	switch p.state {
	case forking:
		s.killMule(p, why)
	case starting, serving: // that it is ready may be on its way here
		if p.state == starting {
			s.moveMule(p, serving)
		}
		s.moveMule(p, draining)
		p.why, p.left = why, time.Now()
		s.muleSignalled(p, p.w.Drain(why, false))
		p.death = s.timers.after(p.gen.cfg.Settings.MuleReloadMercy, func() {
			s.logMule(slog.LevelWarn, "mule.nomercy", fmt.Sprintf(
				"mule %d (pid: %d) is taking too much time to die...NO MERCY !!!", p.mule.n, p.pid), p)
			s.killMule(p, why)
		})
	}
}

func (s *Supervisor) killMule(p *muleProcess, why string) {
	if p.state >= killed {
		return
	}
	s.moveMule(p, killed)
	s.timers.drop(p.death)
	if p.left.IsZero() {
		p.why, p.left = why, time.Now()
	}
	if p.pid != 0 {
		s.muleSignalled(p, p.w.Kill())
	}
}

// muleBusy watches over what a mule has in hand.
func (s *Supervisor) muleBusy(p *muleProcess, within time.Duration) {
	s.timers.drop(p.deadline)
	p.deadline, p.busy = nil, time.Time{}
	if within > 0 {
		p.busy = time.Now()
		p.deadline = s.timers.after(within, func() { s.muleHarakiri(p) })
	}
}

// muleHarakiri ends a mule that is past its deadline, once it has written its stacks.
func (s *Supervisor) muleHarakiri(p *muleProcess) {
	if p.state != serving && p.state != draining {
		return
	}
	p.mule.harakiris++
	s.logMule(slog.LevelError, "mule.harakiri", fmt.Sprintf("*** HARAKIRI ON MULE %d (pid: %d): "+
		"busy for %d seconds ***",
		p.mule.n, p.pid, int(time.Since(p.busy).Seconds())), p, slog.Duration(KeyAge, time.Since(p.busy)))
	s.muleSignalled(p, p.w.Signal(loader.DumpSignal))
	s.moveMule(p, condemned)
	s.timers.drop(p.death)
	p.death = s.timers.after(dumpTime, func() { s.killMule(p, whyHarakiri) })
}

func (s *Supervisor) buryMule(p *muleProcess) {
	delete(s.mules.procs, p.w)
	p.gen.procs--
	s.moveMule(p, gone)
	s.timers.drop(p.death)
	s.timers.drop(p.deadline)
	p.mule.cur = nil
}

func (s *Supervisor) muleGone(p *muleProcess, exit loader.Exit) {
	was, m := p.state, p.mule
	s.buryMule(p)
	if was == draining || was == killed && p.why != whyHarakiri {
		s.logMule(slog.LevelInfo, "mule.buried", fmt.Sprintf("mule %d (pid: %d) buried after %d seconds", m.n, p.pid,
			int(time.Since(p.left).Seconds())), p)
		return
	}
	s.logMule(slog.LevelError, "mule.died", fmt.Sprintf("OOOPS mule %d (pid: %d) crippled...trying respawn... (it %s)",
		m.n, p.pid, ending(exit)), p)
	served := time.Duration(0)
	if !p.ready.IsZero() {
		served = time.Since(p.ready)
	}
	if d := m.retry.next(p.gen.cfg.Settings.ForkbombDelay, served); d > 0 && s.phase < Stopping {
		s.log(slog.LevelWarn, "mule.toofast", fmt.Sprintf("mule %d ends too soon: it is started again in %v", m.n, d),
			slog.Int(KeyMule, m.n), slog.Duration("delay", d))
		s.muleLater(m, d)
	}
}

// reloadMules replaces the mules, from the same loader.
func (s *Supervisor) reloadMules(reason string) {
	if s.gen == nil || s.phase >= Stopping {
		return
	}
	s.log(slog.LevelInfo, "mules.reload", "...gracefully killing mules...", slog.String(KeyReason, reason))
	for _, m := range s.mules.list {
		if m.cur != nil {
			s.dismissMule(m.cur, reason)
		}
	}
}

// dismissMules has all mules end, for a stop.
func (s *Supervisor) dismissMules() {
	for _, p := range s.mules.procs {
		s.dismissMule(p, whyStop)
	}
}

func (s *Supervisor) muleStats() []stats.Mule {
	var all []stats.Mule
	for _, m := range s.mules.list {
		x := stats.Mule{ID: m.n, Status: "down", Spawns: m.spawns, Harakiris: m.harakiris}
		if !m.spawned.IsZero() {
			x.LastSpawn = m.spawned.Unix()
		}
		if p := m.cur; p != nil {
			x.PID, x.Generation = p.pid, p.gen.n
			switch {
			case p.state < serving:
				x.Status = "starting"
			case p.state == serving && p.busy.IsZero():
				x.Status = "running"
			case p.state == serving:
				x.Status = "busy"
			case p.state == draining:
				x.Status = "draining"
			default:
				x.Status = "dying"
			}
			if p.pid != 0 {
				x.RSS, x.VSZ, _ = s.host.Memory(p.pid)
			}
		}
		all = append(all, x)
	}
	return all
}

func (s *Supervisor) moveMule(p *muleProcess, to state) {
	if err := checkMove(stateMoves, p.state, to); err != nil {
		s.fault(fmt.Errorf("mule %d (pid: %d): %w", p.mule.n, p.pid, err))
	}
	p.state = to
}

func (s *Supervisor) muleSignalled(p *muleProcess, err error) {
	if err != nil {
		s.logMule(slog.LevelError, "mule.unsignalled", err.Error(), p, slog.Any(KeyError, err))
	}
}

func (s *Supervisor) logMule(level slog.Level, event, text string, p *muleProcess, attrs ...slog.Attr) {
	s.log(level, event, text, append([]slog.Attr{slog.Int(KeyMule, p.mule.n), slog.Int(KeyPID, p.pid),
		slog.Int(KeyGeneration, p.gen.n)}, attrs...)...)
}
