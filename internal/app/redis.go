package app

import (
	"path/filepath"

	"uwsgi/internal/option"
	"uwsgi/internal/redis"
)

// connect starts what talks to Redis, as the application's user, once something names a redis:// URL.
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
	return nil
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
	d.config.Redis = in.redis.Door.In
	return in.redis.Check(address)
}
