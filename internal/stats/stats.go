// Package stats is an instance at one moment: the supervisor fills a Snapshot, and the stats server,
// `uwsgi list` and SIGUSR1 show it.
package stats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"uwsgi/internal/option"
)

// Snapshot is the instance as the stats server shows it.
type Snapshot struct {
	Version       string
	PID, UID, GID int
	CWD           string
	Stopping      bool // it serves on, for shutdown-delay
	Generation    int  // in force: how often a loader took its place, 0 = none yet
	Reloads       int  // that succeeded
	LastReload    Reload
	Sockets       []Socket
	Workers       []Worker
	Daemons       []Daemon
	Crons         []Cron
	Locks         []int // process ids of those who hold the user's, 0 = nobody
}

// Reload is how the last reload went.
type Reload struct {
	At     time.Time // when it was over; zero = there was none
	Took   time.Duration
	Reason string
	Error  string // why it failed, "" = it did not
}

// Socket is one listening socket; Queue and MaxQueue count waiting connections.
type Socket struct {
	Name, Proto     string
	Queue, MaxQueue int
	Shared          bool
}

// Worker is one worker number.
type Worker struct {
	ID, PID          int
	Accepting        bool
	Requests, Delta  int64 // since the start of the instance, since this process began
	Exceptions       int64
	Harakiris        int
	Status           string // idle, busy, cheap, pause, sigN
	RSS, VSZ         int64
	Running, Average time.Duration
	LastSpawn        time.Time
	Respawns         int // 1 for the first process
	TX               int64
	Generation       int   // of its process, 0 = it has none
	Connections      int64 // open
	InFlight         int   // requests in hand, websockets among them
	Websockets       int
	LoopLag          time.Duration // what is ready waits so long for the event loop; 0 without one
	Refused          int64         // connections answered 503: no more could be taken in
	LogLost          int64         // request lines that could not be written
	Apps             []App
	Cores            []Core
}

// App is one application of a worker.
type App struct {
	ID                   int
	Mountpoint           string
	Startup              time.Duration
	Requests, Exceptions int64
	Chdir                string
}

// Core is one thread of a worker. Request is "IP METHOD URI" while it has one.
type Core struct {
	Requests, Static, Offloaded, ReadErrors, WriteErrors, Exceptions int64
	Busy                                                             bool
	Request                                                          string
	Since                                                            time.Time
}

// Daemon is one attached daemon; PID 0 = down.
type Daemon struct {
	Command  string
	PID      int
	Respawns int
}

// Cron is one timed command; PID -1 = not running.
type Cron struct {
	option.Cron
	PID       int
	StartedAt time.Time // zero = never
}

// The document, in uWSGI's order and with its types: 0 and 1 for truth. What uWSGI does not have
// comes last in each object.
type (
	statsDoc struct {
		Version     string           `json:"version"`
		Queue       int              `json:"listen_queue"`
		QueueErrors int              `json:"listen_queue_errors"`
		SignalQueue int              `json:"signal_queue"`
		Load        int              `json:"load"`
		PID         int              `json:"pid"`
		UID         int              `json:"uid"`
		GID         int              `json:"gid"`
		CWD         string           `json:"cwd"`
		Daemons     []daemonDoc      `json:"daemons,omitempty"`
		Locks       []map[string]int `json:"locks"`
		Sockets     []socketDoc      `json:"sockets"`
		Workers     []workerDoc      `json:"workers"`
		Crons       []cronDoc        `json:"crons,omitempty"`

		Stopping   bool       `json:"stopping,omitempty"` // seen in shutdown-delay alone
		Generation int        `json:"generation"`
		Reloads    int        `json:"reloads"`
		LastReload *reloadDoc `json:"last_reload,omitempty"` // there was one
	}
	reloadDoc struct {
		At     int64  `json:"at"`   // epoch s
		Took   int64  `json:"took"` // µs
		Reason string `json:"reason"`
		Error  string `json:"error"`
	}
	daemonDoc struct {
		Command  string `json:"cmd"`
		PID      int    `json:"pid"`
		Respawns int    `json:"respawns"`
	}
	socketDoc struct {
		Name       string `json:"name"`
		Proto      string `json:"proto"`
		Queue      int    `json:"queue"`
		MaxQueue   int    `json:"max_queue"`
		Shared     int    `json:"shared"`
		CanOffload int    `json:"can_offload"`
	}
	workerDoc struct {
		ID          int       `json:"id"`
		PID         int       `json:"pid"`
		Accepting   int       `json:"accepting"`
		Requests    int64     `json:"requests"`
		Delta       int64     `json:"delta_requests"`
		Exceptions  int64     `json:"exceptions"`
		Harakiri    int       `json:"harakiri_count"`
		Signals     int       `json:"signals"`
		SignalQueue int       `json:"signal_queue"`
		Status      string    `json:"status"`
		RSS         int64     `json:"rss"`
		VSZ         int64     `json:"vsz"`
		Running     int64     `json:"running_time"`
		LastSpawn   int64     `json:"last_spawn"`
		Respawns    int       `json:"respawn_count"`
		TX          int64     `json:"tx"`
		AvgRT       int64     `json:"avg_rt"`
		Apps        []appDoc  `json:"apps"`
		Cores       []coreDoc `json:"cores,omitzero"`

		Generation  int   `json:"generation"`
		Connections int64 `json:"connections"`
		InFlight    int   `json:"in_flight"`
		Websockets  int   `json:"websockets"`
		LoopLag     int64 `json:"loop_lag"` // µs
		Refused     int64 `json:"refused"`
		LogLost     int64 `json:"log_lost"`
	}
	appDoc struct {
		ID         int    `json:"id"`
		Modifier1  int    `json:"modifier1"`
		Mountpoint string `json:"mountpoint"`
		Startup    int64  `json:"startup_time"`
		Requests   int64  `json:"requests"`
		Exceptions int64  `json:"exceptions"`
		Chdir      string `json:"chdir"`
	}
	coreDoc struct {
		ID        int              `json:"id"`
		Requests  int64            `json:"requests"`
		Static    int64            `json:"static_requests"`
		Routed    int64            `json:"routed_requests"`
		Offloaded int64            `json:"offloaded_requests"`
		WriteErrs int64            `json:"write_errors"`
		ReadErrs  int64            `json:"read_errors"`
		InRequest int              `json:"in_request"`
		Vars      []string         `json:"vars"`
		ReqInfo   map[string]int64 `json:"req_info"`

		Exceptions int64 `json:"exceptions"`
	}
	cronDoc struct {
		Minute  int    `json:"minute"`
		Hour    int    `json:"hour"`
		Day     int    `json:"day"`
		Month   int    `json:"month"`
		Week    int    `json:"week"`
		Command string `json:"command"`
		Unique  int    `json:"unique"`
		Legion  string `json:"legion"`
		PID     int    `json:"pid"`
		Started int64  `json:"started_at"`
	}
)

// lockNames are the locks that uWSGI has beside those of the user; none of them is ever held here.
var lockNames = []string{"signal", "filemon", "timer", "rbtimer", "cron", "rpc", "snmp"}

// JSON is the document of the stats server. Text is escaped: it is always valid JSON in valid
// UTF-8, which uWSGI's is not.
func (s Snapshot) JSON(minified, noCores bool) []byte {
	doc := statsDoc{
		Version: s.Version, PID: s.PID, UID: s.UID, GID: s.GID, CWD: s.CWD, Sockets: []socketDoc{},
		Workers:  []workerDoc{},
		Stopping: s.Stopping, Generation: s.Generation, Reloads: s.Reloads,
	}
	if r := s.LastReload; !r.At.IsZero() {
		doc.LastReload = &reloadDoc{At: epoch(r.At), Took: r.Took.Microseconds(), Reason: r.Reason, Error: r.Error}
	}
	for n, holder := range s.Locks {
		doc.Locks = append(doc.Locks, map[string]int{fmt.Sprintf("user %d", n): holder})
	}
	for _, n := range lockNames {
		doc.Locks = append(doc.Locks, map[string]int{n: 0})
	}
	for _, k := range s.Sockets {
		doc.Queue = max(doc.Queue, k.Queue)
		doc.Sockets = append(doc.Sockets, socketDoc{Name: k.Name, Proto: k.Proto, Queue: k.Queue, MaxQueue: k.MaxQueue,
			Shared: bit(k.Shared)})
	}
	doc.Load = doc.Queue
	for _, d := range s.Daemons {
		doc.Daemons = append(doc.Daemons, daemonDoc(d))
	}
	for _, c := range s.Crons {
		doc.Crons = append(doc.Crons, cronDoc{Minute: c.Minute, Hour: c.Hour, Day: c.Day, Month: c.Month, Week: c.Week,
			Command: c.Command,
			Unique:  bit(c.Unique), PID: c.PID, Started: epoch(c.StartedAt)})
	}
	for _, w := range s.Workers {
		doc.Workers = append(doc.Workers, w.doc(noCores))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if !minified {
		enc.SetIndent("", "\t")
	}
	if err := enc.Encode(doc); err != nil {
		return []byte("{}\n") // no value in there can fail
	}
	return b.Bytes()
}

func (w Worker) doc(noCores bool) workerDoc {
	d := workerDoc{
		ID: w.ID, PID: w.PID, Accepting: bit(w.Accepting), Requests: w.Requests, Delta: w.Delta,
		Exceptions: w.Exceptions, Harakiri: w.Harakiris,
		Status: w.Status, RSS: w.RSS, VSZ: w.VSZ, Running: w.Running.Microseconds(), LastSpawn: epoch(w.LastSpawn),
		Respawns: w.Respawns,
		TX:       w.TX, AvgRT: w.Average.Microseconds(), Apps: []appDoc{},
		Generation: w.Generation, Connections: w.Connections, InFlight: w.InFlight, Websockets: w.Websockets,
		LoopLag: w.LoopLag.Microseconds(), Refused: w.Refused, LogLost: w.LogLost,
	}
	for _, a := range w.Apps {
		d.Apps = append(d.Apps, appDoc{ID: a.ID, Mountpoint: a.Mountpoint, Startup: int64(a.Startup.Seconds()),
			Requests:   a.Requests,
			Exceptions: a.Exceptions, Chdir: a.Chdir})
	}
	if noCores {
		return d
	}
	d.Cores = []coreDoc{}
	for i, c := range w.Cores {
		k := coreDoc{ID: i, Requests: c.Requests, Static: c.Static, Offloaded: c.Offloaded, WriteErrs: c.WriteErrors,
			ReadErrs:   c.ReadErrors,
			Exceptions: c.Exceptions, InRequest: bit(c.Busy), Vars: []string{}, ReqInfo: map[string]int64{}}
		if c.Busy {
			k.Vars = requestVars(c.Request)
			k.ReqInfo["request_start"] = epoch(c.Since)
		}
		d.Cores = append(d.Cores, k)
	}
	return d
}

// requestVars shows what a core works on: address, method and URI. uWSGI shows every variable,
// cookies and passwords too.
func requestVars(request string) []string {
	var vars []string
	parts := strings.SplitN(request, " ", 3)
	for i, name := range []string{"REMOTE_ADDR", "REQUEST_METHOD", "REQUEST_URI"} {
		if i < len(parts) && parts[i] != "" {
			vars = append(vars, name+"="+parts[i])
		}
	}
	return append(vars, "") // as uWSGI ends the list
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func epoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
