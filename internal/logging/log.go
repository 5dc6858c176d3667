package logging

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// Env is the world around a Log.
type Env struct {
	Stderr *os.File // where the log goes when nothing else is said; a log file takes its place (dup2), as in uWSGI
	Stdout *os.File // redirected along with Stderr to a log file; nil = leave alone
	// Journal: Stderr is the journal's (sd.JournalStream). Server messages and the workers' output then go there by the native protocol.
	Journal     bool
	JournalPath string           // "" = sd.JournalSocket
	SyslogPath  string           // "" = /dev/log
	Unit        string           // the systemd unit, for "journalctl -u"
	Hostname    string           // for rsyslog
	PID         int              // of the supervisor
	Reload      bool             // the instance runs already: log-truncate is past
	Owner       *Owner           // whom the application runs as: logfile-chown, logto2
	Now         func() time.Time // nil = time.Now
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
	sinks    []sink

	journal *sd.Journal // nil = not the journal
	readers readers
}

// New opens every destination of s. What the settings ask for in vain is an error; nothing stays open then.
func New(s *option.Settings, env Env) (*Log, error) {
	if env.Now == nil {
		env.Now = time.Now
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
	l.server = &chain{base: base, complain: l.complain}
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
	r := &chain{base: base, complain: l.complain}
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

// target is the log file or address that the settings name, and the option.
func (l *Log) target() (option, value string) {
	switch {
	case l.set.LogTo2 != "":
		return "logto2", l.set.LogTo2
	case l.set.Daemonize != "" && l.set.DaemonizeLate:
		return "daemonize2", l.set.Daemonize
	case l.set.Daemonize != "":
		return "daemonize", l.set.Daemonize
	case l.set.LogTo != "":
		return "logto", l.set.LogTo
	}
	return "", ""
}

// openBase opens where lines go that no logger takes.
func (l *Log) openBase() (*logger, []string, error) {
	name, value := l.target()
	if l.env.Journal {
		j, err := sd.OpenJournal(l.env.JournalPath, sd.Field{Name: "SYSLOG_IDENTIFIER", Value: "uwsgi"}, sd.Field{Name: "UWSGI_APP", Value: l.set.Name})
		if err == nil {
			l.journal = j
			var notes []string
			if name != "" {
				notes = append(notes, unusedUnderSystemd(name, value, l.env.Unit))
			}
			return &logger{name: "journal", sink: l.keep(&journalSink{j: j, mark: l.stamp.mark()})}, notes, nil
		}
		// A chroot may hide the socket; standard error still leads to the journal.
		return &logger{name: "stderr", sink: l.keep(&fdSink{f: l.env.Stderr})}, []string{err.Error() + "; logging to standard error"}, nil
	}
	switch {
	case name == "":
		return &logger{name: "stderr", sink: l.keep(&fdSink{f: l.env.Stderr})}, nil, nil
	case strings.Contains(value, ":"):
		d, err := newDatagram(value)
		if err != nil {
			return nil, nil, fmt.Errorf("%s = %s: %w", name, value, err)
		}
		return &logger{name: value, sink: l.keep(d)}, nil, nil
	}
	f, err := l.newFile(value, l.set.LogMaxSize, l.set.LogBackupName)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	f.moved = l.redirect
	if name == "logto2" {
		f.asOwner, f.owner = true, l.env.Owner
	}
	if err := f.open(l.set.LogTruncate && !l.env.Reload); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	l.baseFile = f
	return &logger{name: value, sink: l.keep(f)}, nil, nil
}

// newFile describes a log file; it is not open yet.
func (l *Log) newFile(path string, max int64, backup string) (*fileSink, error) {
	f := &fileSink{path: path, max: max, backup: backup, now: l.env.Now}
	if l.set.LogfileChmod != "" {
		var n uint32
		if _, err := fmt.Sscanf(l.set.LogfileChmod, "%o", &n); err != nil || n > 0o777 {
			return nil, fmt.Errorf("logfile-chmod = %s: three octal digits are expected", l.set.LogfileChmod)
		}
		f.mode = os.FileMode(n)
	}
	if l.set.LogfileChown {
		f.owner = l.env.Owner
	}
	l.files = append(l.files, f)
	return f, nil
}

// redirect puts a log file in the place of standard error: what this process, its hooks and its plain children write ends there too.
func (l *Log) redirect(f *os.File) error {
	for _, std := range []*os.File{l.env.Stderr, l.env.Stdout} {
		if std == nil {
			continue
		}
		if err := unix.Dup3(int(f.Fd()), int(std.Fd()), 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	return nil
}

// openLoggers opens the destinations of logger or req-logger.
func (l *Log) openLoggers(name string, list []option.Logger) ([]*logger, error) {
	var out []*logger
	for _, o := range list {
		s, err := l.openLogger(o)
		if err != nil {
			return nil, fmt.Errorf("%s = %s:%s: %w", name, o.Kind, o.Arg, err)
		}
		out = append(out, &logger{id: o.ID, name: strings.TrimSuffix(o.Kind+":"+o.Arg, ":"), sink: l.keep(s)})
	}
	return out, nil
}

func (l *Log) openLogger(o option.Logger) (sink, error) {
	switch o.Kind {
	case "stdio":
		return &fdSink{f: l.env.Stderr}, nil
	case "fd":
		var n int
		if _, err := fmt.Sscanf(o.Arg, "%d", &n); err != nil {
			return nil, fmt.Errorf("%q is not a descriptor number", o.Arg)
		}
		dup, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", n, err)
		}
		return &ownedSink{fdSink{f: os.NewFile(uintptr(dup), o.Arg)}}, nil
	case "file":
		path, max, backup, err := fileArgument(o.Arg)
		if err != nil {
			return nil, err
		}
		f, err := l.newFile(path, max, backup)
		if err != nil {
			return nil, err
		}
		return f, f.open(false)
	case "syslog":
		return newSyslog(l.env.SyslogPath, o.Arg, l.env.PID, l.env.Now)
	case "rsyslog":
		return newRsyslog(o.Arg, l.env.Hostname, l.env.Now)
	case "socket":
		return newSocketLogger(o.Arg)
	case "systemd":
		j, err := sd.OpenJournal(l.env.JournalPath, sd.Field{Name: "SYSLOG_IDENTIFIER", Value: "uwsgi"}, sd.Field{Name: "UWSGI_APP", Value: l.set.Name})
		if err != nil {
			return nil, err
		}
		return &journalSink{j: j, mark: l.stamp.mark()}, nil
	}
	return nil, fmt.Errorf("unable to find logger %s", o.Kind)
}

// ownedSink is an fdSink whose descriptor is its own.
type ownedSink struct{ fdSink }

func (s *ownedSink) close() error { return errors.Join(s.flush(), s.f.Close()) }

// fileArgument reads PATH or logfile=PATH,maxsize=N,backupname=NAME.
func fileArgument(arg string) (path string, max int64, backup string, err error) {
	if !strings.HasPrefix(arg, "logfile=") && !strings.Contains(arg, ",logfile=") {
		if arg == "" {
			return "", 0, "", errors.New("a path is missing: file:/path")
		}
		return arg, 0, "", nil
	}
	for _, pair := range strings.Split(arg, ",") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "logfile":
			path = value
		case "backupname":
			backup = value
		case "maxsize":
			if _, err := fmt.Sscanf(value, "%d", &max); err != nil {
				return "", 0, "", fmt.Errorf("maxsize = %q is no number of bytes", value)
			}
		default:
			return "", 0, "", fmt.Errorf("%q is none of logfile, maxsize and backupname", key)
		}
	}
	return path, max, backup, nil
}

// keep notes a sink, to be closed.
func (l *Log) keep(s sink) sink {
	l.sinks = append(l.sinks, s)
	return s
}

// complain reports a destination that fails on standard error: the log itself may be what fails. The caller holds mu.
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

// Close takes in what the workers have written so far and closes every destination but standard error. The descriptors that WorkerStderr
// and RequestLog returned are the caller's.
func (l *Log) Close() error {
	l.readers.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeSinks()
}

// Reopen opens every log file anew: touch-logreopen, the l of the master FIFO.
func (l *Log) Reopen() error { return l.eachFile((*fileSink).reopen) }

// Rotate puts the log file aside: touch-logrotate, the L of the master FIFO. Without a log file it does nothing, as in uWSGI.
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

// Lost is the number of entries that the journal did not take.
func (l *Log) Lost() uint64 {
	if l.journal == nil {
		return 0
	}
	return l.journal.Lost()
}
