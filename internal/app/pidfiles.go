package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"uwsgi/internal/control"
	"uwsgi/internal/generator"
	"uwsgi/internal/option"
)

// moment is when a pidfile is written.
type moment int

const (
	bound moment = 1 << iota // pidfile, pidfile2: once the addresses are ours, so that a second start leaves those of the first alone
	safe                     // safe-pidfile, safe-pidfile2: once the instance serves, which is what scripts wait for
)

// pidfile is a file that an instance writes.
type pidfile struct {
	label, path, dir string // a relative path starts at dir
	when             moment
}

// pidfiles are those that a deployment's settings name, absolute, and that this process writes.
func (in *instance) pidfiles(d *deployment) []pidfile {
	s := d.cfg.Settings
	var out []pidfile
	for _, p := range []pidfile{
		{"pidfile", s.Pidfile, in.startDir, bound}, {"pidfile2", s.Pidfile2, d.dir, bound},
		{"safe pidfile", s.SafePidfile, d.dir, safe}, {"safe pidfile2", s.SafePidfile2, d.dir, safe},
	} {
		if p.path == "" {
			continue
		}
		if p.path = absolute(p.dir, p.path); p.path != os.Getenv(generator.RootPidfile) || !generator.RootWrites(p.path) {
			out = append(out, p)
		}
	}
	return out
}

// writePidfiles writes those of some moments.
func (in *instance) writePidfiles(d *deployment, when moment) error {
	for _, p := range in.pidfiles(d) {
		if p.when&when == 0 {
			continue
		}
		in.log().Print("writing pidfile to " + p.path)
		err := control.WritePidfile(p.path, os.Getpid())
		if os.Geteuid() != 0 && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
			// A unit with User= never was root, where uWSGI still is when it writes this.
			in.log().Warn(strings.ReplaceAll(p.label, " ", "-") + " = " + p.path + ": " + err.Error() + ": there is none")
			continue
		}
		if err != nil {
			return d.cfg.Locate(option.Wrong(strings.ReplaceAll(p.label, " ", "-"), "", err))
		}
	}
	return nil
}

// vacuum removes what the instance made, at its end.
func (in *instance) vacuum(d *deployment) {
	if !d.cfg.Settings.Vacuum {
		return
	}
	for _, p := range in.pidfiles(d) {
		if control.RemovePidfile(p.path, os.Getpid()) {
			d.log.Print(fmt.Sprintf("VACUUM: %s removed.", p.label))
		}
	}
	d.sockets.Vacuum(d.log.Print)
}
