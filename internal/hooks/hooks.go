// Package hooks runs the hooks of a configuration: what happens in each phase of an instance's life
// (exec:COMMAND, chown:…, wait_for_socket:…). Phases are internal/option's; those within a worker
// are internal/python's uwsgi_hooks.py.
package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"uwsgi/internal/option"
)

// Privileged reports whether the hooks of a phase run before the drop of privileges, as root.
func Privileged(phase string) bool { return privileged[phase] }

// privileged are the phases before the drop of privileges; later ones act as the application's
// user.
var privileged = map[string]bool{option.PhaseASAP: true, option.PhasePreJail: true, option.PhaseInJail: true,
	option.PhaseAsRoot: true}

// ErrFailed is a hook that failed; the instance must not go on. The text is uWSGI's.
var ErrFailed = errors.New("FATAL hook failed, destroying instance")

// ExitError is a hook that asked for the end: exit:CODE.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("a hook asks to exit with status %d", e.Code) }

// Runner runs the hooks of a configuration.
type Runner struct {
	Settings   *option.Settings
	Credential *syscall.Credential // of the application; nil = this user
	Root       bool                // this process was started as root; else the as-root hooks are not for it
	Environ    []string            // of commands and of the application; nil = this process's
	Dir        string              // where commands run and relative paths start, "" = this process's working directory
	Output     *os.File            // what commands print, nil = standard error
	Print      func(string)        // a line to the log
	Alarm      func(name, message string)
	// AsRoot carries out a hook of root's for a process that is not root any more; nil = this
	// process does it.
	AsRoot func(option.Hook) error
	// Signal gives a signal of the instance to one of uWSGI's handlers: unix_signal:15
	// gracefully_kill_them_all.
	Signal func(number int, handler string) error

	mu sync.Mutex // guards Environ and Dir once hooks run
}

// Enter makes dir the folder of the hooks to come; a relative one is below that of those before.
func (r *Runner) Enter(dir string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Dir = option.PathIn(r.Dir, dir)
}

// at is a path as the hooks see it.
func (r *Runner) at(path string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return option.PathIn(r.Dir, path)
}

// Env is the environment with what putenv hooks have set so far.
func (r *Runner) Env() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Environ == nil {
		r.Environ = os.Environ()
	}
	return slices.Clone(r.Environ)
}

func (r *Runner) setenv(name, value string) {
	env := slices.DeleteFunc(r.Env(), func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Environ = append(env, name+"="+value)
}

// Run carries out the hooks of a phase in their order and stops at the first that fails. In
// as-user-atexit failures are only logged.
func (r *Runner) Run(ctx context.Context, phase string) error {
	for _, k := range r.Settings.Hooks {
		if k.Phase != phase {
			continue
		}
		if phase == option.PhaseAsRoot && !r.Root { // uWSGI skips them, too
			r.Print(k.Option + " is skipped: this process was not started as root")
			continue
		}
		err := r.Do(ctx, k, phase)
		var exit *ExitError
		switch {
		case err == nil:
		case errors.As(err, &exit):
			return err
		case phase == option.PhaseUserAtExit:
			r.Print(err.Error())
		default:
			return fmt.Errorf("%w\n%w", ErrFailed, blame(k, err))
		}
	}
	return nil
}

// blame adds the line of the configuration that asked for a hook.
func blame(k option.Hook, err error) error {
	e := &option.Error{File: k.Origin.File, Line: k.Origin.Line, Name: k.Option, Value: k.Action + ":" + k.Arg,
		Err: err}
	if k.Private {
		e.Value = ""
	}
	return e
}

// Do carries out one hook, one of hook-touch too.
func (r *Runner) Do(ctx context.Context, k option.Hook, phase string) error {
	switch {
	case k.Private:
		r.Print("running --- PRIVATE HOOK --- (" + phase + ")...")
	case strings.HasPrefix(k.Option, "exec-"):
		r.Print(fmt.Sprintf("running \"%s\" (%s)...", k.Arg, phase))
	default:
		r.Print(fmt.Sprintf("running \"%s\" (%s)...", k.Action+":"+k.Arg, phase))
	}
	var err error
	switch {
	case !privileged[phase]:
		err = r.Act(ctx, k, r.Credential)
	case r.AsRoot != nil && !local[k.Action]:
		err = r.AsRoot(k)
	default:
		err = r.Act(ctx, k, nil)
	}
	if err != nil && k.Private {
		return privateError(phase, err)
	}
	return err
}

// local are the actions that concern this process and take no rights.
var local = map[string]bool{"cd": true, "chdir": true, "putenv": true, "print": true, "log": true, "exit": true,
	"unix_signal": true, "alarm": true,
	"wait_for_fs": true, "wait_for_file": true, "wait_for_dir": true, "wait_for_socket": true}

// Act carries out what a hook says, as cred, nil = this process's user, without a word of it in the
// log.
func (r *Runner) Act(ctx context.Context, k option.Hook, cred *syscall.Credential) error {
	act, ok := actions[k.Action]
	if !ok {
		return fmt.Errorf("hook action not found: %s", k.Action)
	}
	return act(ctx, r, k.Arg, cred)
}

// privateError says that a private hook failed without its argument.
func privateError(phase string, err error) error {
	var exit *ExitError
	if errors.As(err, &exit) {
		return err
	}
	var sys syscall.Errno
	if errors.As(err, &sys) {
		return fmt.Errorf("a private hook (%s) failed: %w", phase, sys)
	}
	return fmt.Errorf("a private hook (%s) failed", phase)
}

// Exec runs a shell command as the application's user: touch-exec.
func (r *Runner) Exec(ctx context.Context, command string) error {
	return r.shell(ctx, command, r.Credential)
}

func (r *Runner) shell(ctx context.Context, command string, cred *syscall.Credential) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env, cmd.Dir = r.Env(), r.at("")
	out := r.Output
	if out == nil {
		out = os.Stderr
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return fmt.Errorf("command \"%s\" exited with non-zero code: %d", command, exit.ExitCode())
	}
	return fmt.Errorf("command \"%s\": %w", command, err)
}
