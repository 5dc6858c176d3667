// Package wire is what the processes of an instance tell each other: the boot document, the words
// and the messages. internal/loader/doc.go tells who says what when. It stands apart from that
// package so that a worker does not carry the supervisor's end.
package wire

import "uwsgi/internal/option"

// Boot is what a loader and its workers are told at birth, as JSON in a memfd (descriptor 4).
type Boot struct {
	Settings   *option.Settings
	Instance   string // Settings.Name
	Version    string // this program's version, for uwsgi.version
	LibDir     string // where loader.py, uwsgi.py and the worker library are
	Generation int
	MasterPID  int
	Reloads    int
	Lazy       bool // the workers import the application, each for itself
	// where importing it fails on a lock or an address, it is tried once more otherwise: not worth
	// a traceback
	Again     bool
	StartedOn int64 // epoch seconds of the supervisor's start

	Listeners    []Listener
	ScoreboardFD int
	// SOCK_SEQPACKET, one end for all workers: connections handed to whoever is free are sent and
	// received here
	HandoffFD   int
	HandoffInFD int // the end that is received from
	LockFD      int // a file that all generations share, whose bytes are uwsgi.lock's locks
	RedisFD     int // where connections to the agent begin (package redis); -1 = nothing needs Redis

	AlarmFD int // a datagram socket: an alarm's name, a zero byte, the message; -1 = there are no alarms

	Areas []Area // memory to share
	// Queues are those of messages for mules; Hands[n-1] is a memfd with the message that mule n is
	// at. Both outlive processes and generations (internal/python/uwsgi_mule.py).
	Queues []Queue
	Hands  []int

	RequestLog RequestLog
	// Marked: the supervisor reads what the loader and the workers write to standard error, and
	// takes the severity of a line from a mark before it, "<4>" (sd-daemon(3)).
	Marked   bool
	Unsetenv []string          // variables of the loader's own environment that the application must not see
	Setenv   map[string]string // and those it must see instead
}

// Warning is what a line about something that somebody should read begins with.
func (b *Boot) Warning() string {
	if b.Marked {
		return "<4>"
	}
	return ""
}

// Listener is one listening socket that the loader inherits.
type Listener struct {
	FD       int
	Name     string // as uWSGI shows it: 127.0.0.1:8000, /run/x.sock, @name
	Protocol string
	Option   string
	// Inherited: somebody else made it and keeps it when the instance ends, with what waits in its
	// queue.
	Inherited bool
	// connections that may wait before they are taken in ahead or turned away; 0 = as many as the
	// kernel keeps
	Backlog int
}

// Area is memory that all processes share; internal/area makes it, cmd/uwsgi-shared works in it.
type Area struct {
	Kind string // which functions open it: KIND_open(name, fd)
	Name string
	FD   int
}

// Queue is a queue of messages for mules: what is sent to In is received from Out, both
// SOCK_SEQPACKET.
type Queue struct {
	Name    string // "shared", "mule 1", "farm NAME"
	In, Out int
}

// RequestLog is where the workers write request lines.
type RequestLog struct {
	FD int // -1 = nowhere
	// "stream": bytes with a newline a line; "packet": one datagram a line, without the newline;
	// "journal": the journal's native protocol, FD is a connected datagram socket; "entry": a
	// datagram an entry of it, for the supervisor
	Kind string
}
