package dataplane

import (
	"slices"
	"time"

	"uwsgi/internal/accesslog"
	"uwsgi/internal/scoreboard"
	"uwsgi/internal/wire"
)

// What the uwsgi module of Python is made of.

// Cores is the number of threads that serve.
func (e *Engine) Cores() int { return len(e.cores) }

// Descriptors are the server's: listening sockets, epoll sets, control sockets.
func (e *Engine) Descriptors() []int {
	fds := []int{e.epfd, e.wakefd, e.house.epfd, e.control}
	for _, fd := range []int{e.boot.HandoffFD, e.boot.HandoffInFD} {
		if fd > 2 {
			fds = append(fds, fd)
		}
	}
	for _, l := range e.listeners {
		fds = append(fds, l.FD)
	}
	return fds
}

// Requests is the number of requests finished on this core.
func (x *Exchange) Requests() int64 { return x.cell.Requests.Load() }

// SetLogVar sets a variable for log-format, for the request in hand.
func (x *Exchange) SetLogVar(name, value string) {
	x.logVars = append(x.logVars, accesslog.LogVar{Key: []byte(name), Val: []byte(value)}) // of two the later counts
}

// LogVar gives it back.
func (x *Exchange) LogVar(name string) (string, bool) {
	for _, v := range slices.Backward(x.logVars) {
		if string(v.Key) == name {
			return string(v.Val), true
		}
	}
	return "", false
}

// AddVar adds a variable to the request in hand, for the log; the application has its environ
// already. False: the variables would exceed buffer-size.
func (x *Exchange) AddVar(name, value string) bool {
	if x.req.PacketSize()+4+len(name)+len(value) > x.eng.settings.BufferSize {
		return false
	}
	x.req.AddVarString(name, value)
	return true
}

// ForceLog makes the request in hand be logged whatever the options say.
func (x *Exchange) ForceLog() { x.forced = true }

// SetDeadline sets a harakiri for the request in hand alone, in seconds from now; 0 clears it.
func (x *Exchange) SetDeadline(seconds int64) {
	if seconds <= 0 {
		x.cell.Deadline.Store(0)
		return
	}
	const longest = 100 * 365 * 24 * 60 * 60
	at := monotonic() + min(seconds, longest)*int64(time.Second)
	x.cell.Deadline.Store(at)
	if at < x.eng.row.NextScan.Load() {
		x.eng.Tell(wire.Report{Op: wire.OpDeadline})
	}
}

// Worker is one worker as uwsgi.workers() shows it; times in µs, sizes in bytes.
type Worker struct {
	ID           int         `json:"id"`
	PID          int         `json:"pid"`
	Requests     int64       `json:"requests"`
	Delta        int64       `json:"delta_requests"`
	Exceptions   int64       `json:"exceptions"`
	Status       string      `json:"status"`
	RSS          int64       `json:"rss"`
	VSZ          int64       `json:"vsz"`
	RunningTime  int64       `json:"running_time"`
	LastSpawn    int64       `json:"last_spawn"`
	RespawnCount int64       `json:"respawn_count"`
	TX           int64       `json:"tx"`
	AvgRT        int64       `json:"avg_rt"`
	Apps         []WorkerApp `json:"apps"`
}

// WorkerApp is one application of a worker.
type WorkerApp struct {
	ID         int    `json:"id"`
	Mountpoint string `json:"mountpoint"`
	Requests   int64  `json:"requests"`
	Exceptions int64  `json:"exceptions"`
}

// Workers reads the scoreboard: one entry a slot, in order.
func (e *Engine) Workers() []Worker {
	out := make([]Worker, e.settings.Processes)
	for i := range out {
		out[i] = Worker{ID: i + 1, Status: "cheap"}
	}
	for i := range e.board.Rows() {
		row := e.board.Row(i)
		slot := int(row.Slot.Load())
		if slot < 1 || slot > len(out) || row.PID.Load() == 0 {
			continue
		}
		w := &out[slot-1]
		if w.PID != 0 && row.Accepting.Load() == 0 {
			continue // the one that is being replaced
		}
		*w = Worker{
			ID: slot, PID: int(row.PID.Load()), Requests: row.Base.Load() + row.Requests.Load(),
			Delta:      row.Requests.Load(),
			Exceptions: row.Exceptions.Load(), Status: "idle", RSS: row.RSS.Load(), VSZ: row.VSZ.Load(),
			RunningTime: row.Running.Load(), TX: row.TX.Load(), AvgRT: row.AvgRT.Load(),
			LastSpawn: int64(row.Spawned.Load()), RespawnCount: int64(row.Respawns.Load()),
		}
		if busy, _ := e.board.Saturation(i); busy {
			w.Status = "busy"
		}
		for id, point := range e.points {
			app := WorkerApp{ID: id, Mountpoint: point}
			if a := row.App(id); a != nil {
				app.Requests, app.Exceptions = a.Requests.Load(), a.Exceptions.Load()
			}
			w.Apps = append(w.Apps, app)
		}
	}
	return out
}

// Doing lists the requests in hand: "IP METHOD URI" and the epoch second of its start.
func (e *Engine) Doing() [][2]any {
	out := [][2]any{}
	for _, x := range e.used() {
		if x.cell.State.Load() == scoreboard.CellBusy {
			out = append(out, [2]any{x.cell.GetSnap(), x.cell.StartedAt.Load()})
		}
	}
	return out
}
