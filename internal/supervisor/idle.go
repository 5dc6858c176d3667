package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"uwsgi/internal/crash"
)

// idle is what cheap and idle need to know.
type idle struct {
	since   int64 // monotonic; no request has been served since, unless a row says so
	watch   context.CancelFunc
	watched *Config // whose sockets are watched
	serial  int
}

// checkIdle puts the instance to sleep, or ends it, once nothing was asked of it for long enough.
func (s *Supervisor) checkIdle() {
	if s.phase != Running || s.gen == nil || s.cfg.Settings.Idle <= 0 {
		return
	}
	now := s.host.Monotonic()
	for _, p := range s.procs {
		s.idle.since = max(s.idle.since, min(p.gen.rows.board.Row(p.row).LastUse.Load(), now))
		if p.state < serving || s.inUse(p) {
			s.idle.since = now
		}
	}
	quiet := time.Duration(now - s.idle.since)
	if quiet <= s.cfg.Settings.Idle {
		return
	}
	s.log(slog.LevelInfo, "idle", fmt.Sprintf("workers have been inactive for more than %d seconds (%d)",
		int(s.cfg.Settings.Idle.Seconds()), int(quiet.Seconds())))
	if s.cfg.Settings.DieOnIdle {
		s.stop("die-on-idle", true)
		return
	}
	s.sleep(whyIdle)
}

// sleep stops all workers until the next connection.
func (s *Supervisor) sleep(reason string) {
	if s.phase != Running || s.gen == nil {
		return
	}
	s.enter(Sleeping)
	s.recycle.clear()
	for _, sl := range s.gen.slots {
		sl.active, sl.replace = false, ""
		for _, p := range []*process{sl.cur, sl.next} {
			if p != nil {
				s.dismiss(p, reason, false)
			}
		}
	}
	s.log(slog.LevelInfo, "cheap", "cheap mode enabled: waiting for socket connection...")
}

// watchSockets watches the listening sockets while the instance sleeps, once no worker is left to
// take a connection away.
func (s *Supervisor) watchSockets() {
	if s.phase != Sleeping || s.gen == nil || s.gen.procs > 0 || s.idle.watched == s.cfg {
		return
	}
	s.stopWatching()
	s.idle.watched = s.cfg
	s.idle.serial++
	serial := s.idle.serial
	var files []*os.File
	for _, l := range s.cfg.Listeners {
		files = append(files, l.File)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.idle.watch = cancel
	s.tasks.Go(crash.Guarded(func() {
		err := s.host.Connection(ctx, files)
		if ctx.Err() == nil {
			s.post(func() { s.wake(serial, err) })
		}
	}))
}

// stopWatching ends the watch over the listening sockets.
func (s *Supervisor) stopWatching() {
	if s.idle.watch != nil {
		s.idle.watch()
	}
	s.idle.watch, s.idle.watched = nil, nil
}

// wake starts the workers at the first connection.
func (s *Supervisor) wake(serial int, err error) {
	if serial != s.idle.serial {
		return
	}
	s.stopWatching()
	if s.phase != Sleeping {
		return // a reload that came from sleep; the sockets are watched again after it
	}
	if err != nil {
		s.log(slog.LevelError, "cheap.watch", fmt.Sprintf("watch the listening sockets: %v; starting the workers", err))
	}
	s.enter(Running)
	s.startWorkers()
}

// startWorkers starts the workers of an instance that was asleep.
func (s *Supervisor) startWorkers() {
	s.idle.since = s.host.Monotonic()
	count := s.cfg.Settings.Processes
	if min := s.cfg.Settings.Cheaper; min > 0 {
		count = min
	}
	s.gen.activate(count, whyWake)
}
