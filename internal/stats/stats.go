// Package stats is an instance at one moment: the supervisor fills a Snapshot, and the stats server
// and `uwsgi list` show it as it is. A figure has two places: the scoreboard, where a worker counts
// it, and a field here.
package stats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Snapshot is the document of the stats server, in uWSGI's order and with its names and types.
// Times are seconds of the epoch, 0 = never. What uWSGI does not have comes last in each object.
type Snapshot struct {
	Version     string           `json:"version"`
	Queue       int              `json:"listen_queue"` // the longest of the sockets'
	QueueErrors int              `json:"listen_queue_errors"`
	SignalQueue int              `json:"signal_queue"`
	Load        int              `json:"load"` // = Queue
	PID         int              `json:"pid"`
	UID         int              `json:"uid"`
	GID         int              `json:"gid"`
	CWD         string           `json:"cwd"`
	Daemons     []Daemon         `json:"daemons,omitempty"`
	Locks       []map[string]int `json:"locks"` // see Locks
	Metrics     Metrics          `json:"metrics,omitempty"`
	Sockets     []Socket         `json:"sockets"`
	Workers     []Worker         `json:"workers"` // by number: those in force
	Crons       []Cron           `json:"crons,omitempty"`
	Caches      []Cache          `json:"caches,omitempty"`
	Signals     []Signal         `json:"signals,omitempty"` // that the application has registered
	Mules       []Mule           `json:"mules,omitempty"`
	Spoolers    []Spooler        `json:"spoolers,omitempty"`
	Alarms      []Alarm          `json:"alarms,omitempty"`

	Stopping   bool    `json:"stopping,omitempty"` // it serves on, for shutdown-delay
	Generation int     `json:"generation"`         // in force: how often a loader took its place, 0 = none yet
	Reloads    int     `json:"reloads"`            // that succeeded
	LastReload *Reload `json:"last_reload,omitempty"`
}

// Reload is how the last reload went.
type Reload struct {
	At     int64  `json:"at"`   // when it was over
	Took   int64  `json:"took"` // µs
	Reason string `json:"reason"`
	Error  string `json:"error"` // why it failed, "" = it did not
}

// Daemon is one attached daemon; PID 0 = down.
type Daemon struct {
	Command  string `json:"cmd"`
	PID      int    `json:"pid"`
	Respawns int    `json:"respawns"`
}

// Alarm is one alarm.
type Alarm struct {
	Name       string `json:"name"`
	Action     string `json:"action"`
	Raised     int64  `json:"raised"`
	Suppressed int64  `json:"suppressed"` // by alarm-freq
	Dropped    int64  `json:"dropped"`    // since it was slower than they came
	Failed     int64  `json:"failed"`
	LastRaised int64  `json:"last_raised"`
}

// Cache is one cache of uwsgi.cache_*; sizes are bytes. Of one in Redis there is what the calls of
// this instance came to.
type Cache struct {
	Name string `json:"name"`
	*CacheTable
	KeySize   int64 `json:"keysize"`   // of the longest key
	BlockSize int64 `json:"blocksize"` // of a value, or, with bitmap, of its parts
	Hits      int64 `json:"hits"`
	Misses    int64 `json:"miss"`
	Full      int64 `json:"full"`

	URL    string `json:"url,omitempty"`    // where Redis is, without a password
	Failed int64  `json:"failed,omitempty"` // calls that Redis did not answer, or refused
}

// CacheTable is what there is of a cache in shared memory.
type CacheTable struct {
	Hash     string `json:"hash"`
	HashSize int64  `json:"hashsize"`
	MaxItems int64  `json:"max_items"`
	Blocks   int64  `json:"blocks"`
	Items    int64  `json:"items"`

	Evictions int64 `json:"evictions"`
	Expired   int64 `json:"expired"` // found to be over
	Bytes     int64 `json:"bytes"`   // of the values
}

// Socket is one listening socket; Queue and MaxQueue count waiting connections.
type Socket struct {
	Name       string `json:"name"`
	Proto      string `json:"proto"`
	Queue      int    `json:"queue"`
	MaxQueue   int    `json:"max_queue"`
	Shared     Bit    `json:"shared"`
	CanOffload int    `json:"can_offload"`
}

// Worker is one worker number and the process it has.
type Worker struct {
	ID          int    `json:"id"`
	PID         int    `json:"pid"` // 0 = no process
	Accepting   Bit    `json:"accepting"`
	Requests    int64  `json:"requests"`       // since the start of the instance
	Delta       int64  `json:"delta_requests"` // since this process began
	Exceptions  int64  `json:"exceptions"`
	Harakiris   int    `json:"harakiri_count"`
	Signals     int    `json:"signals"`
	SignalQueue int    `json:"signal_queue"`
	Status      string `json:"status"`       // idle, busy, cheap, pause, starting, draining, dying
	RSS         int64  `json:"rss"`          // bytes
	VSZ         int64  `json:"vsz"`          // bytes, without what the data plane reserved
	Running     int64  `json:"running_time"` // µs
	LastSpawn   int64  `json:"last_spawn"`
	Spawns      int    `json:"respawn_count"` // 1 for the first process
	TX          int64  `json:"tx"`
	AvgRT       int64  `json:"avg_rt"` // µs
	Apps        []App  `json:"apps"`
	Cores       []Core `json:"cores,omitzero"`

	Generation  int   `json:"generation"`  // of its process, 0 = it has none
	Connections int64 `json:"connections"` // open
	InFlight    int   `json:"in_flight"`   // exchanges in hand, websockets among them
	Websockets  int   `json:"websockets"`
	LoopLag     int64 `json:"loop_lag"` // µs that what is ready waits for the event loop; 0 without one
	Refused     int64 `json:"refused"`  // connections answered 503: no more could be taken in
	LogLost     int64 `json:"log_lost"` // request lines that could not be written
}

// Mule is one mule and the process it has.
type Mule struct {
	ID         int    `json:"id"`
	PID        int    `json:"pid"`    // 0 = no process
	Status     string `json:"status"` // down, starting, running, busy (known with a deadline), draining, dying
	RSS        int64  `json:"rss"`    // bytes
	VSZ        int64  `json:"vsz"`
	LastSpawn  int64  `json:"last_spawn"`
	Spawns     int    `json:"respawn_count"` // 1 for the first process
	Harakiris  int    `json:"harakiri_count"`
	Generation int    `json:"generation"` // of its process, 0 = it has none
}

// Spooler is one process of a spooler.
type Spooler struct {
	Dir        string `json:"dir"`
	PID        int    `json:"pid"`      // 0 = no process
	Tasks      int64  `json:"tasks"`    // that were run, however they ended
	Respawns   int    `json:"respawns"` // processes after the first one
	Running    int    `json:"running"`  // 1 = it has a job in hand
	Since      int64  `json:"running_since,omitempty"`
	Status     string `json:"status"` // as a mule's; external: another instance runs the jobs
	RSS        int64  `json:"rss"`    // bytes
	VSZ        int64  `json:"vsz"`
	LastSpawn  int64  `json:"last_spawn"`
	Harakiris  int    `json:"harakiri_count"`
	Generation int    `json:"generation"` // of its process, 0 = it has none
}

// App is one application of a worker.
type App struct {
	ID         int    `json:"id"`
	Modifier1  int    `json:"modifier1"`
	Mountpoint string `json:"mountpoint"`
	Startup    int64  `json:"startup_time"` // s
	Requests   int64  `json:"requests"`     // since the start of the instance
	Exceptions int64  `json:"exceptions"`
	Chdir      string `json:"chdir"`
	Interface  string `json:"interface"` // wsgi, asgi
}

// Core is one exchange that a worker may have in hand: where it has no loop, one thread.
type Core struct {
	ID        int      `json:"id"`
	Requests  int64    `json:"requests"`
	Static    int64    `json:"static_requests"`
	Routed    int64    `json:"routed_requests"`
	Offloaded int64    `json:"offloaded_requests"`
	WriteErrs int64    `json:"write_errors"`
	ReadErrs  int64    `json:"read_errors"`
	Busy      Bit      `json:"in_request"`
	Vars      []string `json:"vars"` // of the request it has, see Vars
	Request   Request  `json:"req_info"`

	Exceptions int64 `json:"exceptions"`
}

// Request is what a core works on; empty while it is idle.
type Request struct {
	Since int64 `json:"request_start,omitzero"`
}

// Signal is one signal of uWSGI's that the application has registered, and how its handler last
// ran.
type Signal struct {
	Signal    int      `json:"signal"`
	Target    string   `json:"target"`
	Sources   []string `json:"sources,omitempty"` // what raises it by itself: "timer 5s"
	Runs      int64    `json:"runs"`
	Failures  int64    `json:"failures"`  // of them
	Coalesced int64    `json:"coalesced"` // ticks that came while the handler was due or ran
	LastRun   int64    `json:"last_run"`  // when it began
	Took      int64    `json:"took"`      // µs
	Ended     string   `json:"ended"`     // ok, running, or what went wrong
}

// Cron is one timed command; PID -1 = not running.
type Cron struct {
	Minute    int    `json:"minute"`
	Hour      int    `json:"hour"`
	Day       int    `json:"day"`
	Month     int    `json:"month"`
	Week      int    `json:"week"`
	Command   string `json:"command"`
	Unique    Bit    `json:"unique"`
	Legion    string `json:"legion"`
	PID       int    `json:"pid"`
	StartedAt int64  `json:"started_at"` // the last run

	Runs     int64  `json:"runs"`
	Failures int64  `json:"failures"` // of them
	Took     int64  `json:"took"`     // µs
	Ended    string `json:"ended"`    // ok, running, or how else: "exited with status 1"
}

// Bit is a truth that uWSGI shows as 0 or 1.
type Bit bool

// MarshalJSON is 0 or 1.
func (b Bit) MarshalJSON() ([]byte, error) {
	if b {
		return []byte{'1'}, nil
	}
	return []byte{'0'}, nil
}

// SetSockets sets the sockets, and by them the queue and the load.
func (s *Snapshot) SetSockets(list []Socket) {
	s.Sockets, s.Queue = list, 0
	for _, sock := range list {
		s.Queue = max(s.Queue, sock.Queue)
	}
	s.Load = s.Queue
}

// lockNames are the locks that uWSGI has beside those of the user; none of them is ever held here.
var lockNames = []string{"signal", "filemon", "timer", "rbtimer", "cron", "rpc", "snmp"}

// Locks shows the locks: holders are the process ids of those who hold the user's, 0 = nobody.
func Locks(holders []int) []map[string]int {
	var all []map[string]int
	for n, holder := range holders {
		all = append(all, map[string]int{fmt.Sprintf("user %d", n): holder})
	}
	for _, name := range lockNames {
		all = append(all, map[string]int{name: 0})
	}
	return all
}

// Vars shows what a core works on, "IP METHOD URI": uWSGI shows every variable, cookies and
// passwords too.
func Vars(request string) []string {
	var vars []string
	parts := strings.SplitN(request, " ", 3)
	for i, name := range []string{"REMOTE_ADDR", "REQUEST_METHOD", "REQUEST_URI"} {
		if i < len(parts) && parts[i] != "" {
			vars = append(vars, name+"="+parts[i])
		}
	}
	return append(vars, "") // as uWSGI ends the list
}

// JSON is the document, on one line if it is minified. Text is escaped: it is always valid JSON in
// valid UTF-8, which uWSGI's is not.
func (s Snapshot) JSON(minified, noCores bool) []byte {
	s.Sockets = list(s.Sockets)
	s.Workers = append([]Worker{}, s.Workers...)
	for i := range s.Workers {
		w := &s.Workers[i]
		w.Apps, w.Cores = list(w.Apps), list(w.Cores)
		if noCores {
			w.Cores = nil
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if !minified {
		enc.SetIndent("", "\t")
	}
	if err := enc.Encode(s); err != nil {
		return []byte("{}\n") // no value in there can fail
	}
	return b.Bytes()
}

// list is l, which is shown as [] even if it is empty.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
