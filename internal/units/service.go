package units

import (
	"path"
	"slices"
	"strings"

	"uwsgi/internal/option"
)

// service is the drop-in of the service unit: systemd.exec(5), systemd.service(5).
func (i Instance) service(sockets bool) string {
	var u unitFile
	u.comment(i.headline())
	// No SourcePath=: systemctl would call for a daemon-reload after every edit, and none is
	// needed.
	if sockets {
		u.section("Unit")
		u.set("Wants", i.Socket())
	}
	u.section("Service")
	if i.ConfName != i.Name {
		u.words("Environment", "UWSGI_DEB_CONFNAME="+i.ConfName)
		if !strings.Contains(i.ConfName, ":") { // what follows one is the name of a link to make
			u.reset("RuntimeDirectory")
			u.words("RuntimeDirectory", strings.TrimPrefix(i.runtimeDirectory(), "/run/"))
		}
	}
	if len(i.Environment) > 0 {
		u.words("Environment", i.Environment...)
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
		if more := i.Settings.AddGIDs; len(more) > 0 {
			u.words("SupplementaryGroups", more...)
		}
		if i.RootsAlone {
			for _, p := range i.rootLogs() {
				command := []string{rootHelper, "--logfile", argument(path.Clean(p)), argument(user)}
				if group != "" {
					command = append(command, argument(group))
				}
				u.words("ExecStartPre", command...)
			}
		}
	}
	if p := path.Clean(i.Settings.Pidfile); path.IsAbs(p) && (i.RootsAlone || below(p, i.runtimeDirectory())) {
		u.words("Environment", RootPidfile+"="+p)
		u.words("ExecStartPost", rootHelper, "--pidfile", argument(p), "$MAINPID")
		u.words("ExecStopPost", rootHelper, "--pidfile", argument(p))
	}
	i.wishes().write(&u, i.Dir)
	return u.String()
}

// rootHelper is this program as a command that the unit runs as root, and whose failure does not
// fail the unit.
const rootHelper = "-+/usr/lib/systemd/system-generators/uwsgi-generator"

func (i Instance) headline() string {
	return "Written by " + i.Origin + " from " + i.File +
		"; what is changed here is lost. systemd.unit(5) says how to add to it."
}

// nobodysUser is who runs an application whose configuration names nobody: the unit's own User= and
// Group=. uWSGI runs it as root.
const nobodysUser = "www-data"

// appsEnabled is the folder of configurations that systemd starts.
const appsEnabled = "/etc/uwsgi/apps-enabled"

// AsUnit gives the settings of a configuration as its unit has them: of a file in apps-enabled, by
// whatever name or link it was read, the user who runs it where it names none.
func AsUnit(s *option.Settings) *option.Settings {
	if !slices.ContainsFunc(s.Files, func(file string) bool { return path.Dir(file) == appsEnabled }) {
		return s
	}
	unit := *s
	unit.UID, unit.GID = Instance{Settings: s}.account()
	return &unit
}

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

// unitAccount is who the unit, and with it the runtime directory, belongs to.
func (i Instance) unitAccount() (user, group string) {
	if i.needsRoot() {
		return "root", "root"
	}
	return i.account()
}

// needsRoot reports whether the configuration has work for root that systemd does not do in its
// place.
func (i Instance) needsRoot() bool {
	if i.Settings.MasterAsRoot {
		return true
	}
	for _, h := range i.Settings.Hooks {
		switch h.Phase {
		case option.PhasePreJail, option.PhaseInJail, option.PhaseAsRoot:
			return true
		}
	}
	return false
}

// asRoot lets the supervisor keep root and give it up for the application, as uWSGI does.
func (i Instance) asRoot(u *unitFile) {
	u.comment("Hooks that run as root, or master-as-root: the supervisor starts as root and gives it " +
		"up for the application.")
	// Not User=root: systemd 257 takes CAP_SETUID away from a user that it has set, after it has
	// set the filter of system calls.
	u.reset("User")
	u.reset("Group")
	u.set("CapabilityBoundingSet", "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_NET_BIND_SERVICE CAP_SETGID "+
		"CAP_SETUID CAP_SYS_NICE CAP_SYS_RESOURCE")
	u.set("SystemCallFilter", "@setuid @chown capset")
	if i.RootsAlone {
		// Where root's work will write cannot be known beforehand: to folders that do not exist
		// yet, say.
		u.set("ProtectSystem", "no")
	}
}
