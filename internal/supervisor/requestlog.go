package supervisor

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// requestLog is where the workers write request lines, and what was lost of them.
type requestLog struct {
	file  *os.File // ours, from ReopenRequestLog; until the next configuration
	epoch int      // how often it was reopened
	lost  lostLines
}

// requestLogOf is what workers of a generation to come write request lines to.
func (s *Supervisor) requestLogOf(cfg *Config) *os.File {
	if cfg == s.cfg && s.requestLog.file != nil {
		return s.requestLog.file
	}
	return cfg.RequestLog
}

// reopenRequestLog makes all workers write to f, nil = to what they reopen themselves.
func (s *Supervisor) reopenRequestLog(f *os.File) {
	s.setRequestLog(f)
	s.requestLog.epoch++
	for _, p := range s.procs {
		if p.state >= serving && p.state < killed {
			s.obeyed(p, p.w.ReopenLog(f))
		}
	}
}

func (s *Supervisor) setRequestLog(f *os.File) {
	if s.requestLog.file != nil {
		s.requestLog.file.Close()
	}
	s.requestLog.file = f
}

// lostLines is what has been noticed of request lines that the workers could not write.
type lostLines struct {
	seen int64     // all, at the last look
	told int64     // of these, what the log says
	at   time.Time // when all was told
}

// lostInterval is how long a loss that goes on may stay untold.
const lostInterval = 30 * time.Second

// reportLost logs how many request lines were lost, once the loss has stopped: a log that takes no
// lines would not take this one.
func (s *Supervisor) reportLost() {
	l, now, all := &s.requestLog.lost, time.Now(), int64(0)
	for _, t := range s.tallies {
		all += t.past.logLost
	}
	for _, p := range s.procs {
		all += p.gen.rows.board.Row(p.row).LogLost.Load()
	}
	over := all == l.seen || s.phase == Stopping
	l.seen = all
	if lost := all - l.told; lost > 0 {
		if !over && now.Sub(l.at) < lostInterval {
			return
		}
		s.log(slog.LevelWarn, "log.lost", fmt.Sprintf("%d request lines were lost: the log did not take them in time",
			lost), slog.Int64("lost", lost))
	}
	l.told, l.at = all, now
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
