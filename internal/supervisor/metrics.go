package supervisor

import (
	"log/slog"

	"uwsgi/internal/metrics"
	"uwsgi/internal/stats"
)

// metering is what keeps the metrics of the generation in force.
type metering struct {
	collector *metrics.Collector
	restored  map[string]int64 // what the files of metrics-dir said at the start
	next      *timer
}

// startMetrics has those of the generation in force collected, and no others any more.
func (s *Supervisor) startMetrics() {
	s.stopMetrics()
	g := s.gen
	if g.metrics == nil {
		return
	}
	for _, a := range g.areas {
		if a.Kind == metrics.Kind {
			say := func(text string) { s.log(slog.LevelWarn, "metrics.failed", text) }
			s.metrics.collector = metrics.Start(g.metrics, a, g.cfg.Settings, s.metrics.restored, say,
				func(alarm, message string) { g.cfg.alarm([]string{alarm}, message) })
			s.feedMetrics()
		}
	}
}

func (s *Supervisor) stopMetrics() {
	if s.metrics.collector != nil {
		s.metrics.collector.Stop()
		s.timers.drop(s.metrics.next)
	}
	s.metrics.collector = nil
}

func (s *Supervisor) feedMetrics() {
	s.metrics.next = s.timers.after(metrics.Every, s.feedMetrics)
	st := s.snapshot()
	s.measureQueues(&st.Snapshot)
	s.metrics.collector.Feed(&st.Snapshot)
}

// showMetrics is what the statistics say of them.
func (s *Supervisor) showMetrics(of *stats.Snapshot) stats.Metrics {
	if s.metrics.collector == nil {
		return nil
	}
	shown := *of
	s.measureQueues(&shown)
	return s.metrics.collector.Show(&shown)
}

// measureQueues fills in how many connections wait in each listening socket.
func (s *Supervisor) measureQueues(of *stats.Snapshot) {
	for _, l := range s.cfg.Listeners {
		waiting := 0
		if l.Queue != nil {
			waiting, _, _ = l.Queue()
		}
		of.Sockets = append(of.Sockets, stats.Socket{Queue: waiting})
	}
}
