package supervisor

import (
	"fmt"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/stats"
	"uwsgi/internal/wire"
)

var spoolerKind = kind{
	name: wire.KindSpooler, key: KeySpooler, overlaps: true, // who takes a job locks it
	count:    func(set *option.Settings) int { return len(ownSpoolers(set)) },
	mercy:    (*option.Settings).Mercy,
	harakiri: func(set *option.Settings) time.Duration { return set.SpoolerHarakiri },
	spawned: func(p *attendant) string {
		return fmt.Sprintf("spawned the uWSGI spooler on dir %s with pid %d", p.folder(), p.pid)
	},
	late: func(p *attendant) string { return fmt.Sprintf("*** HARAKIRI ON THE SPOOLER (pid: %d) ***", p.pid) },
	died: func(p *attendant, how string) string {
		return fmt.Sprintf("OOOPS the spooler is no more...trying respawn... (pid: %d, it %s)", p.pid, how)
	},
}

// ownSpoolers are the folders whose jobs are run here, one for each process.
func ownSpoolers(set *option.Settings) (folders []string) {
	for _, spooler := range set.Spoolers {
		for range spooler.Processes {
			if !spooler.External {
				folders = append(folders, spooler.Shown())
			}
		}
	}
	return folders
}

// folder is where a process of the spooler has its jobs.
func (p *attendant) folder() string { return ownSpoolers(p.gen.cfg.Settings)[p.post.n-1] }

// spoolerStats describes what the generation in force has of the spooler, in the order of
// uwsgi.spoolers.
func (s *Supervisor) spoolerStats() []stats.Spooler {
	if s.gen == nil {
		return nil
	}
	var all []stats.Spooler
	own := s.attendants.posts[&spoolerKind]
	for _, spooler := range s.gen.cfg.Settings.Spoolers {
		for range spooler.Processes {
			x := stats.Spooler{Dir: spooler.Shown(), Status: "external"}
			if !spooler.External && len(own) > 0 {
				s.describeSpooler(&x, own[0])
				own = own[1:]
			}
			all = append(all, x)
		}
	}
	return all
}

func (s *Supervisor) describeSpooler(x *stats.Spooler, at *post) {
	x.Status, x.Tasks, x.Respawns, x.Harakiris = "down", at.tasks, max(at.spawns-1, 0), at.harakiris
	if !at.spawned.IsZero() {
		x.LastSpawn = at.spawned.Unix()
	}
	p := at.cur
	if p == nil {
		return
	}
	x.PID, x.Generation, x.Status = p.pid, p.gen.n, p.status()
	if !p.busy.IsZero() {
		x.Running, x.Since = 1, p.busy.Unix()
	}
	if p.pid != 0 {
		x.RSS, x.VSZ, _ = s.host.Memory(p.pid)
	}
}
