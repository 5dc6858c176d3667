package supervisor

import (
	"fmt"
	"slices"
	"time"

	"uwsgi/internal/loader"
	"uwsgi/internal/scoreboard"
)

// Status is the state of an instance at one moment.
type Status struct {
	Phase      Phase
	Generation int // in force, 0 = none
	LoaderPID  int // 0 = dead or none
	Apps       []loader.App
	Paused     bool
	Reloads    int // that succeeded
	LastReload ReloadResult
	Requests   int64
	Workers    []WorkerStatus // by number: those in force
	Leaving    []WorkerStatus // processes that drain or were condemned
}

// WorkerStatus is one worker.
type WorkerStatus struct {
	Slot       int
	PID        int    // 0 = no process
	State      string // idle, busy, cheap, pause, starting, draining, dying
	Generation int
	Accepting  bool
	Requests   int64 // of this worker number since the start of the instance
	Delta      int64 // of this process
	Exceptions int64
	Harakiris  int
	Spawns     int
	LastSpawn  time.Time
	RSS, VSZ   int64 // bytes; VSZ without what the data plane reserved
	Running    time.Duration
	AvgRT      time.Duration
	TX         int64
	Conns      int64 // open connections
	InFlight   int   // exchanges in hand, websockets among them
	Websockets int
	Looped     bool          // it serves with an event loop
	Lag        time.Duration // what is ready waits so long for the loop
	Refused    int64         // connections answered 503, of this worker number since the start of the instance
	LogLost    int64         // request lines that could not be written, likewise
	Apps       []AppCounts   // in the order of Status.Apps, since the start of the instance
	Cores      []CoreStatus
}

// CoreStatus is one exchange that a worker may have in hand: where it has no loop, one thread.
type CoreStatus struct {
	Busy                                                         bool
	Request                                                      string // "IP METHOD URI"
	Since                                                        time.Time
	Requests, Static, Offloaded, ReadErrs, WriteErrs, Exceptions int64
}

func (s *Supervisor) snapshot() Status {
	st := Status{
		Phase: s.phase, Paused: s.paused, Reloads: s.reloads, LastReload: s.reloaded,
	}
	if s.rows != nil {
		st.Requests = s.rows.board.TotalRequests()
	}
	seen := map[*process]bool{}
	if g := s.gen; g != nil {
		st.Generation, st.Apps = g.n, g.apps
		if g.state != dead {
			st.LoaderPID = g.ld.PID()
		}
		for _, sl := range g.slots {
			seen[sl.cur] = true
			st.Workers = append(st.Workers, s.workerStatus(sl.n, sl.tally, sl.cur))
		}
	}
	for _, p := range s.procs {
		if !seen[p] && (p.state >= draining || s.gen == nil) {
			st.Leaving = append(st.Leaving, s.workerStatus(p.slot.n, p.slot.tally, p))
		}
	}
	slices.SortFunc(st.Leaving, func(a, b WorkerStatus) int { return a.PID - b.PID })
	return st
}

// workerStatus describes a worker number and the process it has, nil = none.
func (s *Supervisor) workerStatus(n int, t *tally, p *process) WorkerStatus {
	w := WorkerStatus{
		Slot: n, State: "cheap", Requests: t.past.requests, Exceptions: t.past.exceptions, TX: t.past.tx,
		Running: micros(t.past.running),
		Refused: t.past.refused, LogLost: t.past.logLost, Harakiris: t.harakiris, Spawns: t.spawns,
		LastSpawn: t.spawned,
	}
	if p == nil {
		w.Apps = slices.Clone(t.past.apps[:])
		return w
	}
	board := p.gen.rows.board
	row := board.Row(p.row)
	c := p.gen.rows.read(p.row)
	w.PID, w.Generation, w.Accepting = p.pid, p.gen.n, row.Accepting.Load() != 0
	sum := t.past
	sum.add(c)
	w.Apps = slices.Clone(sum.apps[:])
	w.Delta, w.Requests = c.requests, w.Requests+c.requests
	w.Exceptions, w.TX, w.Running = w.Exceptions+c.exceptions, w.TX+c.tx, w.Running+micros(c.running)
	w.Refused, w.LogLost = w.Refused+c.refused, w.LogLost+c.logLost
	w.AvgRT, w.Conns = micros(row.AvgRT.Load()), row.Conns.Load()
	if p.pid != 0 {
		s.measure(p)
	}
	w.RSS, w.VSZ = p.rss, p.vsz
	w.InFlight, w.Websockets = p.inFlight()
	if w.Looped = p.looped(); w.Looped {
		w.Lag = p.lag()
	}
	for i := range board.Used(p.row) {
		cell := board.Cell(p.row, i)
		cs := CoreStatus{
			Requests: cell.Requests.Load(), Static: cell.Static.Load(), Offloaded: cell.Offloaded.Load(),
			ReadErrs: cell.ReadErrs.Load(), WriteErrs: cell.WriteErrs.Load(), Exceptions: cell.Exceptions.Load(),
		}
		if cell.State.Load() == scoreboard.CellBusy {
			cs.Busy, cs.Request, cs.Since = true, cell.GetSnap(), time.Unix(cell.StartedAt.Load(), 0)
		}
		w.Cores = append(w.Cores, cs)
	}
	busy, _ := s.saturation(p)
	w.State = s.stateName(p, busy)
	return w
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

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

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
