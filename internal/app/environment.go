package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// environmentVar names, in a unit that daemonize has made, the file that its environment is in. A
// unit's properties are open to every user of the host, and an environment holds passwords.
const environmentVar = "UWSGI_ENVIRONMENT_FILE"

// environmentDir is where these files are, below /run or the user's own such folder.
const environmentDir = "uwsgi-daemon"

// ofTheManager are the variables by which a service manager speaks to one process: another's say
// nothing to this one.
var ofTheManager = []string{
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
	"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID", "MANAGERPIDFDID", "MAINPID",
	"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
}

// keptEnvironment is a folder, its owner's alone, with an environment in it.
type keptEnvironment string

// keepEnvironment writes an environment, as execve(2) takes it, where only this user can read it.
// run is a folder that nobody else can write to.
func keepEnvironment(run, name string, environ []string) (keptEnvironment, error) {
	above := filepath.Join(run, environmentDir)
	if err := os.Mkdir(above, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep the environment: %w", err)
	}
	dir, err := os.MkdirTemp(above, name+".")
	if err != nil {
		return "", fmt.Errorf("keep the environment: %w", err)
	}
	kept := keptEnvironment(dir)
	if err := os.WriteFile(kept.path(), []byte(strings.Join(environ, "\x00")), 0o600); err != nil {
		kept.remove()
		return "", fmt.Errorf("keep the environment: %w", err)
	}
	return kept, nil
}

func (k keptEnvironment) path() string { return filepath.Join(string(k), "environment") }

// name is the folder as RuntimeDirectory= names it.
func (k keptEnvironment) name() string {
	return filepath.Join(environmentDir, filepath.Base(string(k)))
}

func (k keptEnvironment) remove() { os.RemoveAll(string(k)) }

// resumeEnvironment starts this program again in its place with the environment that it was left by
// keepEnvironment, as it was, and with what the service manager has to say. It returns where there
// is nothing to do, or an error.
func resumeEnvironment(args, environ []string) error {
	path := variable(environ, environmentVar)
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the environment of this service: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	return os.NewSyscallError("execve", syscall.Exec(exe, args, resumed(string(text), environ)))
}

// resumed is a kept environment with the variables of this process's manager, and none of
// another's.
func resumed(kept string, environ []string) []string {
	var out []string
	for entry := range strings.SplitSeq(kept, "\x00") {
		name, _, _ := strings.Cut(entry, "=")
		if entry != "" && name != environmentVar && !slices.Contains(ofTheManager, name) {
			out = append(out, entry)
		}
	}
	for _, name := range ofTheManager {
		if value := variable(environ, name); value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out
}
