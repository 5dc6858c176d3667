package app

import (
	"os"

	"uwsgi/internal/config"
	"uwsgi/internal/listen"
	"uwsgi/internal/logging"
	"uwsgi/internal/sd"
)

// openLog makes the log of one configuration. running: the instance serves already, so nothing may
// be truncated.
func (in *instance) openLog(cfg *config.Config, ident *listen.Identity, running bool) (*logging.Log, error) {
	env := logging.Env{
		Stderr: in.std.Err, Stdout: in.std.Out, Journal: in.journal, PID: os.Getpid(), Dir: in.base(), Reload: running,
		Files: &in.rights, UserFiles: logging.UserFiles{Credential: in.rights.cred},
	}
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		env.Unit = sd.Unit(string(b))
	}
	env.Hostname, _ = in.host.Hostname()
	if c := ident.Credential; c != nil {
		env.Owner = &logging.Owner{UID: int(c.Uid), GID: int(c.Gid)}
	}
	return logging.New(cfg.Settings, env)
}
