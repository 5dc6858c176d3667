package app

import (
	"context"
	"errors"
	"path/filepath"

	"uwsgi/internal/option"
	"uwsgi/internal/redis"
	"uwsgi/internal/schedule"
	"uwsgi/internal/stats"
)

// connect starts what talks to Redis, as the application's user, once something names a redis://
// URL.
func (in *instance) connect(d *deployment) error {
	for _, s := range d.cfg.Settings.Spoolers {
		if !s.Remote() {
			continue
		}
		name := "spooler"
		if s.External {
			name = "spooler-external"
		}
		if err := in.reaches(d, s.Dir); err != nil {
			return option.Wrong(name, s.Dir, err)
		}
	}
	for _, c := range d.cfg.Settings.Caches {
		if c.URL == "" {
			continue
		}
		if err := in.reaches(d, c.URL); err != nil {
			return option.Wrong("cache2", c.URL, err)
		}
	}
	return in.join(d)
}

// join makes this instance one of a cluster.
func (in *instance) join(d *deployment) error {
	s := d.cfg.Settings
	in.controlsMu.Lock()
	d.cluster = in.cluster
	in.controlsMu.Unlock()
	if s.Cluster == "" {
		d.cluster = nil
		if names := s.LordNames(); len(names) > 0 {
			return option.Wrong("hook-lord", names[0],
				errors.New("no instance has a name without cluster = redis://HOST:PORT/DB"))
		}
		return nil
	}
	if err := in.reaches(d, s.Cluster); err != nil {
		return option.Wrong("cluster", s.Cluster, err)
	}
	if d.cluster == nil || d.cluster.Address() != s.Cluster {
		d.cluster = in.redis.Join(s.Cluster, in.lord)
	}
	d.config.Lease = d.cluster
	return nil
}

// lord tells that this instance has got a name in the cluster, or has lost it.
func (in *instance) lord(name string, held bool) {
	d := in.current.Load()
	phase, line := "lord ", "[cluster] this instance is the lord of "+name
	if !held {
		phase, line = "unlord ", "[cluster] this instance is not the lord of "+name+" any more"
	}
	d.log.Print(line)
	for _, h := range d.cfg.Settings.Hooks {
		if h.Phase == phase+name {
			in.complainAbout(h.Option, d.hooks.Do(context.Background(), h, h.Phase))
		}
	}
}

// runCluster has this instance try for the names of a deployment that is in force, and no more for
// those of one before.
func (in *instance) runCluster(d *deployment) {
	if in.cluster != d.cluster {
		in.cluster.Leave()
		in.cluster = d.cluster
	}
	for _, name := range d.cfg.Settings.LordNames() {
		in.cluster.Holds(name)
	}
}

// lease is who decides what runs on one machine of several, nil = there is one.
func (d *deployment) lease() schedule.Lease {
	if d.cluster == nil {
		return nil
	}
	return d.cluster
}

// remoteCache are the figures of a cache in Redis.
func (in *instance) remoteCache(c option.Cache) stats.Cache {
	n := in.redis.Figures(c.URL, c.Name)
	return stats.Cache{Name: c.Name, KeySize: c.KeySize, BlockSize: c.BlockSize, URL: c.ShownURL(),
		Hits: n.Hits.Load(), Misses: n.Misses.Load(), Full: n.Full.Load(), Failed: n.Failed.Load()}
}

// reaches has the agent run, and asks it about a URL.
func (in *instance) reaches(d *deployment, address string) (err error) {
	if in.redis == nil {
		in.redis, err = redis.Start(filepath.Join(in.lib, redis.Binary), d.ident.Credential,
			func(line string) { in.log().Warn(line) })
		if err != nil {
			return err
		}
	}
	d.config.Redis, d.config.RemoteCache = in.redis.Door.In, in.remoteCache
	return in.redis.Check(address)
}
