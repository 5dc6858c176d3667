package generator

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stopMargin is what a stop may take beyond the workers' mercy: atexit handlers, and the supervisor's own end.
const stopMargin = 15 * time.Second

// service is the drop-in of the service unit: systemd.exec(5), systemd.service(5).
func (i Instance) service(sockets bool) string {
	s := i.Settings
	var u unitFile
	u.comment(i.headline())
	// No SourcePath=: systemctl would call for a daemon-reload after every edit, and none is needed.
	if sockets {
		u.section("Unit")
		u.set("Wants", i.Socket())
	}
	u.section("Service")
	if i.ConfName != i.Name {
		u.words("Environment", "UWSGI_DEB_CONFNAME="+i.ConfName)
		u.reset("RuntimeDirectory")
		u.words("RuntimeDirectory", strings.TrimPrefix(i.runtimeDirectory(), "/run/"))
	}
	if len(i.Args) > 0 {
		u.reset("ExecStart")
		command := []string{"/usr/bin/uwsgi"}
		for _, a := range i.Args {
			command = append(command, argument(a))
		}
		u.words("ExecStart", command...)
	}
	user, group := i.account()
	if i.needsRoot() {
		i.asRoot(&u)
	} else {
		u.set("User", user)
		u.set("Group", group)
		if len(s.AddGIDs) > 0 {
			u.words("SupplementaryGroups", s.AddGIDs...)
		}
		for _, p := range i.pidfiles() {
			owner := []string{"/usr/bin/install", "-T", "-m", "0644", "-o", user}
			if group != "" {
				owner = append(owner, "-g", group)
			}
			// uWSGI writes it as root, into folders that are root's.
			u.words("ExecStartPre", append([]string{"-+" + owner[0]}, append(owner[1:], "/dev/null", argument(p))...)...)
		}
	}
	if path.IsAbs(s.Chdir) {
		u.set("WorkingDirectory", "-"+s.Chdir)
	} else if i.Dir != "" {
		u.set("WorkingDirectory", "-"+i.Dir)
	}
	if s.Umask >= 0 {
		u.set("UMask", "0"+strconv.FormatInt(int64(s.Umask), 8))
	}
	if s.Prio != 0 {
		u.set("Nice", strconv.Itoa(max(-20, min(s.Prio, 19))))
	}
	u.set("TimeoutStopSec", seconds(i.mercy()+stopMargin))
	writable := i.writable()
	if slices.ContainsFunc(i.paths(), temporary) {
		// A file in /tmp that the configuration names is there for others to see.
		u.set("PrivateTmp", "no")
		writable = append(writable, "/tmp", "/var/tmp")
	}
	if len(writable) > 0 {
		for n := range writable {
			writable[n] = "-" + writable[n]
		}
		u.words("ReadWritePaths", writable...)
	}
	return u.String()
}

func (i Instance) headline() string {
	return "Written by " + i.Origin + " from " + i.File + "; what is changed here is lost. systemd.unit(5) says how to add to it."
}

// nobodysUser is who runs an application whose configuration names nobody: the unit's own User= and Group=. uWSGI runs it as root.
const nobodysUser = "www-data"

// account is who the application runs as; group "" is the user's own.
func (i Instance) account() (user, group string) {
	user, group = i.Settings.UID, i.Settings.GID
	if user == "" {
		user = nobodysUser
		if group == "" {
			group = nobodysUser
		}
	}
	return user, group
}

// mercy is how long the workers may take to stop: worker-reload-mercy, and no longer than reload-mercy gives the whole.
func (i Instance) mercy() time.Duration {
	m := i.Settings.WorkerReloadMercy
	if m <= 0 {
		m = time.Minute
	}
	if whole := i.Settings.ReloadMercy; whole > 0 {
		m = min(m, whole)
	}
	return m
}

// needsRoot says whether the configuration has work for root that systemd does not do in its place.
func (i Instance) needsRoot() bool {
	if i.Settings.MasterAsRoot {
		return true
	}
	for _, h := range i.Settings.Hooks {
		switch h.Phase {
		case "pre-jail", "in-jail", "as-root":
			return true
		}
	}
	return false
}

// asRoot lets the supervisor keep root and give it up for the application, as uWSGI does.
func (i Instance) asRoot(u *unitFile) {
	u.comment("Hooks that run as root, or master-as-root: the supervisor starts as root and gives it up for the application.")
	u.set("User", "root")
	u.set("Group", "root")
	u.set("CapabilityBoundingSet", "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETUID CAP_SYS_NICE CAP_SYS_RESOURCE")
	u.set("SystemCallFilter", "@setuid @chown")
}
