//go:build lab

package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// reloadUnderLoad: new code, the same supervisor, no request lost; systemctl waits for it.
func reloadUnderLoad(t *testing.T, m *Machine) {
	a := m.App(t, "reload", "socket = /run/uwsgi/%n.sock", "processes = 2")
	a.Start(t)
	before, worker := a.MainPID(t), a.Ask(t, "/pid").Body
	a.Load(t, "/missing/../", "one", func(more func(int64)) {
		for range 3 {
			m.Sh(t, "systemctl reload uwsgi@reload")
			more(100)
		}
	})
	if got := a.MainPID(t); got != before {
		t.Errorf("the supervisor was %d, is %d", before, got)
	}
	if got := a.Ask(t, "/pid").Body; got == worker {
		t.Errorf("worker %s is still there", worker)
	}
	a.Is(t, "two")
	m.Sh(t, "systemctl reload uwsgi@reload")
	a.Answers(t, "/", "two")
}

// brokenReload: the command fails and says why, the old code serves on.
func brokenReload(t *testing.T, m *Machine) {
	a := m.App(t, "brokenreload")
	a.Start(t)
	a.Code(t, "def application(:\n")
	a.Load(t, "/", "one", func(func(int64)) {
		m.Fails(t, "systemctl reload uwsgi@brokenreload")
	})
	a.Answers(t, "/", "one")
	if got := a.State(t); got != "active" {
		t.Errorf("it is %s", got)
	}
	m.Eventually(t, "status of the failed reload", func() bool {
		got := m.Show(t, a.Unit(), "StatusText")
		return strings.Contains(got, "reload failed") || strings.Contains(got, "SyntaxError")
	})
	m.Eventually(t, "reason in the journal", func() bool {
		return strings.Contains(m.Sh(t, "journalctl -u uwsgi@brokenreload -o cat"), "SyntaxError")
	})
	m.Eventually(t, "entry with the MESSAGE_ID of a failed reload", func() bool {
		return m.Sh(t, "journalctl -u uwsgi@brokenreload -o cat MESSAGE_ID=4d14a8ff2920428dbab080a38d3d831a") != ""
	})
	a.Is(t, "mended")
	m.Sh(t, "systemctl reload uwsgi@brokenreload")
	a.Answers(t, "/", "mended")
}

// notifyReload: with the drop-in of the examples systemd itself reloads and waits (systemd 253);
// where it is older, the drop-in is not for it.
func notifyReload(t *testing.T, m *Machine) {
	a := m.App(t, "notify")
	dir := "/etc/systemd/system/" + a.Unit() + ".d"
	m.Sh(t, "mkdir -p "+dir+"; cp /usr/share/doc/uwsgi/examples/systemd/notify-reload.conf "+dir+
		"; systemctl daemon-reload")
	out := m.Sh(t, "systemd-analyze verify uwsgi@notify.service 2>&1")
	if m.Version < 253 {
		if out == "" {
			t.Error("systemd has nothing to say about Type=notify-reload")
		}
		return
	}
	if out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	a.Start(t)
	a.Code(t, "import time; time.sleep(1)\n"+program("slowly"))
	begin := time.Now()
	m.Sh(t, "systemctl reload uwsgi@notify")
	if took := time.Since(begin); took < time.Second {
		t.Errorf("systemctl reload did not wait: %v", took)
	}
	a.Answers(t, "/", "slowly")
}

// restartUnderLoad: systemd holds the sockets; a new supervisor, and no request lost.
func restartUnderLoad(t *testing.T, m *Machine) {
	a := m.App(t, "restart", "socket = /run/uwsgi/%n.sock", "processes = 2")
	a.Start(t)
	before := a.MainPID(t)
	a.Load(t, "/", "one", func(more func(int64)) {
		for range 3 {
			m.Sh(t, "systemctl restart uwsgi@restart")
			more(100)
		}
	})
	if a.MainPID(t) == before {
		t.Error("it was not restarted")
	}
}

// editAndRestart: an edited ini and a restart, without daemon-reload: addresses, users and times
// are the new ones.
func editAndRestart(t *testing.T, m *Machine) {
	a := m.App(t, "edited")
	a.Start(t)
	a.INI(t, "socket = /run/uwsgi/%n.sock", "http = 127.0.0.1:7654", "chmod-socket = 600", "gid = nogroup",
		"worker-reload-mercy = 5")
	m.Sh(t, "systemctl restart uwsgi@edited")
	a.Answers(t, "/who", "www-data nogroup /srv/edited")
	if got := m.Sh(t, "curl -sS http://127.0.0.1:7654/"); got != "one" {
		t.Errorf("the new address answers %q", got)
	}
	if got := m.Sh(t, "stat -c %a /run/uwsgi/edited.sock"); got != "600" {
		t.Errorf("mode %s", got)
	}
	if got := m.Show(t, a.Unit(), "TimeoutStopUSec"); got != "20s" {
		t.Errorf("TimeoutStopSec=%s", got)
	}
	// systemd holds the new one, too.
	if got := m.Show(t, "uwsgi@edited.socket", "Listen"); !strings.Contains(got, "127.0.0.1:7654") {
		t.Errorf("the socket unit listens on %s", got)
	}
	if got := m.Sh(t, "ss -tlnpH 'sport = :7654'"); !strings.Contains(got, `"systemd"`) {
		t.Errorf("port 7654 is held by %s", got)
	}
}

// restartedOften: whoever tries things restarts more often than systemd lets a service restart that
// keeps failing.
func restartedOften(t *testing.T, m *Machine) {
	a := m.App(t, "tried")
	a.Start(t)
	for n := range 7 {
		a.INI(t, "socket = /run/uwsgi/%n.sock", fmt.Sprintf("http = 127.0.0.1:%d", 7660+n%2))
		m.Sh(t, "systemctl restart uwsgi@tried")
		if got := m.Sh(t, fmt.Sprintf("curl -sS http://127.0.0.1:%d/", 7660+n%2)); got != "one" {
			t.Fatalf("after restart %d: %q", n, got)
		}
	}
}

// journaldRestart: requests go on, and later entries arrive.
func journaldRestart(t *testing.T, m *Machine) {
	a := m.App(t, "logged")
	a.Start(t)
	a.Load(t, "/", "one", func(more func(int64)) {
		m.Sh(t, "systemctl restart systemd-journald")
		more(100)
	})
	a.Ask(t, "/missing")
	m.Eventually(t, "entry after the restart of journald", func() bool {
		return m.Sh(t, "journalctl --sync || true; journalctl -u uwsgi@logged -o cat STATUS=404") != ""
	})
}
