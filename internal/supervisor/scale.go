package supervisor

import (
	"fmt"
	"log/slog"
	"time"

	"uwsgi/internal/cheaper"
)

// scaling adapts the number of workers to the load.
type scaling struct {
	at      time.Time // of the next decision
	decider cheaper.Decider
	used    map[*process]int64 // busy time of each process at the last sample, µs summed over its cores
}

// checkCheaper measures the load and obeys the algorithm.
func (s *Supervisor) checkCheaper() {
	set := s.cfg.Settings
	s.scaling.at = time.Now().Add(s.cfg.checkInterval() - tickInterval/2)
	if set.Cheaper <= 0 || s.phase != Running || s.gen == nil || s.gen.state != loaded {
		return
	}
	l, rss := s.load()
	n, why := s.scaling.decider.Decide(set, l)
	if why != "" && set.Busyness.Verbose {
		s.log(slog.LevelInfo, "cheaper.busyness", "[busyness] "+why)
	}
	switch {
	case set.CheaperRSSHard > 0 && rss > set.CheaperRSSHard:
		n = -1
	case set.CheaperRSSSoft > 0 && rss > set.CheaperRSSSoft:
		n = min(n, 0)
	}
	s.scale(n)
}

// load measures what the algorithms go by, and the memory of the workers in bytes.
func (s *Supervisor) load() (l cheaper.Load, rss int64) {
	l = cheaper.Load{Interval: s.cfg.checkInterval(), Backlog: s.backlog(s.cfg)}
	used := map[*process]int64{}
	share := 0.0
	for _, sl := range s.gen.slots {
		if !sl.active {
			continue
		}
		l.Active++
		if !sl.serves() {
			l.Coming++
			continue
		}
		rss += sl.cur.rss
		switch busy, full := s.saturation(sl.cur); {
		case full:
			l.Full++
		case !busy:
			l.Idle++
		}
		used[sl.cur] = s.busyTime(sl.cur)
		if before, ok := s.scaling.used[sl.cur]; ok {
			span := float64(l.Interval.Microseconds()) * float64(sl.cur.abreast())
			share += min(100*float64(used[sl.cur]-before)/span, 100)
		}
	}
	s.scaling.used = used
	if n := l.Active - l.Coming; n > 0 {
		l.Busyness = max(share/float64(n), 0)
	}
	return l, rss
}

// adjust is the hand of the operator: one more, or one less.
func (s *Supervisor) adjust(n int) {
	if s.phase == Running && s.gen != nil {
		s.scale(n)
	}
}

// scale adds n workers or takes -n away, within cheaper and processes.
func (s *Supervisor) scale(n int) {
	low := max(s.cfg.Settings.Cheaper, 1)
	for ; n > 0 && s.gen.active() < len(s.gen.slots); n-- {
		for _, sl := range s.gen.slots {
			if !sl.active {
				sl.active, sl.why = true, whyCheaper
				break
			}
		}
	}
	for ; n < 0 && s.gen.active() > low; n++ {
		sl := s.oldestIdle()
		if sl == nil {
			return
		}
		sl.active = false
		s.log(slog.LevelInfo, "worker.cheaped", fmt.Sprintf("uWSGI worker %d cheaped.", sl.n),
			slog.Int(KeyWorker, sl.n))
		if sl.next != nil {
			s.dismiss(sl.next, whyCheaper, false)
		}
		sl.replace = ""
		s.dismiss(sl.cur, whyCheaper, true)
	}
}

// oldestIdle is the slot whose idle process has lived longest, nil if all are busy.
func (s *Supervisor) oldestIdle() *slot {
	var found *slot
	for _, sl := range s.gen.slots {
		if !sl.active || !sl.serves() {
			continue
		}
		if busy, _ := s.saturation(sl.cur); !busy && (found == nil || sl.cur.ready.Before(found.cur.ready)) {
			found = sl
		}
	}
	return found
}

// backlog is the longest queue of a configuration's sockets.
func (s *Supervisor) backlog(cfg *Config) int {
	longest := 0
	for _, l := range cfg.Listeners {
		if l.Queue == nil {
			continue
		}
		if n, _, err := l.Queue(); err == nil {
			longest = max(longest, n)
		}
	}
	return longest
}
