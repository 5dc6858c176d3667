package app

import (
	"os"

	"uwsgi/internal/option"
	"uwsgi/internal/redis"
)

// connect starts what talks to Redis, once something needs it, as the application's user.
func (in *instance) connect(d *deployment) error {
	needed := false
	for _, s := range d.cfg.Settings.Spoolers {
		if !redis.Is(s.Dir) {
			continue
		}
		if err := redis.Check(s.Dir); err != nil {
			return option.Wrong("spooler", s.Dir, err)
		}
		needed = true
	}
	if needed && in.redis == nil {
		binary, err := os.Executable()
		if err != nil {
			return err
		}
		in.redis, err = redis.Start(binary, d.ident.Credential, func(text string) { in.log().Warn(text) })
		if err != nil {
			return err
		}
	}
	if needed {
		d.config.Redis = in.redis.Door.In
	}
	return nil
}
