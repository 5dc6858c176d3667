package app

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"uwsgi/internal/option"
)

// daemonEnv names the pipe on which the process in the background tells the one in the foreground how its start went.
const daemonEnv = "UWSGI_DAEMON_PIPE"

// daemonize starts this program again in a session of its own and waits until it is up: uWSGI's parent leaves before anything can
// fail, so that a script which starts it never hears of an error. done: this process is the parent, and code its status.
func daemonize(s *option.Settings, args, environ []string, std Streams) (code int, done bool) {
	if s.Daemonize == "" && !s.DaemonizePlain || os.Getenv(daemonEnv) != "" {
		return 0, false
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
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil { // it died: its own words are on our stderr
		cmd.Wait()
		return max(cmd.ProcessState.ExitCode(), exitError), true
	}
	if text := strings.TrimSpace(line); text != "ok" {
		cmd.Wait()
		return exitError, true
	}
	return exitOK, true
}

// tellParent tells the process in the foreground that we are up, or why not.
func tellParent(err error) {
	fd, convErr := strconv.Atoi(os.Getenv(daemonEnv))
	if convErr != nil {
		return
	}
	os.Unsetenv(daemonEnv)
	f := os.NewFile(uintptr(fd), "daemon pipe")
	if err != nil {
		fmt.Fprintln(f, "failed")
	} else {
		fmt.Fprintln(f, "ok")
	}
	f.Close()
}
