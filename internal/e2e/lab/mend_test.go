//go:build lab

package lab

import (
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// brokenConfig: a restart with a configuration that is broken fails and says why, in every place
// where one looks; once systemd has given up, and the file is mended, a plain start is enough.
func brokenConfig(t *testing.T, m *Machine) {
	a := m.App(t, "misspelt")
	a.DropIn(t, "[Unit]\nStartLimitBurst=2\n[Service]\nRestartSec=100ms\n")
	a.Start(t)
	a.INI(t, "socket = /run/uwsgi/%n.sock", "http = 127.0.0.1:7300:x")
	m.Fails(t, "systemctl restart uwsgi@misspelt")
	const fault = `/etc/uwsgi/apps-enabled/misspelt.ini:5: http = 127.0.0.1:7300:x: "x" is no port`
	if got := m.Show(t, a.Unit(), "StatusText"); !strings.HasPrefix(got, fault) {
		t.Errorf("STATUS=%q", got)
	}
	m.Eventually(t, "fault as an error, explained", func() bool {
		found := m.entries(t, "-u uwsgi@misspelt -p err MESSAGE_ID=d89f97d32f454cb2912f1495fe55c7cb")
		if len(found) == 0 {
			return false
		}
		text, _ := found[0]["MESSAGE"].(string)
		return strings.HasPrefix(text, fault) && found[0]["UWSGI_APP"] == "misspelt"
	})
	if got := m.Sh(t, "journalctl -x -u uwsgi@misspelt --no-pager"); !strings.Contains(got,
		"Subject: Application misspelt could not be started") {
		t.Errorf("journalctl -x does not explain it:\n%s", got)
	}
	m.Eventually(t, "end of systemd's tries", func() bool { return m.Show(t, a.Unit(), "SubState") == "failed" })
	a.INI(t, "socket = /run/uwsgi/%n.sock", "http = 127.0.0.1:7300")
	a.Start(t)
	if got := m.Sh(t, "curl -sS -m 5 http://127.0.0.1:7300/"); got != "one" {
		t.Errorf("mended, it answers %q", got)
	}
	if got := m.Show(t, "uwsgi@misspelt.socket", "ActiveState"); got != "active" {
		t.Errorf("mended, its socket is %s", got)
	}
	// An edit is nothing that systemctl calls for a daemon-reload for.
	a.INI(t, "socket = /run/uwsgi/%n.sock", "http = 127.0.0.1:7300", "processes = 3")
	if out := m.Sh(t, "systemctl reload uwsgi@misspelt 2>&1; systemctl status uwsgi@misspelt "+
		"--no-pager 2>&1"); strings.Contains(out, "daemon-reload") {
		t.Errorf("after an edit:\n%s", out)
	}
}

// missingUser: an account that is not there is named where one looks for it.
func missingUser(t *testing.T, m *Machine) {
	a := m.App(t, "stranger", "socket = /run/uwsgi/%n.sock", "uid = nosuchuser")
	a.DropIn(t, "[Service]\nRestart=no\n")
	m.Fails(t, "systemctl start uwsgi@stranger")
	m.Eventually(t, "word of the user that is missing", func() bool {
		return strings.Contains(m.Sh(t, "journalctl -u uwsgi@stranger -p err -o cat"), "user nosuchuser not found")
	})
}

// brokenReloadOfConfig: so with a reload, and what serves serves on.
func brokenReloadOfConfig(t *testing.T, m *Machine) {
	a := m.App(t, "halfway")
	a.Start(t)
	a.INI(t, "socket = /run/uwsgi/%n.sock", "ini = /nowhere.ini")
	m.Fails(t, "systemctl reload uwsgi@halfway")
	a.Answers(t, "/", "one")
	if got := m.Show(t, a.Unit(), "StatusText"); !strings.Contains(got, "reload failed") ||
		!strings.Contains(got, "halfway.ini:5: ini = /nowhere.ini") {
		t.Errorf("STATUS=%q", got)
	}
}

// movedPort: a reload after an edit serves the new address at once, and the old one, which systemd
// holds, until the restart.
func movedPort(t *testing.T, m *Machine) {
	a := m.App(t, "moved", "http = 127.0.0.1:7401")
	a.Start(t)
	get := func(port string) string {
		out, _ := m.Run("curl", "-sS", "-m", "5", "http://127.0.0.1:"+port+"/")
		return out
	}
	a.INI(t, "http = 127.0.0.1:7402")
	m.Sh(t, "systemctl reload uwsgi@moved")
	if old, now := get("7401"), get("7402"); old != "one" || now != "one" {
		t.Errorf("after a reload the old port answers %q, the new one %q", old, now)
	}
	m.Sh(t, "systemctl restart uwsgi@moved")
	if old, now := get("7401"), get("7402"); !strings.Contains(old, "Failed to connect") || now != "one" {
		t.Errorf("after a restart the old port answers %q, the new one %q", old, now)
	}
	if got := m.Sh(t, "ss -tlnpH 'sport = :7402'"); !strings.Contains(got, `"systemd"`) {
		t.Errorf("port 7402 is held by %s", got)
	}
	// A port that the instance may not bind itself: the reload says what to do, and that does it.
	a.INI(t, "http = 127.0.0.1:82")
	if out, _ := m.Run("uwsgi", "reload", "/run/uwsgi/app/moved/pid"); !strings.Contains(out,
		"a restart has it open the new address") {
		t.Errorf("a reload to port 82: %s", out)
	}
	m.Sh(t, "systemctl restart uwsgi@moved")
	if got := get("82"); got != "one" {
		t.Errorf("port 82 answers %q", got)
	}
}

// names that a unit's name cannot hold as they are, and ones that look like something else.
func names(t *testing.T, m *Machine) {
	for name, instance := range map[string]string{"my site": `my\x20site`, "café-2@50%": `caf\xc3\xa9-2\x4050\x25`} {
		a := App{m: m, Name: name}
		m.Write(t, "/srv/names/app.py", program(instance))
		m.Write(t, "/etc/uwsgi/apps-enabled/"+name+".ini",
			"[uwsgi]\nchdir = /srv/names\nmodule = app\nsocket = /run/uwsgi/%n.sock\n")
		defer m.Run("sh", "-c", "/etc/init.d/uwsgi stop '"+name+"'; rm -rf /srv/names '/etc/uwsgi/apps-enabled/"+name+
			".ini'; systemctl daemon-reload")
		m.Sh(t, "/etc/init.d/uwsgi start '"+name+"'")
		a.Answers(t, "/", instance)
		for _, socket := range []string{"/run/uwsgi/" + name + ".sock", "/run/uwsgi/app/" + name + "/socket"} {
			if got := harness.Uwsgi(t, m.Path(socket), harness.Request("GET", "/", ""), ""); got.Body != instance {
				t.Errorf("%s answers %q", socket, got.Body)
			}
		}
		m.Sh(t, "systemctl reload 'uwsgi@"+instance+"'; /etc/init.d/uwsgi restart '"+name+
			"'; /etc/init.d/uwsgi status '"+name+"'")
		if got := m.Show(t, "'uwsgi@"+instance+".socket'", "ActiveState"); got != "active" {
			t.Errorf("the socket of %q is %s", name, got)
		}
		a.Answers(t, "/", instance)
	}
}

// atOnce: several new files, one command.
func atOnce(t *testing.T, m *Machine) {
	var all []App
	for _, name := range []string{"first-of", "second-of", "third-of"} {
		all = append(all, m.App(t, name, "socket = /run/uwsgi/%n.sock", "processes = 1"))
	}
	m.Sh(t, "systemctl start uwsgi@first-of uwsgi@second-of uwsgi@third-of")
	for _, a := range all {
		a.Answers(t, "/who", "www-data www-data /srv/"+a.Name)
		if got := m.Show(t, "uwsgi@"+a.Name+".socket", "ActiveState"); got != "active" {
			t.Errorf("the socket of %s is %s", a.Name, got)
		}
	}
}
