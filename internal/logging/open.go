package logging

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// target is the log file or address that the settings name, and the option. Under systemd daemonize
// names none: nothing goes to the background.
func target(s *option.Settings, journal bool) (option, value string) {
	switch {
	case s.LogTo2 != "":
		return "logto2", s.LogTo2
	case journal:
	case s.Daemonize != "" && s.DaemonizeLate:
		return "daemonize2", s.Daemonize
	case s.Daemonize != "":
		return "daemonize", s.Daemonize
	}
	if s.LogTo != "" {
		return "logto", s.LogTo
	}
	return "", ""
}

// openBase opens where lines go that no logger takes, and under systemd the journal, which gets
// them all.
func (l *Log) openBase() (base *logger, notes []string, err error) {
	name, value := target(l.set, l.env.Journal)
	if l.env.Journal {
		if l.aside, notes = l.openAside(); name == "" {
			return l.aside, notes, nil
		}
	}
	switch {
	case name == "":
		return &logger{name: "stderr", sink: l.keep(&fdSink{f: l.env.Stderr})}, nil, nil
	case strings.Contains(value, ":"):
		d, err := newDatagram(value)
		if err != nil {
			return nil, nil, option.Wrong(name, value, err)
		}
		return &logger{name: value, sink: l.keep(d)}, notes, nil
	}
	f, err := l.newFile(value, l.set.LogMaxSize, l.set.LogBackupName)
	if err != nil {
		return nil, nil, err
	}
	if l.aside == nil {
		f.moved = l.redirect
	}
	if name == "logto2" {
		f.files, f.owner = l.env.UserFiles, nil
	}
	if err := f.open(l.set.LogTruncate && !l.env.Reload); err != nil {
		if l.aside != nil { // nothing is lost, and before systemd's time root may have opened it
			return l.aside, append(notes, option.Wrong(name, value,
				err).Error()+"; the log is in the journal alone"), nil
		}
		return nil, nil, option.Wrong(name, value, err)
	}
	l.baseFile = f
	return &logger{name: value, sink: l.keep(f)}, notes, nil
}

// openAside opens the log that systemd has of this service.
func (l *Log) openAside() (*logger, []string) {
	j, err := sd.OpenJournal(l.env.JournalPath, sd.Field{Name: "SYSLOG_IDENTIFIER", Value: "uwsgi"},
		sd.Field{Name: "UWSGI_APP", Value: l.set.Name})
	if err != nil { // A chroot may hide the socket; standard error still leads to the journal.
		return &logger{name: "stderr", sink: l.keep(&fdSink{f: l.env.Stderr})},
			[]string{err.Error() + "; logging to standard error"}
	}
	l.journal = j
	var notes []string
	if l.set.Daemonize != "" {
		name := "daemonize"
		if l.set.DaemonizeLate {
			name = "daemonize2"
		}
		notes = append(notes, unusedUnderSystemd(name, l.set.Daemonize, l.env.Unit))
	}
	return &logger{name: "journal", sink: l.keep(&journalSink{j: j, mark: l.stamp.mark()})}, notes
}

// newFile describes a log file; it is not open yet.
func (l *Log) newFile(path string, max int64, backup string) (*fileSink, error) {
	abs, err := filepath.Abs(below(l.env.Dir, path))
	if err != nil {
		return nil, err
	}
	if backup != "" {
		if backup, err = filepath.Abs(below(l.env.Dir, backup)); err != nil {
			return nil, err
		}
	}
	f := &fileSink{path: abs, max: max, backup: backup, files: l.env.Files, now: l.env.Now}
	if f.mode, err = fileMode(l.set.LogfileChmod); err != nil {
		return nil, err
	}
	if l.set.LogfileChown {
		f.owner = l.env.Owner
	}
	l.files = append(l.files, f)
	return f, nil
}

// redirect puts a log file in the place of standard error: what this process, its hooks and its
// plain children write ends there too.
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
			return nil, option.Wrong(name, strings.TrimSpace(o.ID+" "+o.Kind+":"+o.Arg), err)
		}
		out = append(out, &logger{id: o.ID, name: strings.TrimSuffix(o.Kind+":"+o.Arg, ":"), sink: l.keep(s)})
	}
	return out, nil
}

func (l *Log) openLogger(o option.Logger) (sink, error) {
	if l.aside != nil && (o.Kind == "stdio" || o.Kind == "systemd") { // both are the journal
		return l.aside.sink, nil
	}
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
		j, err := sd.OpenJournal(l.env.JournalPath, sd.Field{Name: "SYSLOG_IDENTIFIER", Value: "uwsgi"},
			sd.Field{Name: "UWSGI_APP", Value: l.set.Name})
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
