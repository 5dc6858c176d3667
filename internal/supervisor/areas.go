package supervisor

import (
	"log/slog"
	"os"

	"uwsgi/internal/area"
	"uwsgi/internal/cache"
	"uwsgi/internal/metrics"
	"uwsgi/internal/queue"
	"uwsgi/internal/sharedarea"
	"uwsgi/internal/stats"
)

// openAreas gives the memory that the processes of g share: what there is of the same geometry
// keeps its content.
func (s *Supervisor) openAreas(g *generation) ([]*area.Area, error) {
	specs, err := cache.Specs(g.cfg.Settings)
	if err != nil {
		return nil, err
	}
	queued, err := queue.Specs(g.cfg.Settings)
	if err != nil {
		return nil, err
	}
	shared, err := sharedarea.Specs(g.cfg.Settings)
	if err != nil {
		return nil, err
	}
	specs = append(append(specs, queued...), shared...)
	if g.metrics, err = metrics.New(g.cfg.Settings, len(g.cfg.Listeners)); err != nil {
		return nil, err
	}
	if g.metrics != nil {
		if s.metrics.restored == nil {
			s.metrics.restored = metrics.Restored(g.cfg.Settings)
		}
		specs = append(specs, g.metrics.Spec(s.areas.Newest(metrics.Kind, metrics.Kind), s.metrics.restored))
	}
	areas, err := s.areas.Open(specs)
	for _, a := range areas {
		if a.Renewed != "" {
			text := "store " + a.Store + " is " + a.Renewed + ": a new one takes its place"
			if a.Content != nil {
				text = "store " + a.Store + " is uWSGI's: what is in it goes on in one of this server's"
			}
			s.log(slog.LevelWarn, "area.renewed", text)
			a.Renewed = ""
		}
	}
	return areas, err
}

// keepAreas lets go of those that no generation has. A reload that stops the old one first has none
// for a while.
func (s *Supervisor) keepAreas() {
	if s.gen == nil {
		return
	}
	used := map[*area.Area]bool{}
	for _, g := range s.gens {
		for _, a := range g.areas {
			used[a] = true
		}
	}
	s.areas.Keep(func(a *area.Area) bool { return used[a] })
}

func areaFiles(areas []*area.Area) []*os.File {
	var files []*os.File
	for _, a := range areas {
		files = append(files, a.File)
	}
	return files
}

// caches are the counters of the caches in force.
func (s *Supervisor) caches() []stats.Cache {
	if s.gen == nil {
		return nil
	}
	var out []stats.Cache
	for _, c := range s.gen.cfg.Settings.Caches {
		if c.URL != "" {
			out = append(out, s.gen.cfg.RemoteCache(c))
			continue
		}
		for _, a := range s.gen.areas {
			if a.Kind != cache.Kind || a.Name != c.Name {
				continue
			}
			if shown, err := cache.Stats(a, c); err == nil {
				out = append(out, shown)
			}
		}
	}
	return out
}
