package logging

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// Env is the world around a Log.
type Env struct {
	Stderr *os.File // where the log goes when nothing else is said; a log file takes its place (dup2), as in uWSGI
	Stdout *os.File // redirected along with Stderr to a log file; nil = leave alone
	// Journal: Stderr is the journal's (sd.JournalStream). Server messages and the workers' output
	// then go there by the native protocol.
	Journal     bool
	JournalPath string           // "" = sd.JournalSocket
	SyslogPath  string           // "" = /dev/log
	Unit        string           // the systemd unit, for "journalctl -u"
	Hostname    string           // for rsyslog
	PID         int              // of the supervisor
	Dir         string           // where relative paths start; "" = the working directory
	Reload      bool             // the instance runs already: log-truncate is past
	Owner       *Owner           // whom the application runs as: logfile-chown
	Files       Files            // nil = OwnFiles
	UserFiles   Files            // with the rights of the application's user: logto2; nil = OwnFiles
	Now         func() time.Time // nil = time.Now
	// Alarm looks at every line of the server's log, before log-drain does; it must be quick and
	// not write to the log itself. nil = nobody does.
	Alarm func(text string)
}

// Log is the log of one configuration. It is safe for concurrent use.
type Log struct {
	set   *option.Settings
	env   Env
	stamp stamper

	mu       sync.Mutex // guards what is below and every sink
	server   *chain     // server messages and what the workers print
	requests *chain     // request lines, where there are req-loggers; else server
	files    []*fileSink
	baseFile *fileSink // nil where base is no file
	aside    *logger   // under systemd its journal, or what leads there: it gets every line, whatever else does
	sinks    []sink

	journal *sd.Journal // nil = not the journal
	readers readers
}

// New opens every destination of s. What the settings ask for in vain is an error; nothing stays
// open then.
func New(s *option.Settings, env Env) (*Log, error) {
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Files == nil {
		env.Files = OwnFiles{}
	}
	if env.UserFiles == nil {
		env.UserFiles = OwnFiles{}
	}
	if env.SyslogPath == "" {
		env.SyslogPath = "/dev/log"
	}
	l := &Log{set: s, env: env, stamp: newStamper(s, env.Now)}
	notes, err := l.build()
	if err != nil {
		return nil, errors.Join(err, l.closeSinks())
	}
	for _, n := range notes {
		l.Print(n)
	}
	return l, nil
}

func (l *Log) build() (notes []string, err error) {
	base, notes, err := l.openBase()
	if err != nil {
		return nil, err
	}
	l.server = &chain{base: base, aside: l.aside, complain: l.complain, alarm: l.env.Alarm}
	l.requests = l.server
	for _, step := range []func() error{
		func() (err error) { l.server.drain, err = compileAll("log-drain", l.set.LogDrain); return },
		func() (err error) { l.server.filter, err = compileAll("log-filter", l.set.LogFilter); return },
		func() (err error) {
			l.server.encoders, err = newEncoders("log-encoder", l.set.LogEncoders, l.env.Now)
			return
		},
		func() (err error) { l.server.loggers, err = l.openLoggers("logger", l.set.Loggers); return },
		func() error { return l.server.addRoutes("log-route", l.set.LogRoutes) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if len(l.set.ReqLoggers) == 0 && len(l.set.LogReqRoutes) == 0 && len(l.set.LogReqEncoders) == 0 {
		return notes, nil
	}
	r := &chain{base: base, aside: l.aside, complain: l.complain}
	if r.loggers, err = l.openLoggers("req-logger", l.set.ReqLoggers); err != nil {
		return nil, err
	}
	if r.encoders, err = newEncoders("log-req-encoder", l.set.LogReqEncoders, l.env.Now); err != nil {
		return nil, err
	}
	if err := r.addRoutes("log-req-route", l.set.LogReqRoutes); err != nil {
		return nil, err
	}
	if len(l.set.ReqLoggers) == 0 { // they only change request lines on their way to the loggers of all lines
		r.loggers = append(r.loggers, l.server.loggers...)
	}
	l.requests = r
	return notes, nil
}

// keep notes a sink, to be closed.
func (l *Log) keep(s sink) sink {
	if !slices.Contains(l.sinks, s) {
		l.sinks = append(l.sinks, s)
	}
	return s
}

// complain reports a destination that fails on standard error: the log itself may be what fails.
// The caller holds mu.
func (l *Log) complain(text string) { fmt.Fprintln(l.env.Stderr, text) }

func (l *Log) closeSinks() error {
	var errs []error
	for _, s := range l.sinks {
		if f, ok := s.(*fileSink); ok && f.f == nil {
			continue
		}
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// Close takes in what the workers have written so far and closes every destination but standard
// error. The descriptors that WorkerStderr and RequestLog returned are the caller's.
func (l *Log) Close() error {
	l.readers.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeSinks()
}

// Reopen opens every log file anew: touch-logreopen, the l of the master FIFO.
func (l *Log) Reopen() error { return l.eachFile((*fileSink).reopen) }

// Rotate puts the log file aside: touch-logrotate, the L of the master FIFO. Without a log file it
// does nothing, as in uWSGI.
func (l *Log) Rotate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.baseFile == nil {
		return nil
	}
	return l.baseFile.rotate()
}

func (l *Log) eachFile(do func(*fileSink) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, f := range l.files {
		if f.f != nil {
			errs = append(errs, do(f))
		}
	}
	return errors.Join(errs...)
}
