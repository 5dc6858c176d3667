package supervisor

import (
	"os"

	"golang.org/x/sys/unix"
)

// requestLog is what workers of a generation to come write request lines to.
func (s *Supervisor) requestLog(cfg *Config) *os.File {
	if cfg == s.cfg && s.reqlog != nil {
		return s.reqlog
	}
	return cfg.RequestLog
}

// reopenRequestLog makes all workers write to f, nil = to what they reopen themselves.
func (s *Supervisor) reopenRequestLog(f *os.File) {
	s.setRequestLog(f)
	s.logEpoch++
	for _, p := range s.procs {
		if p.state >= serving && p.state < killed {
			s.obeyed(p, p.w.ReopenLog(f))
		}
	}
}

func (s *Supervisor) setRequestLog(f *os.File) {
	if s.reqlog != nil {
		s.reqlog.Close()
	}
	s.reqlog = f
}

// duplicate is a second descriptor of f's file, nil for nil.
func duplicate(f *os.File) (*os.File, error) {
	if f == nil {
		return nil, nil
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3) })
	if cerr != nil {
		return nil, cerr
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
