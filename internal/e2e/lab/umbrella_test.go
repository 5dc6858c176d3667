//go:build lab

package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// enableDisable: systemctl enable and disable do what they say.
func enableDisable(t *testing.T, m *Machine) {
	a := m.App(t, "enabled")
	link := "/etc/systemd/system/multi-user.target.wants/uwsgi@enabled.service"
	m.Sh(t, "systemctl enable uwsgi@enabled")
	if _, err := os.Lstat(m.Path(link)); err != nil {
		t.Error(err)
	}
	if got := m.Sh(t, "systemctl is-enabled uwsgi@enabled"); got != "enabled" {
		t.Errorf("it is %s", got)
	}
	m.Sh(t, "systemctl enable uwsgi@enabled.socket; test -L "+
		"/etc/systemd/system/sockets.target.wants/uwsgi@enabled.socket")
	m.Sh(t, "systemctl disable uwsgi@enabled.service uwsgi@enabled.socket")
	if _, err := os.Lstat(m.Path(link)); err == nil {
		t.Error("the link is still there")
	}
	// Masked, it does not start, not by uwsgi.service either.
	m.Sh(t, "systemctl mask uwsgi@enabled; systemctl restart uwsgi || true")
	defer m.Run("systemctl", "unmask", "uwsgi@enabled")
	if got := a.State(t); got != "inactive" {
		t.Errorf("masked, it is %s", got)
	}
}

// umbrella: service uwsgi and systemctl reach every application, and those that are new in the
// folder.
func umbrella(t *testing.T, m *Machine) {
	a := m.App(t, "one")
	m.Sh(t, "service uwsgi restart")
	m.Eventually(t, "start of an application by service uwsgi restart", func() bool { return a.State(t) == "active" })
	b := m.App(t, "other")
	before := a.MainPID(t)
	m.Sh(t, "service uwsgi restart")
	m.Eventually(t, "start of a new application by service uwsgi restart",
		func() bool { return b.State(t) == "active" })
	m.Eventually(t, "restart of the other", func() bool { return a.State(t) == "active" && a.MainPID(t) != before })
	before, other := a.MainPID(t), b.MainPID(t)
	a.Is(t, "two")
	b.Is(t, "two")
	m.Sh(t, "systemctl reload uwsgi")
	for _, app := range []App{a, b} {
		m.Eventually(t, "reload of "+app.Name, func() bool { return app.Ask(t, "/").Body == "two" })
	}
	if a.MainPID(t) != before || b.MainPID(t) != other {
		t.Error("a reload restarted a supervisor")
	}
	m.Sh(t, "service uwsgi stop")
	for _, app := range []App{a, b} {
		if got := app.State(t); got != "inactive" {
			t.Errorf("%s is %s after service uwsgi stop", app.Name, got)
		}
	}
	m.Sh(t, "service uwsgi start")
	m.Eventually(t, "start by service uwsgi start",
		func() bool { return a.State(t) == "active" && b.State(t) == "active" })
}

// initScript: with systemd it is systemctl's, names included.
func initScript(t *testing.T, m *Machine) {
	a := m.App(t, "lsb-app")
	m.Sh(t, "/etc/init.d/uwsgi start lsb-app")
	a.Answers(t, "/", "one")
	m.Sh(t, "/etc/init.d/uwsgi status lsb-app")
	a.Is(t, "two")
	m.Sh(t, "/etc/init.d/uwsgi reload lsb-app")
	a.Answers(t, "/", "two")
	before := a.MainPID(t)
	m.Sh(t, "/etc/init.d/uwsgi restart lsb-app")
	if a.MainPID(t) == before {
		t.Error("restart did nothing")
	}
	m.Sh(t, "/etc/init.d/uwsgi force-reload lsb-app")
	m.Sh(t, "/etc/init.d/uwsgi stop lsb-app")
	m.Fails(t, "/etc/init.d/uwsgi status lsb-app")
	m.Fails(t, "/etc/init.d/uwsgi nonsense")
}

// initScriptWithoutSystemd: the same commands where nobody else looks after the processes.
func initScriptWithoutSystemd(t *testing.T, m *Machine) {
	a := m.App(t, "sysv")
	script := func(args string) string {
		return "mkdir -p /run/systemd/hidden; env -u NOTIFY_SOCKET SYSTEMCTL_SKIP_REDIRECT=1 unshare -m sh -ec " +
			"'mount -t tmpfs none /run/systemd; /etc/init.d/uwsgi " + args + "'"
	}
	m.Sh(t, "systemctl stop uwsgi")
	defer m.Run("systemctl", "start", "uwsgi")
	m.Fails(t, script("status sysv"))
	m.Sh(t, script("start"))
	socket := m.Path("/run/uwsgi/app/sysv/socket")
	m.Eventually(t, "socket", func() bool { _, err := os.Stat(socket); return err == nil })
	ask := func() string { return harness.Uwsgi(t, socket, harness.Request("GET", "/", ""), "").Body }
	if got := ask(); got != "one" {
		t.Errorf("it answers %q", got)
	}
	pid := m.Sh(t, "cat /run/uwsgi/app/sysv/pid")
	if got := m.Sh(t, "stat -c '%U %a' /run/uwsgi/app/sysv /run/uwsgi/app/sysv/pid"); got != "root 755\nroot 644" {
		t.Errorf("folder and pidfile are %q", got)
	}
	if got := m.Sh(t, "ps -o user=,comm= -p "+pid); strings.Join(strings.Fields(got), " ") != "www-data uwsgi" {
		t.Errorf("the supervisor is %s", got)
	}
	if got := harness.Uwsgi(t, socket, harness.Request("GET", "/who", ""),
		"").Body; got != "www-data www-data /srv/sysv" {
		t.Errorf("the application is %s", got)
	}
	m.Sh(t, script("status sysv"))
	a.Is(t, "two")
	m.Sh(t, script("reload sysv"))
	if got := ask(); got != "two" {
		t.Errorf("after a reload it answers %q", got)
	}
	if got := m.Sh(t, "cat /run/uwsgi/app/sysv/pid"); got != pid {
		t.Errorf("the pid changed in a reload")
	}
	m.Sh(t, script("restart sysv"))
	m.Eventually(t, "answer after a restart", func() bool { _, err := os.Stat(socket); return err == nil })
	if got := m.Sh(t, "cat /run/uwsgi/app/sysv/pid"); got == pid {
		t.Errorf("restart did nothing")
	}
	if got := m.Sh(t, "cat /var/log/uwsgi/app/sysv.log"); !strings.Contains(got, "*** Starting uWSGI") ||
		!strings.Contains(got, "GET /who") {
		t.Errorf("the log holds\n%s", got)
	}
	m.Sh(t, script("stop"))
	m.Fails(t, script("status sysv"))
	if out, _ := m.Run("pgrep", "-f", "loader.py"); out != "" {
		t.Errorf("left behind: %s", out)
	}
	m.Sh(t, "rm -f /var/log/uwsgi/app/sysv.log")
}

// debianTemplate: uwsgi-app@, a user of its own.
func debianTemplate(t *testing.T, m *Machine) {
	m.Write(t, "/srv/tmpl/app.py", program("own"))
	m.Write(t, "/etc/uwsgi/apps-available/tmpl.ini",
		"[uwsgi]\nchdir = /srv/tmpl\nmodule = app\nprocesses = 1\nplugins = python3,apparmor\n")
	defer m.Run("sh", "-c", "systemctl stop uwsgi-app@tmpl.socket uwsgi-app@tmpl.service; rm -rf /srv/tmpl "+
		"/etc/uwsgi/apps-available/tmpl.ini /var/lib/uwsgi /var/lib/private/uwsgi")
	m.Sh(t, "systemctl start uwsgi-app@tmpl.socket")
	got := harness.Uwsgi(t, m.Path("/run/uwsgi/tmpl.socket"), harness.Request("GET", "/who", ""), "").Body
	if got != "nobody's www-data /srv/tmpl" {
		t.Errorf("it answers %q", got)
	}
	if got := m.Sh(t, "stat -c '%a %U' /run/uwsgi/tmpl.socket"); got != "600 www-data" {
		t.Errorf("the socket is %s", got)
	}
	m.Sh(t, "systemctl reload uwsgi-app@tmpl; for i in 1 2 3 4 5 6; do systemctl restart uwsgi-app@tmpl || exit 1; "+
		"done; systemctl is-active uwsgi-app@tmpl")
}

// emperor: one instance a file, as files come, change and go.
func emperor(t *testing.T, m *Machine) {
	const dir = "/etc/uwsgi-emperor/vassals/"
	defer m.Run("sh", "-c", "systemctl stop uwsgi-emperor; rm -rf "+dir+"*.ini /srv/vassal /srv/second")
	m.Sh(t, "systemctl start uwsgi-emperor")
	vassal := func(name string, lines ...string) App {
		a := App{m: m, Name: name}
		a.Is(t, "one")
		m.Write(t, dir+name+".ini", fmt.Sprintf("[uwsgi]\nchdir = /srv/%s\nmodule = app\nsocket = "+
			"/run/uwsgi/%s.sock\nchmod-socket = 666\n%s\n", name, name, strings.Join(lines, "\n")))
		return a
	}
	a := vassal("vassal")
	m.Eventually(t, "start of a vassal", func() bool { return a.State(t) == "active" })
	a.Answers(t, "/who", "www-data www-data /srv/vassal")
	pid := a.MainPID(t)
	a.Is(t, "two")
	m.Sh(t, "touch "+dir+"vassal.ini")
	m.Eventually(t, "reload of a touched vassal", func() bool { return a.Ask(t, "/").Body == "two" })
	if a.MainPID(t) != pid {
		t.Error("a touched vassal was restarted")
	}
	b := vassal("second", "gid = nogroup")
	m.Eventually(t, "start of a second vassal", func() bool { return b.State(t) == "active" })
	b.Answers(t, "/who", "www-data nogroup /srv/second")
	// An address that changed calls for a restart.
	m.Write(t, dir+"second.ini", "[uwsgi]\nchdir = /srv/second\nmodule = app\nsocket = "+
		"/run/uwsgi/second.sock\nhttp = 127.0.0.1:7100\n")
	m.Eventually(t, "new address of a vassal", func() bool {
		out, _ := m.Run("curl", "-sS", "-m", "2", "http://127.0.0.1:7100/")
		return out == "one"
	})
	m.Sh(t, "rm "+dir+"vassal.ini")
	m.Eventually(t, "end of a vassal whose file is gone", func() bool { return a.State(t) == "inactive" })
	m.Eventually(t, "end of its drop-ins", func() bool {
		_, err := os.Stat(m.Path("/run/systemd/system/uwsgi@vassal.service.d"))
		return err != nil
	})
	if got := m.Show(t, "uwsgi-emperor", "StatusText"); !strings.Contains(got, "1 ") {
		t.Errorf("STATUS=%q", got)
	}
	// One that is broken is reported, and starts once it is mended.
	m.Write(t, dir+"vassal.ini", "[uwsgi]\nharakiri = 5\nini = /nowhere.ini\n")
	m.Eventually(t, "word of a broken vassal", func() bool {
		return strings.Contains(m.Show(t, "uwsgi-emperor", "StatusText"), "1 failed: [vassal]")
	})
	a = vassal("vassal")
	m.Eventually(t, "start of a vassal that was mended", func() bool { return a.State(t) == "active" })
	m.Sh(t, "rm "+dir+"vassal.ini")
	m.Eventually(t, "end of it", func() bool { return a.State(t) == "inactive" })
	// A crash of the emperor is none of the vassals' business.
	pid = b.MainPID(t)
	m.Sh(t, "kill -9 $(systemctl show --value -p MainPID uwsgi-emperor)")
	m.Eventually(t, "restart of the emperor", func() bool {
		return m.Show(t, "uwsgi-emperor", "NRestarts") == "1" && m.Show(t, "uwsgi-emperor", "ActiveState") == "active"
	})
	if b.MainPID(t) != pid {
		t.Error("a vassal went with the emperor")
	}
	m.Sh(t, "systemctl stop uwsgi-emperor")
	m.Eventually(t, "end of the vassals with their emperor", func() bool { return b.State(t) == "inactive" })
}
