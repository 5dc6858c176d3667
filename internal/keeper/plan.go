package keeper

import (
	"uwsgi/internal/listen"
	"uwsgi/internal/option"
)

// Plan is everything that a keeper will ever act on. Paths are absolute.
type Plan struct {
	Master   int      // the supervisor's process id; Start sets it
	UID, GID int      // of the application
	Groups   []uint32 // the same
	Umask    int      // -1 = as it is
	Sockets  []listen.Order
	Logs     []Log
	Pidfiles []string
	FIFOs    []string
	Configs  []string
	Hooks    []option.Hook // those of the phases before the drop of privileges
	Dir      string        // where hooks run
	Environ  []string      // of hooks
	Daemons  []Daemon
}

// Log is a log file.
type Log struct {
	Path     string
	Truncate bool   // log-truncate; the first time it is opened
	Mode     uint32 // logfile-chmod, 0 = leave
	Chown    bool   // logfile-chown
	Backup   string // log-backupname, absolute; "" = PATH.TIME
}

// Daemon is an attached daemon with a user of its own.
type Daemon struct {
	Command  string // for /bin/sh -c
	Dir      string
	Environ  []string
	UID, GID uint32
	Groups   []uint32
	Free     bool // it outlives the instance
}

// request is one message to the keeper. A descriptor may come with it: where a hook or daemon
// writes to.
type request struct {
	ID     uint64
	Verb   string
	Name   string `json:",omitempty"` // of the object, for those that have one
	Number int    `json:",omitempty"` // of the object, or a process id of the keeper's
	Signal int    `json:",omitempty"`
}

// reply is its answer. A descriptor may come with it.
type reply struct {
	ID    uint64
	Error string `json:",omitempty"`
	Errno int    `json:",omitempty"`
	PID   int    `json:",omitempty"`
	Text  string `json:",omitempty"`
	Dev   uint64 `json:",omitempty"`
	Inode uint64 `json:",omitempty"`
}

// The verbs; doc.go has what they do.
const (
	verbSettle  = "settle"
	verbBind    = "bind"
	verbLog     = "log"
	verbRotate  = "rotate"
	verbPidfile = "pidfile"
	verbFIFO    = "fifo"
	verbRemove  = "remove"
	verbConfig  = "config"
	verbHook    = "hook"
	verbDaemon  = "daemon"
	verbWait    = "wait"
	verbSignal  = "signal"
)

// maxPacket is the longest message; a request is short, an answer holds an error or how a daemon
// ended.
const maxPacket = 8 << 10
