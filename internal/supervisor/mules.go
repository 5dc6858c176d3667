package supervisor

import (
	"fmt"
	"log/slog"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/stats"
	"uwsgi/internal/wire"
)

var muleKind = kind{
	name: wire.KindMule, key: KeyMule,
	count:    func(set *option.Settings) int { return len(set.Mules) },
	mercy:    func(set *option.Settings) time.Duration { return set.MuleReloadMercy },
	harakiri: func(set *option.Settings) time.Duration { return set.MuleHarakiri },
	spawned: func(p *attendant) string {
		if p.post.spawns > 0 {
			return fmt.Sprintf("Respawned uWSGI mule %d (new pid: %d)", p.post.n, p.pid)
		}
		return fmt.Sprintf("spawned uWSGI mule %d (pid: %d)", p.post.n, p.pid)
	},
	late: func(p *attendant) string {
		return fmt.Sprintf("*** HARAKIRI ON MULE %d (pid: %d): busy for %d seconds ***", p.post.n, p.pid,
			int(time.Since(p.busy).Seconds()))
	},
	died: func(p *attendant, how string) string {
		return fmt.Sprintf("OOOPS mule %d (pid: %d) crippled...trying respawn... (it %s)", p.post.n, p.pid, how)
	},
}

// passOnMessages leaves what waits for mules that a reload has done away with to the others.
func (s *Supervisor) passOnMessages() {
	if s.gen == nil || len(s.queues.ends) == 0 || s.phase >= Stopping {
		return
	}
	passed, left := s.queues.passOn(s.gen.cfg.Settings)
	if passed > 0 {
		s.log(slog.LevelWarn, "mules.passed", fmt.Sprintf("%d messages for mules or farms that are no more go to "+
			"other mules", passed))
	}
	if left {
		s.timers.after(time.Second, s.passOnMessages)
	}
}

func (s *Supervisor) muleStats() []stats.Mule {
	var all []stats.Mule
	for _, m := range s.attendants.posts[&muleKind] {
		x := stats.Mule{ID: m.n, Status: "down", Spawns: m.spawns, Harakiris: m.harakiris}
		if !m.spawned.IsZero() {
			x.LastSpawn = m.spawned.Unix()
		}
		if p := m.cur; p != nil {
			x.PID, x.Generation, x.Status = p.pid, p.gen.n, p.status()
			if p.pid != 0 {
				x.RSS, x.VSZ, _ = s.host.Memory(p.pid)
			}
		}
		all = append(all, x)
	}
	return all
}
