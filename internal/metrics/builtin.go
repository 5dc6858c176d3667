package metrics

import (
	"fmt"

	"uwsgi/internal/option"
	"uwsgi/internal/stats"
)

type reader = func(*stats.Snapshot) int64

// builtIn are uWSGI's own, with its names and oids, two of which it gives twice.
func builtIn(s *option.Settings, sockets int) []*metric {
	var list []*metric
	add := func(kind stats.MetricKind, name, oid string, live reader) {
		list = append(list, &metric{name: name, oid: oid, kind: kind, live: live})
	}
	add(stats.Counter, "core.routed_signals", "5.1", func(s *stats.Snapshot) (n int64) {
		for i := range s.Signals {
			n += s.Signals[i].Runs
		}
		return n
	})
	add(stats.Counter, "core.unrouted_signals", "5.2", func(*stats.Snapshot) int64 { return 0 })
	add(stats.Gauge, "core.busy_workers", "5.3", inState("busy"))
	add(stats.Gauge, "core.idle_workers", "5.4", inState("idle"))
	add(stats.Counter, "core.overloaded", "5.5", sum(func(w *stats.Worker) int64 { return w.Refused }))
	for n := range s.Processes + 1 {
		ofWorker(s, n, add)
	}
	add(stats.Counter, "core.total_tx", "5.100", sum(func(w *stats.Worker) int64 { return w.TX }))
	add(stats.Gauge, "core.total_rss", "5.101", sum(func(w *stats.Worker) int64 { return w.RSS }))
	add(stats.Gauge, "core.total_vsz", "5.102", sum(func(w *stats.Worker) int64 { return w.VSZ }))
	add(stats.Gauge, "core.avg_response_time", "5.103", func(s *stats.Snapshot) int64 {
		sum, n := int64(0), int64(0)
		for i := range s.Workers {
			if w := &s.Workers[i]; w.AvgRT > 0 { // as in uWSGI: those that have answered
				sum, n = sum+w.AvgRT, n+1
			}
		}
		return sum / max(n, 1)
	})
	add(stats.Counter, "core.total_running_time", "5.104", sum(func(w *stats.Worker) int64 { return w.Running }))
	for n := range sockets {
		add(stats.Gauge, fmt.Sprintf("socket.%d.listen_queue", n), fmt.Sprintf("7.%d.1", n),
			func(s *stats.Snapshot) int64 {
				if n < len(s.Sockets) {
					return int64(s.Sockets[n].Queue)
				}
				return 0
			})
	}
	add(stats.Alias, "rss_size", "", nil)
	add(stats.Alias, "vsz_size", "", nil)
	return list
}

// ofWorker are those of a worker; worker 0 of uWSGI's counts the requests of all, and nothing else.
func ofWorker(s *option.Settings, n int, add func(stats.MetricKind, string, string, reader)) {
	for _, m := range []struct {
		kind stats.MetricKind
		name string
		oid  int
		of   func(*stats.Worker) int64
	}{
		{stats.Counter, "requests", 1, func(w *stats.Worker) int64 { return w.Requests }},
		{stats.Absolute, "delta_requests", 2, func(w *stats.Worker) int64 { return w.Delta }},
		{stats.Counter, "failed_requests", 13, func(w *stats.Worker) int64 { return w.Exceptions }},
		{stats.Counter, "respawns", 14, func(w *stats.Worker) int64 { return int64(w.Spawns) }},
		{stats.Gauge, "avg_response_time", 8, func(w *stats.Worker) int64 { return w.AvgRT }},
		{stats.Counter, "total_tx", 9, func(w *stats.Worker) int64 { return w.TX }},
		{stats.Gauge, "rss_size", 11, func(w *stats.Worker) int64 { return w.RSS }},
		{stats.Gauge, "vsz_size", 12, func(w *stats.Worker) int64 { return w.VSZ }},
		{stats.Counter, "running_time", 13, func(w *stats.Worker) int64 { return w.Running }},
	} {
		live := worker(n, m.of)
		if n == 0 && m.name == "requests" {
			live = sum(m.of)
		}
		add(m.kind, fmt.Sprintf("worker.%d.%s", n, m.name), fmt.Sprintf("3.%d.%d", n, m.oid), live)
	}
	if n == 0 || s.MetricsNoCores {
		return
	}
	for c := range max(s.Threads, s.Gevent, 1) {
		for _, m := range []struct {
			name string
			oid  int
			of   func(*stats.Core) int64
		}{
			{"requests", 1, func(c *stats.Core) int64 { return c.Requests }},
			{"write_errors", 3, func(c *stats.Core) int64 { return c.WriteErrs }},
			{"routed_requests", 4, func(c *stats.Core) int64 { return c.Routed }},
			{"static_requests", 5, func(c *stats.Core) int64 { return c.Static }},
			{"offloaded_requests", 6, func(c *stats.Core) int64 { return c.Offloaded }},
			{"exceptions", 7, func(c *stats.Core) int64 { return c.Exceptions }},
			{"read_errors", 8, func(c *stats.Core) int64 { return c.ReadErrs }},
		} {
			add(stats.Counter, fmt.Sprintf("worker.%d.core.%d.%s", n, c, m.name),
				fmt.Sprintf("3.%d.2.%d.%d", n, c, m.oid),
				worker(n, func(w *stats.Worker) int64 {
					if c < len(w.Cores) {
						return m.of(&w.Cores[c])
					}
					return 0
				}))
		}
	}
}

func worker(n int, of func(*stats.Worker) int64) reader {
	return func(s *stats.Snapshot) int64 {
		if n > 0 && n <= len(s.Workers) {
			return of(&s.Workers[n-1])
		}
		return 0
	}
}

func sum(of func(*stats.Worker) int64) reader {
	return func(s *stats.Snapshot) (n int64) {
		for i := range s.Workers {
			n += of(&s.Workers[i])
		}
		return n
	}
}

func inState(state string) reader {
	return sum(func(w *stats.Worker) int64 {
		if w.Status == state {
			return 1
		}
		return 0
	})
}
