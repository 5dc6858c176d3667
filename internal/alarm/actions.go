package alarm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"uwsgi/internal/option"
)

// action is what one alarm does with a message.
func (a *Alarms) action(o option.Alarm) (func(context.Context, string) error, error) {
	switch o.Action {
	case "cmd":
		return func(ctx context.Context, message string) error { return a.command(ctx, o.Arg, message) }, nil
	case "log":
		text := "ALARM: "
		if o.Arg != "" {
			text += o.Arg + " "
		}
		return func(_ context.Context, message string) error {
			a.env.Log(text + strings.TrimSuffix(message, "\n"))
			return nil
		}, nil
	case "signal", "mule":
		n, err := strconv.Atoi(o.Arg)
		if err != nil {
			return nil, err
		}
		if o.Action == "signal" {
			return func(context.Context, string) error { return a.env.Signal(n) }, nil
		}
		return func(_ context.Context, message string) error { return a.env.Mule(n, message) }, nil
	case "curl":
		c, err := option.ParseCurl(o.Arg)
		if err != nil {
			return nil, err
		}
		if _, err := exec.LookPath("curl"); err != nil {
			return nil, errors.New("curl is not installed (apt-get install curl)")
		}
		c.Timeout, c.ConnTimeout = cmp.Or(c.Timeout, a.set.SocketTimeout), cmp.Or(c.ConnTimeout, a.set.SocketTimeout)
		return func(ctx context.Context, message string) error { return a.curl(ctx, c, message) }, nil
	}
	return nil, fmt.Errorf("there is no action %q for an alarm", o.Action)
}

// command runs a shell command whose standard input is the message.
func (a *Alarms) command(ctx context.Context, shell, message string) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", shell)
	cmd.Stdin = strings.NewReader(message)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.env.Credential, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if a.env.Environ != nil {
		cmd.Env = a.env.Environ()
	}
	if a.env.Dir != nil {
		cmd.Dir = a.env.Dir()
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if a.env.Output != nil {
		out, err := a.env.Output()
		if err != nil {
			return err
		}
		if out != nil {
			defer out.Close()
			cmd.Stdout, cmd.Stderr = out, out
		}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECHILD):
		return nil // the last two: it did not read its input; another one has waited for it
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return fmt.Errorf("command %q exited with non-zero code: %d", shell, exit.ExitCode())
	}
	return fmt.Errorf("command %q: %w", shell, err)
}
