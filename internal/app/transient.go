package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"uwsgi/internal/escape"
	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// sameName is how many units of one name there may be.
const sameName = 100

// loginTimeout bounds the question to logind, which may be stuck.
const loginTimeout = 5 * time.Second

// transient starts this command line as a service of systemd, where systemd runs: daemonize without
// a supervisor of its own would only be the worse way to the same end. done: that happened, or
// failed for good, and code is the status to exit with.
func transient(s *option.Settings, args, environ []string, std Streams) (code int, done bool) {
	if parent := os.Getppid(); !sd.Booted() || parent == 1 || processName(parent) == "systemd" {
		return 0, false // started by a manager itself: a unit with Type=forking expects a daemon
	}
	ctx := context.Background()
	connect, user, run := sd.ConnectBus, "", "/run"
	if uid := os.Getuid(); uid != 0 || os.Geteuid() != 0 {
		// A user's manager ends with the last session, and all its units with it. A plain daemon
		// stays.
		asking, cancel := context.WithTimeout(ctx, loginTimeout)
		login := sd.AskLogin(asking, uid)
		cancel()
		if !login.Lingers {
			if login.KillsProcesses {
				fmt.Fprintln(std.Err, "uwsgi: here processes end with their session: loginctl enable-linger keeps them")
			}
			return 0, false
		}
		connect, user, run = sd.ConnectUserBus, "--user ", sd.UserRuntimeDir(uid)
	}
	dir, err := os.Getwd()
	if err != nil {
		return complain(std.Err, err), true
	}
	bus, err := connect(ctx)
	if err != nil {
		return 0, false // no manager to ask (a container, say): the old way
	}
	defer bus.Close()
	name := s.Name
	if name == "uwsgi" && filepath.Base(dir) != "/" { // uwsgi.ini, as in every project: the folder tells them apart
		name = filepath.Base(dir)
	}
	kept, err := keepEnvironment(run, sd.UnitName("uwsgi-", name, ""), environ)
	if err != nil {
		return complain(std.Err, err), true
	}
	service := sd.Transient{
		Description: "uwsgi " + name,
		Argv:        serviceArgv(program()[0], args),
		Type:        "notify",
		Environ:     []string{environmentVar + "=" + kept.path()},
		Dir:         dir,
		Watchdog:    30 * time.Second,
		StopTimeout: s.ShutdownDelay + s.LastMercy() + option.StopMargin,
		KillMode:    "mixed",
		Restart:     "on-failure",
		Reload:      []string{program()[0], "reload", "$MAINPID"},
		Properties: map[string]any{
			"RestartUSec": uint64(time.Second / time.Microsecond),
			// `pkill -9 -f uwsgi` is how many stop what they have started by hand, and means it.
			"RestartPreventExitStatus": sd.ExitStatusSet{Signals: []int32{9}},
			// The supervisor replaces a worker that the kernel killed for its memory.
			"OOMPolicy":                "continue",
			"LogRateLimitIntervalUSec": uint64(0),
			// It goes when the unit is over, and stays while it is restarted, by Restart= too.
			"RuntimeDirectory":         []string{kept.name()},
			"RuntimeDirectoryMode":     uint32(0o700),
			"RuntimeDirectoryPreserve": "restart",
		},
	}
	if user == "" { // `service uwsgi restart` and `systemctl reload uwsgi` reach it as what is in apps-enabled
		umbrella := []string{"uwsgi.service"}
		service.Properties["PartOf"], service.Properties["ReloadPropagatedFrom"] = umbrella, umbrella
	}
	err = sd.ErrUnitExists
	for n := 1; errors.Is(err, sd.ErrUnitExists) && n <= sameName; n++ {
		service.Name = sd.UnitName("uwsgi-", name, ".service")
		if n > 1 {
			service.Name = sd.UnitName("uwsgi-", name+"-"+strconv.Itoa(n), ".service")
		}
		err = bus.StartTransient(ctx, service)
	}
	unit := service.Name
	switch {
	case errors.Is(err, sd.ErrNoManager):
		kept.remove()
		return 0, false
	case err != nil:
		kept.remove()
		fmt.Fprintf(std.Err, "uwsgi: %s did not come up: %s\n", unit, escape.Lines(err.Error()))
		fmt.Fprintf(std.Err, "why: journalctl %s-u %s -n 50\n", user, unit)
		return exitError, true
	}
	fmt.Fprintf(std.Err, "running as %s\n", unit)
	if s.Daemonize != "" {
		fmt.Fprintf(std.Err, "its log is in the journal: under systemd daemonize = %s is not written\n", s.Daemonize)
	}
	fmt.Fprintf(std.Err, "follow it: journalctl %s-fu %s\n", user, unit)
	fmt.Fprintf(std.Err, "reload it: systemctl %sreload %s\n", user, unit)
	fmt.Fprintf(std.Err, "stop it:   systemctl %sstop %s\n", user, unit)
	return exitOK, true
}

// serviceArgv is the command line as ExecStart= takes it: a "$" in it would be the manager's to
// expand.
func serviceArgv(exe string, args []string) []string {
	out := []string{exe}
	for _, arg := range args[1:] {
		out = append(out, strings.ReplaceAll(arg, "$", "$$"))
	}
	return out
}
