package supervisor

import (
	"fmt"
	"log/slog"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/option"
)

// kind is what makes a process beside the workers a mule, one of the spooler, or the script of
// pyrun.
type kind struct {
	name     string // as in wire.Fork
	key      string // of log attributes
	count    func(*option.Settings) int
	mercy    func(*option.Settings) time.Duration
	harakiri func(*option.Settings) time.Duration
	overlaps bool // its next process begins while the last one finishes what it has in hand
	once     bool // a number has one process, whatever happens, and the instance ends with that
	// Their words, as uWSGI's.
	spawned, late func(*attendant) string
	died          func(p *attendant, how string) string
}

// kinds are all there are.
var kinds = []*kind{&muleKind, &spoolerKind, &scriptKind}

// post is one number of a kind, whatever process and generation has it. Where processes do not
// overlap the next one begins when the last one is gone, for what a program holds it holds alone.
type post struct {
	kind      *kind
	n         int
	cur       *attendant
	retry     backoff
	notBefore time.Time // no fork before this
	spawns    int
	spawned   time.Time
	harakiris int
	tasks     int64 // that it told of
}

// attendant is one process of a post. Its states are those of a worker's, but that it serves when
// it has said that it is ready.
type attendant struct {
	post     *post
	gen      *generation
	w        *loader.Worker
	pid      int // 0 before it has one
	state    state
	ready    time.Time
	why      string // it leaves
	left     time.Time
	busy     time.Time // since when it has something in hand, as far as it tells, zero = nothing
	death    *timer    // the end of its mercy
	deadline *timer    // the end of what it has in hand
	taker    *taker    // as process.taker
}

// attendants are all there are, and their processes.
type attendants struct {
	posts map[*kind][]*post // post n at n-1
	procs map[*loader.Worker]*attendant
	forks int // so far
}

// tendAttendants brings the attendants to what the generation in force asks for. While none is in
// force, or its loader is dead, nothing is forked.
func (s *Supervisor) tendAttendants() {
	for _, k := range kinds {
		want := 0
		if s.gen != nil {
			want = k.count(s.gen.cfg.Settings)
		}
		s.tendKind(k, want)
	}
}

func (s *Supervisor) tendKind(k *kind, want int) {
	all := &s.attendants
	for len(all.posts[k]) < want {
		if all.posts == nil {
			all.posts, all.procs = map[*kind][]*post{}, map[*loader.Worker]*attendant{}
		}
		all.posts[k] = append(all.posts[k], &post{kind: k, n: len(all.posts[k]) + 1})
	}
	now := time.Now()
	for _, at := range all.posts[k] {
		if k.once && at.spawns > 0 {
			continue
		}
		if p := at.cur; p != nil && (p.gen != s.gen || at.n > want) {
			s.dismissAttendant(p, whyReload)
		}
		if at.cur == nil && at.n <= want && s.gen.state == loaded && !now.Before(at.notBefore) {
			s.forkAttendant(at)
		}
	}
}

func (s *Supervisor) forkAttendant(at *post) {
	all := &s.attendants
	all.forks++
	w, err := s.gen.ld.Fork(loader.Fork{Kind: at.kind.name, Slot: at.n, Row: -all.forks, Reason: whyStart}, nil)
	if err != nil {
		s.attendantNotForked(at, err.Error())
		return
	}
	at.cur = &attendant{post: at, gen: s.gen, w: w}
	all.procs[w] = at.cur
	s.gen.procs++
}

func (s *Supervisor) attendantNotForked(at *post, why string) {
	s.log(slog.LevelError, "attendant.notforked", fmt.Sprintf("%s %d cannot be forked: %s", at.kind.name, at.n, why),
		slog.Int(at.kind.key, at.n), slog.String(KeyError, why))
	s.forkLater(at, retryFork)
}

func (s *Supervisor) forkLater(at *post, d time.Duration) {
	at.notBefore = time.Now().Add(d)
	s.timers.after(d, func() {}) // reconcile does it
}

// ofAttendant handles what an attendant did; false: it is not one's.
func (s *Supervisor) ofAttendant(e loader.Event) bool {
	switch e := e.(type) {
	case loader.Forked:
		return s.about(e.Worker, s.attendantForked)
	case loader.ForkFailed:
		return s.about(e.Worker, func(p *attendant) {
			s.buryAttendant(p)
			s.attendantNotForked(p.post, e.Error)
		})
	case loader.WorkerReady:
		return s.about(e.Worker, func(p *attendant) {
			if p.state == starting {
				s.moveAttendant(p, serving)
				p.ready = time.Now()
				s.tickSchedule()
			}
		})
	case loader.WorkerAsks:
		return s.about(e.Worker, func(p *attendant) {
			if p.state <= serving {
				s.askedBy(p.gen, e)
			}
		})
	case loader.WorkerFailed:
		return s.about(e.Worker, func(p *attendant) {
			s.logAttendant(slog.LevelError, "attendant.failed", fmt.Sprintf("%v: %s", p, e.Error), p)
		})
	case loader.WorkerBusy:
		return s.about(e.Worker, func(p *attendant) { s.attendantBusy(p, e) })
	case loader.WorkerRecycle:
		return s.about(e.Worker, func(p *attendant) { s.dismissAttendant(p, e.Reason) })
	case loader.WorkerGone:
		return s.about(e.Worker, func(p *attendant) { s.attendantGone(p, e.Exit) })
	case loader.Log:
		return s.about(e.Worker, func(p *attendant) { s.logAttendant(levelOf(e.Level), "attendant.log", e.Message, p) })
	}
	return false
}

// about does something about an attendant; false: it is none.
func (s *Supervisor) about(w *loader.Worker, do func(*attendant)) bool {
	p := s.attendants.procs[w]
	if p != nil {
		do(p)
	}
	return p != nil
}

func (s *Supervisor) attendantForked(p *attendant) {
	p.pid = p.w.PID()
	if p.state == killed {
		s.attendantSignalled(p, p.w.Kill())
		return
	}
	s.moveAttendant(p, starting)
	text := p.post.kind.spawned(p)
	p.post.spawns++
	p.post.spawned = time.Now()
	s.logAttendant(slog.LevelInfo, "attendant.spawned", text, p)
	if p.why != "" {
		s.dismissAttendant(p, p.why)
	}
}

// dismissAttendant has an attendant end once it is done with what it has in hand, within the mercy.
func (s *Supervisor) dismissAttendant(p *attendant, why string) {
	at := p.post
	if at.kind.overlaps && at.cur == p {
		at.cur = nil
	}
	switch p.state {
	case forking:
		if at.kind.once { // it may be at work already: attendantForked goes on
			p.why = why
			return
		}
		s.killAttendant(p, why)
	case starting, serving: // that it is ready may be on its way here
		if p.state == starting {
			s.moveAttendant(p, serving)
		}
		s.moveAttendant(p, draining)
		p.why, p.left = why, time.Now()
		if err := p.w.Drain(why, false); err != nil { // its end will be told
			s.logAttendant(slog.LevelDebug, "attendant.deaf", err.Error(), p, slog.Any(KeyError, err))
		}
		p.death = s.timers.after(at.kind.mercy(p.gen.cfg.Settings), func() {
			s.logAttendant(slog.LevelWarn, "attendant.nomercy", fmt.Sprintf(
				"%v is taking too much time to die...NO MERCY !!!", p), p)
			s.killAttendant(p, why)
		})
	}
}

func (s *Supervisor) killAttendant(p *attendant, why string) {
	if p.state >= killed {
		return
	}
	s.moveAttendant(p, killed)
	s.timers.drop(p.death)
	if p.left.IsZero() {
		p.why, p.left = why, time.Now()
	}
	if p.pid != 0 {
		s.attendantSignalled(p, p.w.Kill())
	}
}

// attendantBusy watches over what an attendant has in hand.
func (s *Supervisor) attendantBusy(p *attendant, e loader.WorkerBusy) {
	s.timers.drop(p.deadline)
	p.deadline = nil
	if e.Done {
		p.post.tasks++
	}
	if e.Over {
		p.busy = time.Time{}
		return
	}
	if p.busy.IsZero() {
		p.busy = time.Now()
	}
	if e.Within > 0 {
		p.deadline = s.timers.after(e.Within, func() { s.attendantLate(p) })
	}
}

// attendantLate ends an attendant that is past its deadline, once it has written its stacks.
func (s *Supervisor) attendantLate(p *attendant) {
	if p.state != serving && p.state != draining {
		return
	}
	p.post.harakiris++
	s.logAttendant(slog.LevelError, "attendant.harakiri", p.post.kind.late(p), p,
		slog.Duration(KeyAge, time.Since(p.busy)))
	s.attendantSignalled(p, p.w.Signal(loader.DumpSignal))
	s.moveAttendant(p, condemned)
	s.timers.drop(p.death)
	p.death = s.timers.after(dumpTime, func() { s.killAttendant(p, whyHarakiri) })
}

func (s *Supervisor) buryAttendant(p *attendant) {
	delete(s.attendants.procs, p.w)
	p.gen.procs--
	s.moveAttendant(p, gone)
	s.timers.drop(p.death)
	s.timers.drop(p.deadline)
	if p.post.cur == p {
		p.post.cur = nil
	}
}

func (s *Supervisor) attendantGone(p *attendant, exit loader.Exit) {
	was, at := p.state, p.post
	s.buryAttendant(p)
	p.gen.cfg.crashAlarm(fmt.Sprintf("%s %d", at.kind.name, at.n), p.pid, exit)
	s.signalsLost(p.taker)
	if at.kind.once {
		s.scriptEnded(p, exit)
		return
	}
	if was == draining || was == killed && p.why != whyHarakiri {
		s.logAttendant(slog.LevelInfo, "attendant.buried", fmt.Sprintf("%v buried after %d seconds", p,
			int(time.Since(p.left).Seconds())), p)
		return
	}
	s.logAttendant(slog.LevelError, "attendant.died", at.kind.died(p, ending(exit)), p)
	served := time.Duration(0)
	if !p.ready.IsZero() {
		served = time.Since(p.ready)
	}
	if d := at.retry.next(p.gen.cfg.Settings.ForkbombDelay, served); d > 0 && s.phase < Stopping {
		s.log(slog.LevelWarn, "attendant.toofast", fmt.Sprintf("%s %d ends too soon: it is started again in %v",
			at.kind.name, at.n, d), slog.Int(at.kind.key, at.n), slog.Duration("delay", d))
		s.forkLater(at, d)
	}
}

// reloadKind replaces the attendants of a kind, from the same loader.
func (s *Supervisor) reloadKind(k *kind, reason string) {
	if s.gen == nil || s.phase >= Stopping {
		return
	}
	s.log(slog.LevelInfo, "attendants.reload", fmt.Sprintf("...gracefully killing %ss...", k.name),
		slog.String(KeyReason, reason))
	for _, at := range s.attendants.posts[k] {
		if at.cur != nil {
			s.dismissAttendant(at.cur, reason)
		}
	}
}

// dismissAttendants has all attendants end, for a stop.
func (s *Supervisor) dismissAttendants() {
	for _, p := range s.attendants.procs {
		s.dismissAttendant(p, whyStop)
	}
}

// status is what an attendant is about, for the statistics.
func (p *attendant) status() string {
	switch {
	case p.state < serving:
		return "starting"
	case p.state == serving && p.busy.IsZero():
		return "running"
	case p.state == serving:
		return "busy"
	case p.state == draining:
		return "draining"
	}
	return "dying"
}

func (p *attendant) String() string {
	return fmt.Sprintf("%s %d (pid: %d)", p.post.kind.name, p.post.n, p.pid)
}

func (s *Supervisor) moveAttendant(p *attendant, to state) {
	if err := checkMove(stateMoves, p.state, to); err != nil {
		s.fault(fmt.Errorf("%v: %w", p, err))
	}
	p.state = to
}

func (s *Supervisor) attendantSignalled(p *attendant, err error) {
	if err != nil {
		s.logAttendant(slog.LevelError, "attendant.unsignalled", err.Error(), p, slog.Any(KeyError, err))
	}
}

func (s *Supervisor) logAttendant(level slog.Level, event, text string, p *attendant, attrs ...slog.Attr) {
	s.log(level, event, text, append([]slog.Attr{slog.Int(p.post.kind.key, p.post.n), slog.Int(KeyPID, p.pid),
		slog.Int(KeyGeneration, p.gen.n)}, attrs...)...)
}
