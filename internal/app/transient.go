package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// sameName is how many units of one name there may be.
const sameName = 100

// transient starts this command line as a service of systemd, where systemd runs: daemonize without a supervisor of its own would only be
// the worse way to the same end. done: that happened, or failed for good, and code is the status to exit with.
func transient(s *option.Settings, args, environ []string, std Streams) (code int, done bool) {
	if !sd.Booted() || os.Getppid() == 1 {
		return 0, false // started by systemd itself: a unit with Type=forking expects a daemon
	}
	exe, err := os.Executable()
	if err != nil {
		return complain(std.Err, err), true
	}
	dir, err := os.Getwd()
	if err != nil {
		return complain(std.Err, err), true
	}
	ctx := context.Background()
	connect := sd.ConnectBus
	if os.Geteuid() != 0 {
		connect = sd.ConnectUserBus
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
	var unit string
	err = sd.ErrUnitExists
	for n := 1; errors.Is(err, sd.ErrUnitExists) && n <= sameName; n++ {
		unit = sd.UnitName("uwsgi-", name, ".service")
		if n > 1 {
			unit = sd.UnitName("uwsgi-", name+"-"+strconv.Itoa(n), ".service")
		}
		err = bus.StartTransient(ctx, sd.Transient{
			Name: unit, Description: "uwsgi " + name, Argv: append([]string{exe}, args[1:]...), Type: "notify", Environ: environ, Dir: dir,
			Watchdog: 30 * time.Second, StopTimeout: max(s.ReloadMercy, s.WorkerReloadMercy, 60*time.Second) + 10*time.Second,
			KillMode: "mixed", Restart: "on-failure", Reload: []string{exe, "reload", "$MAINPID"},
		})
	}
	if errors.Is(err, sd.ErrNoManager) {
		return 0, false
	}
	if err != nil {
		fmt.Fprintf(std.Err, "uwsgi: %s did not come up: %v\nwhy: journalctl -u %s -n 50\n", unit, err, unit)
		return exitError, true
	}
	fmt.Fprintf(std.Err, "running as %s\nfollow it: journalctl -fu %s\nstop it:   systemctl stop %s\n", unit, unit, unit)
	return exitOK, true
}
