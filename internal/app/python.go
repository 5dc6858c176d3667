package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"uwsgi/internal/access"
	"uwsgi/internal/config"
	"uwsgi/internal/option"
)

// defaultPath is where programs are looked for without a PATH: environ(7), as systemd sets it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// interpreter finds the Python to run the application with: the virtualenv's own, that of the
// virtualenv which this program is installed in, else the first python3 on path that the
// application's user may run. note gets a line when an earlier one had to be passed over. Relative
// paths begin at dir; start is the folder of the start.
func interpreter(s *option.Settings, start, dir string, env []string, cred *syscall.Credential,
	note func(string)) (string, error) {
	if s.Home != "" {
		python, err := virtualenv(option.PathIn(dir, s.Home), cred)
		if err != nil {
			return "", &option.Error{Name: "home", Value: s.Home, Err: err, Hint: option.Misplaced(s.Home, dir, start)}
		}
		return python, nil
	}
	if s.PyProgramName != "" {
		return s.PyProgramName, nil
	}
	if home := ownHome(); home != "" {
		return virtualenv(home, cred)
	}
	path := variable(env, "PATH")
	if path == "" {
		path = defaultPath
	}
	var passed []string
	for _, d := range filepath.SplitList(path) {
		p := filepath.Join(option.PathIn(dir, d), "python3")
		if st, err := os.Stat(p); err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
			continue
		}
		real, err := behindShim(p, dir, env, cred)
		if scarce(err) { // another Python than before would be no help
			return "", fmt.Errorf("look at %s: %w", p, err)
		}
		if err != nil {
			passed = append(passed, fmt.Sprintf("%s: %v", p, err))
			continue
		}
		if err := reachable(real, cred); err != nil {
			passed = append(passed, err.Error())
			continue
		}
		for _, p := range passed {
			note(p + ": the next python3 on PATH is used, " + real)
		}
		return real, nil
	}
	if len(passed) > 0 {
		return "", fmt.Errorf("no python3 on PATH can be run: %s", strings.Join(passed, "; "))
	}
	return "", fmt.Errorf("no python3 on PATH (%s): install python3, or name a virtualenv with home=", path)
}

func virtualenv(home string, cred *syscall.Credential) (string, error) {
	var b *access.Blocked
	if errors.As(access.Check(filepath.Join(home, "bin"), access.Enter, nil), &b) {
		return "", fmt.Errorf("%w (%s)", b, b.Hint())
	}
	st, err := os.Stat(home)
	if err == nil && !st.IsDir() {
		if strings.Contains(filepath.Base(home), "python") {
			return "", fmt.Errorf("!!! Python Home is not a directory: %s !!! (home= takes the virtualenv's "+
				"folder, %s)", home, filepath.Dir(filepath.Dir(home)))
		}
		err = syscall.ENOTDIR
	}
	if err != nil {
		return "", fmt.Errorf("!!! Python Home is not a directory: %s !!! (%w)", home, errors.Unwrap(err))
	}
	for _, name := range []string{"bin/python3", "bin/python"} {
		p := filepath.Join(home, name)
		if _, err := os.Stat(p); err == nil {
			return p, reachable(p, cred)
		}
		if errors.As(access.Check(p, access.Run, cred), &b) {
			return "", fmt.Errorf("%s cannot be run: %w (%s)", p, b, b.Hint())
		}
		if target, err := os.Readlink(p); err == nil {
			return "", fmt.Errorf("%s leads to %s, which is gone with the Python that the virtualenv was made with: "+
				"make it anew (python3 -m venv --clear %s) and install into it what it held", p, target, home)
		}
	}
	return "", fmt.Errorf("%s holds no bin/python: is it a virtualenv? (python3 -m venv %s)", home, home)
}

// shimPatience is how long a version manager's script may take.
const shimPatience = 30 * time.Second

// behindShim gives the interpreter that a version manager's script (pyenv's, say) would run:
// starting the script for every generation would cost more than loading the application. The script
// runs as what it starts would: PATH may lead to the application's own.
func behindShim(p, dir string, env []string, cred *syscall.Credential) (string, error) {
	f, err := os.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may have become a FIFO meanwhile
	if err != nil {
		return "", err
	}
	defer f.Close()
	var head [2]byte
	if _, err := f.Read(head[:]); err != nil || !bytes.Equal(head[:], []byte("#!")) {
		return p, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), shimPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p, "-c", "import sys; print(sys.executable)")
	cmd.Dir, cmd.Env, cmd.SysProcAttr, cmd.WaitDelay = dir, env, &syscall.SysProcAttr{Credential: cred}, time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// scarce reports whether an error is about what the machine or a limit has no more of, not about
// what was asked for.
func scarce(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// reachable fails unless the user may execute path: every folder on the way must let him through.
func reachable(path string, cred *syscall.Credential) error {
	if cred == nil || cred.Uid == 0 {
		return nil
	}
	var b *access.Blocked
	if errors.As(access.Check(path, access.Run, cred), &b) {
		return fmt.Errorf("%s cannot be run: %w (%s)", path, b, b.Hint())
	}
	return nil
}

// environment applies env, unenv and envdir to the environment of the application.
func environment(environ []string, ops []option.EnvOp) []string {
	out := append([]string(nil), environ...)
	unset := func(name string) {
		kept := out[:0]
		for _, kv := range out {
			if !strings.HasPrefix(kv, name+"=") {
				kept = append(kept, kv)
			}
		}
		out = kept
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
		"LISTEN_FDNAMES", "JOURNAL_STREAM", daemonEnv} {
		unset(name)
	}
	for _, op := range ops {
		unset(op.Name)
		if !op.Unset {
			out = append(out, op.Name+"="+op.Value)
		}
	}
	return out
}

func variable(environ []string, name string) string {
	v := ""
	for _, kv := range environ {
		if k, val, ok := strings.Cut(kv, "="); ok && k == name {
			v = val
		}
	}
	return v
}

// pythonVersion prints the version of the interpreter that the application would have.
func pythonVersion(cfg *config.Config, environ []string, std Streams) int {
	env := environment(environ, cfg.Settings.Env)
	python, err := interpreter(cfg.Settings, ".", ".", env, nil, func(string) {})
	if err != nil {
		return complain(std.Err, err)
	}
	cmd := exec.Command(python, "-c", "import platform; print(platform.python_version())")
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, std.In, std.Out, std.Err
	if err := cmd.Run(); err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			return ended.ExitCode()
		}
		return complain(std.Err, err)
	}
	return exitOK
}
