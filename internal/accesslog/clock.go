package accesslog

import "time"

// stamp is one second as it stands in lines.
type stamp struct {
	sec   int64
	ctime [24]byte // Sun Nov 22 11:06:07 2026
	ltime [26]byte // 22/Nov/2026:11:06:07 +0000
}

// stampOf is the stamp of a wall clock time. The newest second is kept, since nearly all requests
// of a busy worker fall into it.
func (l *Logger) stampOf(ns int64) *stamp {
	sec := ns / int64(time.Second)
	kept := l.clock.Load()
	if kept != nil && kept.sec == sec {
		return kept
	}
	s := &stamp{sec: sec}
	t := time.Unix(sec, 0)
	Strftime(s.ctime[:0], "%a %b %e %H:%M:%S %Y", t)
	Strftime(s.ltime[:0], "%d/%b/%Y:%H:%M:%S %z", t)
	if kept == nil || kept.sec < sec {
		l.clock.Store(s)
	}
	return s
}
