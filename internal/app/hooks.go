package app

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"

	"uwsgi/internal/option"
)

func (in *instance) hook(ctx context.Context, d *deployment, h option.Hook) error {
	return fmt.Errorf("unknown action %s", h.Action)
}

// runCommand runs a shell command as the application's user and waits.
func (in *instance) runCommand(d *deployment, command string) {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Dir, cmd.Env = d.dir, d.config.Env
	cmd.Stdout, cmd.Stderr = in.std.Err, in.std.Err
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.ident.Credential}
	in.complainAbout("touch-exec: "+command, cmd.Run())
}
