package emperor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// hook runs the command of vassals-start-hook or vassals-stop-hook.
func hook(ctx context.Context, command string, v vassal) error {
	if command == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command+` "$0"`, v.file)
	cmd.Env = append(os.Environ(), "UWSGI_VASSAL="+v.file)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}
