package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"uwsgi/internal/option"
	"uwsgi/internal/units"
)

// moment is when a pidfile is written.
type moment int

const (
	// pidfile, pidfile2: once the addresses are ours, so that a second start leaves those of the
	// first alone
	bound moment = 1 << iota
	safe         // safe-pidfile, safe-pidfile2: once the instance serves, which is what scripts wait for
)

// ownPidfile is a file that an instance writes.
type ownPidfile struct {
	label, path, dir string // a relative path starts at dir
	when             moment
}

// pidfiles are those that the settings name, absolute, and that this process writes; dir is the
// application's folder.
func (in *instance) pidfiles(s *option.Settings, dir string) []ownPidfile {
	var out []ownPidfile
	for _, p := range []ownPidfile{
		{"pidfile", s.Pidfile, in.startDir, bound}, {"pidfile2", s.Pidfile2, dir, bound},
		{"safe pidfile", s.SafePidfile, dir, safe}, {"safe pidfile2", s.SafePidfile2, dir, safe},
	} {
		if p.path == "" {
			continue
		}
		if p.path = option.PathIn(p.dir, p.path); p.path != os.Getenv(units.RootPidfile) || !units.RootWrites(p.path) {
			out = append(out, p)
		}
	}
	return out
}

// writePidfiles writes those of some moments.
func (in *instance) writePidfiles(d *deployment, when moment) error {
	for _, p := range in.pidfiles(d.cfg.Settings, d.dir) {
		if p.when&when == 0 {
			continue
		}
		in.log().Print("writing pidfile to " + p.path)
		err := in.rights.writePidfile(p.path, p.label == "pidfile")
		if in.rights.as == "" && os.Geteuid() != 0 &&
			(errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
			// A unit with User= never was root, where uWSGI still is when it writes this.
			in.log().Warn(strings.ReplaceAll(p.label, " ", "-") + " = " + p.path + ": " +
				err.Error() + ": there is none")
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
	for _, p := range in.pidfiles(d.cfg.Settings, d.dir) {
		if in.rights.removePidfile(p.path) {
			d.log.Print(fmt.Sprintf("VACUUM: %s removed.", p.label))
		}
	}
	d.sockets.Vacuum(d.log.Print)
}
