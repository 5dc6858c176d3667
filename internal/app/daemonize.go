package app

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// daemonEnv names the pipe on which the process in the background tells the one in the foreground
// how its start went.
const daemonEnv = "UWSGI_DAEMON_PIPE"

// daemonize starts this program again in a session of its own and waits until it is up: uWSGI's
// parent leaves before anything can fail, so that a script which starts it never hears of an error.
// done: this process is the parent, and code its status.
func daemonize(s *option.Settings, args, environ []string, std Streams) (code int, done bool) {
	if s.Daemonize == "" && !s.DaemonizePlain || os.Getenv(daemonEnv) != "" || sd.NotifySocket() != "" {
		return 0, false // not asked for, or done, or a service manager waits for this very process
	}
	if code, done := transient(s, args, environ, std); done {
		return code, true
	}
	exe, err := os.Executable()
	if err != nil {
		return complain(std.Err, err), true
	}
	r, w, err := os.Pipe()
	if err != nil {
		return complain(std.Err, err), true
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return complain(std.Err, err), true
	}
	cmd := exec.Command(exe)
	cmd.Args = args
	cmd.Env = append(environ, daemonEnv+"=3")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, std.Err
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return complain(std.Err, err), true
	}
	w.Close()
	report, _ := io.ReadAll(r)
	verdict, text, _ := strings.Cut(string(report), "\n")
	if verdict == "ok" {
		return exitOK, true
	}
	cmd.Wait()
	if code, err := strconv.Atoi(verdict); err == nil && code > 0 {
		if text != "" {
			fmt.Fprintln(std.Err, "uwsgi:", text)
		}
		return code, true
	}
	return max(cmd.ProcessState.ExitCode(), exitError), true // it died: its own words are on our stderr
}

// mustStay reports whether daemonize is asked of what is all that a container runs: in the
// background it would be killed with the rest.
func mustStay(s *option.Settings, std Streams) bool {
	asked := s.Daemonize != "" || s.DaemonizePlain
	if !asked || os.Getenv(daemonEnv) != "" || !soleProcess(os.Getpid(), os.Getppid(), processName) {
		return false
	}
	fmt.Fprintln(std.Err, "uwsgi: daemonize: a container ends with its first process: "+
		"staying in the foreground, and logging there")
	return true
}

// stay takes daemonize out of the settings.
func stay(s *option.Settings) { s.Daemonize, s.DaemonizeLate, s.DaemonizePlain = "", false, false }

// soleInits are inits that run one command and end with it: docker and podman have one for --init.
var soleInits = []string{"tini", "tini-static", "docker-init", "podman-init", "catatonit", "dumb-init"}

// soleProcess reports whether a PID namespace ends with this process: its first, or the command of
// an init that runs one. A shell may have more to do, and a missing terminal tells nothing: cron
// and rc.local have none.
func soleProcess(pid, parent int, name func(pid int) string) bool {
	return pid == 1 || parent == 1 && slices.Contains(soleInits, name(1))
}

// processName is the name of a process's program, "" if unknown: proc(5).
func processName(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// tellParent tells the process in the foreground, once, that we are up (status 0), or with what
// status we end and why.
func tellParent(status int, why string) {
	fd, err := strconv.Atoi(os.Getenv(daemonEnv))
	if err != nil {
		return
	}
	os.Unsetenv(daemonEnv)
	f := os.NewFile(uintptr(fd), "daemon pipe")
	defer f.Close()
	if status == 0 {
		fmt.Fprintln(f, "ok")
		return
	}
	fmt.Fprintf(f, "%d\n%s", status, why)
}
