// Package logging is the supervisor's side of the log: where server messages go, what the workers
// write to their standard error, and the request lines where a worker cannot write them itself.
//
// # The way of a line
//
// A source (the supervisor itself, a worker's pipe, the request socket) makes a record. A chain
// decides on it (log-drain, log-filter, log-route, the loggers), each logger's encoders shape it,
// and a sink writes it: standard error, a file, a datagram socket, syslog, the journal. A record is
// a message, not a line: a traceback is one.
//
// # Shortcuts
//
// Where nothing stands between a line and one descriptor (plain standard error, a plain file), the
// workers get that descriptor and write by themselves; under systemd their request lines go to the
// journal straight from them.
//
// # Ownership
//
// One mutex guards chains and sinks. Readers of pipes are goroutines that end at end of file; Close
// waits for them.
package logging
