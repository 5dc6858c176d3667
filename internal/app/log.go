package app

import (
	"os"

	"uwsgi/internal/logging"
	"uwsgi/internal/sd"
)

// openLog makes the log of one configuration. running: the instance serves already, so nothing may
// be truncated.
func (in *instance) openLog(d *deployment, running bool) (*logging.Log, error) {
	env := logging.Env{
		Stderr: in.std.Err, Stdout: in.std.Out, Journal: in.journal, PID: os.Getpid(), Dir: in.base(), Reload: running,
		Files: &in.rights, UserFiles: logging.UserFiles{Credential: in.rights.cred},
	}
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		env.Unit = sd.Unit(string(b))
	}
	env.Hostname, _ = in.host.Hostname()
	if c := d.ident.Credential; c != nil {
		env.Owner = &logging.Owner{UID: int(c.Uid), GID: int(c.Gid)}
	}
	if d.alarms.HeedsLog() {
		env.Alarm = d.alarms.Line
	}
	return logging.New(d.cfg.Settings, env)
}
