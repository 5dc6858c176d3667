package supervisor

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/scoreboard"
)

const (
	shortestWait  = time.Millisecond       // a deadline is what a worker says it is
	scanInterval  = time.Minute            // a deadline that is earlier is known, or told (WorkerDeadline)
	overdueAgain  = time.Second            // to one that is past it, and must not be killed yet
	dumpTime      = 100 * time.Millisecond // for writing the stacks, before the worker moves on
	harakiriGrace = time.Second            // for what the last of the other requests still has to do
	cancelGrace   = time.Second            // for a request that was cancelled; a loop that is stuck hears of nothing
	cancelEach    = 10 * time.Millisecond  // … and for each that is cancelled before it: their tracebacks are written
	answerTime    = 100 * time.Millisecond // for the 504, before harakiri-graceful-signal
	giveUpTime    = 100 * time.Millisecond // for the answers in the place of requests that are given up
)

// harakiriSoon makes sure that the next scan is not late for a request that begins now.
func (s *Supervisor) harakiriSoon() {
	s.timers.drop(s.harakiri)
	s.scanHarakiri()
}

// scanHarakiri looks for requests past their deadline and comes back for the next deadline, to the
// moment.
func (s *Supervisor) scanHarakiri() {
	for _, p := range s.procs {
		p.gen.rows.board.Row(p.row).NextScan.Store(math.MaxInt64) // what is set from now on is told
	}
	wait := scanInterval
	now := s.host.Monotonic()
	for _, p := range s.procs {
		if p.state != serving && p.state != draining && p.state != condemned || p.givenUp {
			continue
		}
		limit := p.gen.cfg.Settings.Harakiri
		if limit > 0 {
			wait = min(wait, limit)
		}
		late, cancelled := map[int]int64{}, map[int]int64{}
		for c := range p.gen.rows.board.Used(p.row) {
			at, started := deadline(p.gen.rows.board.Cell(p.row, c), limit)
			switch {
			case at == 0 || p.stuck[c] != 0:
			case at > now:
				wait = min(wait, time.Duration(at-now))
			case !s.overdue(p):
				wait = min(wait, overdueAgain)
			default:
				if left := s.cancelRequest(p, c, started, now, len(cancelled)); left > 0 {
					wait = min(wait, left)
					cancelled[c] = started
					continue
				}
				late[c] = started
			}
		}
		if len(late) > 0 { // the loop does not hear of the others either
			maps.Copy(late, cancelled)
			s.condemn(p, late, now)
		}
	}
	wait = max(wait, shortestWait)
	for _, p := range s.procs {
		p.gen.rows.board.Row(p.row).NextScan.Store(now + int64(wait))
	}
	s.harakiri = s.timers.after(wait, s.scanHarakiri)
}

// deadline is when a core's request has to be over, 0 = never or no request, and when it began.
func deadline(c *scoreboard.Cell, limit time.Duration) (at, started int64) {
	started = c.Started.Load()
	user := c.Deadline.Load()
	if c.State.Load() != scoreboard.CellBusy || started <= 0 || c.Started.Load() != started {
		return 0, 0
	}
	if limit > 0 {
		at = min(started, math.MaxInt64-int64(limit)) + int64(limit)
	}
	if user > 0 && (at == 0 || user < at) {
		at = user
	}
	return at, started
}

// age is how long a core's request runs; 0 where what the worker has written cannot be.
func age(c *scoreboard.Cell, now int64) time.Duration {
	started := c.Started.Load()
	if started <= 0 || started > now {
		return 0
	}
	return time.Duration(now - started)
}

// overdue reports whether harakiri applies: with harakiri-queue-threshold only while so many
// connections wait.
func (s *Supervisor) overdue(p *process) bool {
	limit := p.gen.cfg.Settings.HarakiriQueue
	return limit <= 0 || s.backlog(p.gen.cfg) >= limit
}

// cancelled is a request that a worker with an event loop was asked to cancel, and until when it
// may end.
type cancelled struct{ started, until int64 } // monotonic ns

// cancelRequest asks a worker with an event loop to cancel a request, after so many others; those
// that are not over their time go on. It gives how long the request may still take to end, 0 where
// it had its time or cannot be cancelled.
func (s *Supervisor) cancelRequest(p *process, core int, started, now int64, others int) time.Duration {
	if !p.looped() || p.state == condemned {
		return 0
	}
	c := p.cancelled[core]
	if c.started != started {
		c = cancelled{started, now + int64(cancelGrace) + int64(others)*int64(cancelEach)}
		p.cancelled[core] = c
		cell := p.gen.rows.board.Cell(p.row, core)
		s.logProcess(slog.LevelError, "harakiri.cancel",
			fmt.Sprintf("*** HARAKIRI: a request of worker %d (pid: %d) is over its time and is cancelled: %s ***",
				p.slot.n, p.pid, cell.GetSnap()), p, slog.Int(KeyCore, core), slog.String(KeyRequest, cell.GetSnap()),
			slog.Duration(KeyAge, age(cell, now)))
		p.slot.tally.harakiris++
		s.obeyed(p, p.w.Cancel(core, started))
	}
	return max(0, time.Duration(c.until-now))
}

// condemn ends a worker with requests past their deadline (core → when it began): its stacks are
// dumped, then it answers them 504 and lets the others finish, then it is killed. The replacement
// does not wait for that.
func (s *Supervisor) condemn(p *process, late map[int]int64, now int64) {
	maps.Copy(p.stuck, late)
	s.logHarakiri(p, slices.Sorted(maps.Keys(late)), now)
	if p.state == condemned {
		for core, started := range late {
			s.obeyed(p, p.w.Harakiri(core, started))
		}
		return
	}
	set := p.gen.cfg.Settings
	s.doom(p)
	p.death = s.timers.after(dumpTime, func() {
		for c, started := range p.stuck {
			s.obeyed(p, p.w.Harakiri(c, started))
		}
		// one that nobody handles ends the process: the stacks and the 504 are out
		if sig := gentleSignal(set); sig > 0 {
			s.timers.after(answerTime, func() {
				p.gentle = true
				s.signalled(p, p.w.Signal(sig))
			})
		}
		p.death = s.timers.after(p.gen.cfg.grace(), func() { s.giveUp(p, whyHarakiri) })
	})
}

// doom takes a worker out of its slot, which is filled again, and asks for its stacks.
func (s *Supervisor) doom(p *process) {
	s.timers.drop(p.death)
	s.timers.drop(p.life)
	if p.detach() {
		p.slot.why = whyRespawn
	}
	s.move(p, condemned)
	p.slot.tally.harakiris++
	if p.left.IsZero() {
		p.why, p.left = whyHarakiri, time.Now()
	}
	s.signalled(p, p.w.Dump())
}

// answered hears that only stuck requests are left of a worker, and that they are answered. Where
// nothing else is asked for it is killed. One that has a grace and got SIGTERM before it came to
// this ends now, with its atexit handlers, as uWSGI's do.
func (s *Supervisor) answered(p *process) {
	sig := gentleSignal(p.gen.cfg.Settings)
	switch {
	case p.givenUp, p.state == condemned && sig == 0:
		s.kill(p, whyHarakiri)
	case p.state == condemned && p.gentle && sig == syscall.SIGTERM:
		s.signalled(p, p.w.Signal(sig))
	}
}

// grace is how long a condemned worker's other requests may take: as long as they may anyway, but
// no longer than a reload or a stop would let them.
func (c *Config) grace() time.Duration {
	switch set := c.Settings; {
	case set.HarakiriGrace > 0:
		return set.HarakiriGrace
	case set.Harakiri > 0:
		return min(set.Harakiri+harakiriGrace, c.mercy())
	}
	return c.mercy()
}

// giveUp has a worker answer what it still runs in the application's place, and kills it then.
func (s *Supervisor) giveUp(p *process, why string) {
	p.givenUp = true
	s.obeyed(p, p.w.GiveUp())
	p.death = s.timers.after(giveUpTime, func() { s.kill(p, why) })
}

// gentleSignal is what a worker gets before its grace, 0 for none: without a grace there is nothing
// to be gentle for.
func gentleSignal(set *option.Settings) syscall.Signal {
	if set.HarakiriGrace > 0 {
		return syscall.Signal(set.HarakiriSignal)
	}
	return 0
}

// logHarakiri writes one block, whatever number of requests is late: the stacks come behind it.
func (s *Supervisor) logHarakiri(p *process, late []int, now int64) {
	n := p.slot.n
	board := p.gen.rows.board
	core := late[0]
	cell := board.Cell(p.row, core)
	attrs := []slog.Attr{slog.Int(KeyCore, core), slog.String(KeyRequest, cell.GetSnap()),
		slog.Duration(KeyAge, age(cell, now))}
	event := "harakiri" // the first line; the others belong to it
	say := func(text string) {
		s.logProcess(slog.LevelError, event, text, p, attrs...)
		event = "harakiri.detail"
	}
	graceful := ""
	if p.gen.cfg.Settings.HarakiriGrace > 0 {
		graceful = ", graceful: yes"
	}
	if p.state == condemned { // whatever else there is to say has been said, and stacks may be on their way
		for _, core := range late {
			ip, request, _ := strings.Cut(board.Cell(p.row, core).GetSnap(), " ")
			say(fmt.Sprintf("HARAKIRI triggered by worker %d core %d !!! (%s - %s)", n, core, ip, request))
		}
		return
	}
	say(fmt.Sprintf("*** HARAKIRI ON WORKER %d (pid: %d, try: 1%s) ***", n, p.pid, graceful))
	if p.gen.cfg.Settings.HarakiriVerbose {
		call, wchan := s.host.Blocked(p.pid)
		say("HARAKIRI: -- syscall> " + call)
		say("HARAKIRI: -- wchan> " + wchan)
	}
	for _, core := range late {
		say(fmt.Sprintf("HARAKIRI triggered by worker %d core %d !!!", n, core))
	}
	say(fmt.Sprintf("HARAKIRI !!! worker %d status !!!", n))
	for c := range board.Used(p.row) {
		cell := board.Cell(p.row, c)
		if cell.State.Load() != scoreboard.CellBusy {
			continue
		}
		ip, request, _ := strings.Cut(cell.GetSnap(), " ")
		say(fmt.Sprintf("HARAKIRI [core %d] %s - %s since %d", c, ip, request, cell.StartedAt.Load()))
	}
	say(fmt.Sprintf("HARAKIRI !!! end of worker %d status !!!", n))
}
