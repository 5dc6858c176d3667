package units

import (
	"path"
	"slices"
	"strings"
)

// paths are the files that the configuration names and the instance makes, writes, or lets others
// find.
func (i Instance) paths() []string {
	s := i.Settings
	out := []string{s.Chdir, s.Chdir2, s.Pidfile, s.Pidfile2, s.SafePidfile, s.SafePidfile2, s.LogTo, s.LogTo2,
		s.Daemonize, s.Emperor.Pidfile}
	out = append(out, s.Stats...)
	out = append(out, s.MasterFIFO...)
	out = append(out, s.TouchReload...)
	out = append(out, s.TouchWorkersReload...)
	out = append(out, s.TouchSpoolersReload...)
	out = append(out, s.TouchMulesReload...)
	out = append(out, s.TouchChainReload...)
	out = append(out, s.TouchLogreopen...)
	out = append(out, s.TouchLogrotate...)
	for _, k := range s.Sockets {
		if _, held := listenStream(k, s.AbstractSocket); !held {
			out = append(out, k.Address)
		}
	}
	for _, l := range append(slices.Clone(s.Loggers), s.ReqLoggers...) {
		if l.Kind == "file" || l.Kind == "socket" {
			out = append(out, l.Arg)
		}
	}
	for _, f := range s.FileWrites {
		out = append(out, f.Name)
	}
	for _, sp := range s.Spoolers {
		out = append(out, sp.Dir)
	}
	for _, d := range s.Daemons {
		out = append(out, d.Pidfile)
	}
	return slices.DeleteFunc(out, func(p string) bool { return !path.IsAbs(p) })
}

// systemFolders stay read-only whatever the configuration names: a service has no business there.
var systemFolders = []string{"/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root",
	"/sbin", "/sys", "/usr"}

// writable are the folders that ProtectSystem=strict must leave writable: the application's own,
// and those of the files it makes. File permissions hold there as ever.
func (i Instance) writable() []string {
	var out []string
	for _, p := range i.paths() {
		dir := path.Clean(p)
		if p != i.Settings.Chdir && p != i.Settings.Chdir2 {
			dir = path.Dir(dir)
		}
		switch {
		case dir == "/" || temporary(dir) || below(dir, "/run/uwsgi"):
		case slices.ContainsFunc(systemFolders, func(sys string) bool { return below(dir, sys) }):
		case slices.ContainsFunc(out, func(o string) bool { return below(dir, o) }):
		default:
			out = append(out, dir)
		}
	}
	return out
}

// temporary reports whether PrivateTmp=yes would hide the path from others.
func temporary(p string) bool {
	p = path.Clean(p)
	return strings.HasPrefix(p, "/tmp/") || strings.HasPrefix(p, "/var/tmp/") || p == "/tmp" || p == "/var/tmp"
}
