package supervisor

import (
	"fmt"
	"slices"
	"time"

	"uwsgi/internal/scoreboard"
	"uwsgi/internal/stats"
)

// Status is the state of an instance at one moment. What the supervisor does not know of the
// Snapshot in it (sockets, daemons, who it is) is left for others to fill.
type Status struct {
	stats.Snapshot
	Phase     Phase
	LoaderPID int // 0 = dead or none
	Paused    bool
	Requests  int64
	Leaving   []stats.Worker // processes that drain or were condemned
}

func (s *Supervisor) snapshot() Status {
	st := Status{Phase: s.phase, Paused: s.paused}
	st.Stopping, st.Reloads = s.phase == Closing, s.reloads
	if r := s.reloaded; !r.At.IsZero() {
		st.LastReload = &stats.Reload{At: r.At.Unix(), Took: r.Took.Microseconds(), Reason: r.Reason}
		if r.Err != nil {
			st.LastReload.Error = r.Err.Error()
		}
	}
	if s.rows != nil {
		st.Requests = s.rows.board.TotalRequests()
	}
	st.Caches = s.caches()
	st.Mules, st.Spoolers = s.muleStats(), s.spoolerStats()
	seen, live := map[*process]bool{}, map[*tally]counts{}
	for _, p := range s.procs {
		sum := live[p.slot.tally]
		sum.add(p.gen.rows.read(p.row))
		live[p.slot.tally] = sum
	}
	if g := s.gen; g != nil {
		st.Generation = g.n
		if g.state != dead {
			st.LoaderPID = g.ld.PID()
		}
		for _, sl := range g.slots {
			seen[sl.cur] = true
			st.Workers = append(st.Workers, s.workerStats(sl.n, g, sl.tally, live[sl.tally], sl.cur))
		}
		st.Signals = g.signals.stats()
		st.SignalQueue = g.signals.queued()
		st.Metrics = s.showMetrics(&st.Snapshot)
	}
	for _, p := range s.procs {
		if !seen[p] && (p.state >= draining || s.gen == nil) {
			st.Leaving = append(st.Leaving, s.workerStats(p.slot.n, p.gen, p.slot.tally, live[p.slot.tally], p))
		}
	}
	slices.SortFunc(st.Leaving, func(a, b stats.Worker) int { return a.PID - b.PID })
	return st
}

// workerStats describes a worker number of a generation and the process it has, nil = none. live is
// what all its processes count that are not gone yet: a reload takes nothing off its counters.
func (s *Supervisor) workerStats(n int, g *generation, t *tally, live counts, p *process) stats.Worker {
	w := stats.Worker{ID: n, Status: "cheap", Harakiris: t.harakiris, Spawns: t.spawns, Signals: t.signals}
	if !t.spawned.IsZero() {
		w.LastSpawn = t.spawned.Unix()
	}
	sum := t.past
	sum.add(live)
	if p != nil {
		w.Delta = p.gen.rows.read(p.row).requests
		s.processStats(&w, p)
	}
	w.Requests, w.Exceptions, w.TX, w.Running = sum.requests, sum.exceptions, sum.tx, sum.running
	w.Refused, w.LogLost = sum.refused, sum.logLost
	for i, app := range g.apps {
		a := stats.App{ID: i, Mountpoint: app.Mount, Startup: int64(app.Seconds), Chdir: g.cfg.Settings.Chdir,
			Interface: app.Interface}
		if i < len(sum.apps) {
			a.Requests, a.Exceptions = sum.apps[i].requests, sum.apps[i].exceptions
		}
		w.Apps = append(w.Apps, a)
	}
	return w
}

// processStats describes what a worker's process is and does now.
func (s *Supervisor) processStats(w *stats.Worker, p *process) {
	board := p.gen.rows.board
	row := board.Row(p.row)
	w.PID, w.Generation, w.Accepting = p.pid, p.gen.n, row.Accepting.Load() != 0
	w.AvgRT, w.Connections = row.AvgRT.Load(), row.Conns.Load()
	if p.pid != 0 {
		s.measure(p)
	}
	w.RSS, w.VSZ = p.rss, p.vsz
	if p.taker != nil {
		w.SignalQueue = p.taker.unread()
	}
	w.InFlight, w.Websockets = p.inFlight()
	if p.looped() {
		w.LoopLag = p.lag().Microseconds()
	}
	for i := range board.Used(p.row) {
		cell := board.Cell(p.row, i)
		c := stats.Core{
			ID: i, Requests: cell.Requests.Load(), Static: cell.Static.Load(), Offloaded: cell.Offloaded.Load(),
			ReadErrs: cell.ReadErrs.Load(), WriteErrs: cell.WriteErrs.Load(), Exceptions: cell.Exceptions.Load(),
			Vars: []string{},
		}
		if cell.State.Load() == scoreboard.CellBusy {
			c.Busy, c.Vars, c.Request.Since = true, stats.Vars(cell.GetSnap()), cell.StartedAt.Load()
		}
		w.Cores = append(w.Cores, c)
	}
	busy, _ := s.saturation(p)
	w.Status = s.stateName(p, busy)
}

func (s *Supervisor) stateName(p *process, busy bool) string {
	switch {
	case p.state < serving:
		return "starting"
	case p.state == draining:
		return "draining"
	case p.state > draining:
		return "dying"
	case s.paused:
		return "pause"
	case busy:
		return "busy"
	}
	return "idle"
}

// statusText is the line that `systemctl status` shows.
func (s *Supervisor) statusText() string {
	if s.phase == Sleeping {
		return "asleep until the first connection"
	}
	busy, serving, requests := 0, 0, int64(0)
	if s.gen != nil {
		for _, sl := range s.gen.slots {
			if sl.serves() {
				serving++
				if work, _ := s.saturation(sl.cur); work {
					busy++
				}
			}
		}
	}
	if s.rows != nil {
		requests = s.rows.board.TotalRequests()
	}
	text := fmt.Sprintf("%d busy, %d idle workers; %d requests", busy, serving-busy, requests)
	if s.paused {
		text = "paused; " + text
	}
	if s.phase == Closing {
		text = fmt.Sprintf("stopping at %s, serving on until then; %s", s.stopping.at.Format(time.TimeOnly), text)
	}
	switch r := s.reloaded; {
	case r.At.IsZero():
	case r.Err != nil:
		text += fmt.Sprintf("; reload failed at %s: %v", r.At.Format(time.TimeOnly), r.Err)
	default:
		text += "; reloaded at " + r.At.Format(time.TimeOnly)
	}
	return text
}
