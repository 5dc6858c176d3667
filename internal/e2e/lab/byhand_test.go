//go:build lab

package lab

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// byHand is a project in a folder with an uwsgi.ini, as one starts it by hand: /srv/NAME, on a port
// of its own. It answers with a word and with what it was given as SECRET.
type byHand struct {
	m    *Machine
	name string
	port int
}

// byHand makes one, with further lines of its ini, and takes it away at the end of the test.
func (m *Machine) byHand(t *testing.T, name string, port int, lines ...string) byHand {
	t.Helper()
	h := byHand{m, name, port}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal of %s ends with\n%s", m.Suite, m.tail())
		}
		m.Run("sh", "-c", "systemctl stop "+h.Unit()+"; systemctl reset-failed; rm -rf /srv/"+name)
	})
	h.Code(t, "one")
	m.Write(t, "/srv/"+name+"/uwsgi.ini", fmt.Sprintf("[uwsgi]\nmodule = app\nhttp = 127.0.0.1:%d\npidfile = "+
		"/srv/%s/pid\n%s\n", port, name, strings.Join(lines, "\n")))
	return h
}

// Code makes it answer with another word, once it is loaded again; of another length, or what
// Python has compiled of the old one counts.
func (h byHand) Code(t *testing.T, word string) {
	t.Helper()
	h.m.Write(t, "/srv/"+h.name+"/app.py", fmt.Sprintf(`
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    ours = [k for k in os.environ if k in ("UWSGI_ENVIRONMENT_FILE", "RUNTIME_DIRECTORY")]
    return [os.fsencode(" ".join(["%s", os.environ.get("SECRET", "none"), *ours]))]
`, word))
}

func (h byHand) Unit() string { return "uwsgi-" + h.name + ".service" }

// Ask gives the answer, "" when there is none.
func (h byHand) Ask() string {
	out, _ := h.m.Run("curl", "-sS", "-m", "5", fmt.Sprintf("http://127.0.0.1:%d/", h.port))
	return out
}

// Answers wants an answer, at once.
func (h byHand) Answers(t *testing.T, want string) {
	t.Helper()
	if got := h.Ask(); got != want {
		t.Fatalf("%s answers %q, want %q", h.name, got, want)
	}
}

func (h byHand) MainPID(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(h.m.Show(t, h.Unit(), "MainPID"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// secretEnvironment: what `uwsgi -d` passes on of the caller's environment is for nobody else to
// see, and there for as long as the unit is.
func secretEnvironment(t *testing.T, m *Machine) {
	h := m.byHand(t, "secret", 18101, "daemonize = /srv/secret/log")
	out := m.Sh(t, `cd /srv/secret; env SECRET=S3cret RAW="$(printf '\377')" 'BASH_FUNC_f%%=() { :; }' uwsgi --ini uwsgi.ini --set 'x=$HOME' 2>&1`)
	h.Answers(t, "one S3cret")
	// It says where the log is, and is not: a file is not written.
	if !strings.Contains(out, "its log is in the journal") ||
		!strings.Contains(out, "under systemd daemonize = /srv/secret/log is not written") {
		t.Errorf("uwsgi -d says: %s", out)
	}
	m.Sh(t, "test ! -e /srv/secret/log")
	pid := h.MainPID(t)
	if got := m.Sh(t, fmt.Sprintf("tr '\\0' '\\n' </proc/%d/environ | grep -c -e '^SECRET=S3cret$' -e "+
		"'^BASH_FUNC_f%%%%=() { :; }$' -e \"^RAW=$(printf '\\377')$\"", pid)); got != "3" {
		t.Errorf("%s of 3 variables have come through", got)
	}
	if got := m.Sh(t, fmt.Sprintf("tr '\\0' ' ' </proc/%d/cmdline", pid)); !strings.Contains(got, "x=$HOME") {
		t.Errorf("its command line is %s", got)
	}
	const look = `runuser -u nobody -- sh -c 'systemctl show --all %[1]s; systemctl cat %[1]s; systemctl status %[1]s; grep -rs S3cret /run; cat /proc/[0-9]*/environ 2>/dev/null | tr "\0" "\n"
		busctl call org.freedesktop.systemd1 $(busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager GetUnit s %[1]s | cut -d\" -f2) org.freedesktop.DBus.Properties GetAll s "" || true'`
	if got := m.Sh(t, fmt.Sprintf(look, h.Unit())); !strings.Contains(got, "uwsgi.ini") ||
		strings.Contains(got, "S3cret") {
		t.Errorf("nobody sees:\n%s", got)
	}
	// A reload, a restart, and what systemd starts again.
	h.Code(t, "second")
	m.Sh(t, "uwsgi reload /srv/secret/pid")
	h.Answers(t, "second S3cret")
	m.Sh(t, "systemctl reload "+h.Unit())
	h.Answers(t, "second S3cret")
	m.Sh(t, "systemctl restart "+h.Unit())
	h.Answers(t, "second S3cret")
	pid = h.MainPID(t)
	m.Sh(t, fmt.Sprintf("kill -SEGV %d", pid))
	m.Eventually(t, "restart after a crash", func() bool { return h.MainPID(t) != pid && h.Ask() == "second S3cret" })
	// Another of that name, and one that does not come up.
	m.Sh(t, `cp -r /srv/secret /srv/secret-2; cd /srv/secret-2; sed -i -e s/18101/18102/ -e s,/srv/secret/,/srv/secret-2/, uwsgi.ini
		SECRET=other uwsgi --ini uwsgi.ini; systemctl stop uwsgi-secret-2
		echo 'import not_there_at_all' >app.py; ! SECRET=S3cret uwsgi --ini uwsgi.ini; rm -r /srv/secret-2`)
	if got := m.Sh(t, "find /run/uwsgi-daemon -type f | wc -l"); got != "1" {
		t.Errorf("of one instance there are %s environments", got)
	}
	m.Sh(t, "systemctl stop "+h.Unit())
	if got := m.Sh(t, "find /run/uwsgi-daemon -mindepth 1"); got != "" {
		t.Errorf("after the stop there are left: %s", got)
	}
}

// killedByHand: the tutorial's way to stop it stops it, and it can be started again.
func killedByHand(t *testing.T, m *Machine) {
	h := m.byHand(t, "tutorial", 18103, "master = true", "processes = 2", "daemonize = /srv/tutorial/log",
		"uid = www-data", "gid = www-data", "vacuum = true")
	for range 2 {
		m.Sh(t, "cd /srv/tutorial; SECRET=s uwsgi --ini uwsgi.ini")
		h.Answers(t, "one s")
		m.Sh(t, "runuser -u www-data -- uwsgi --reload /srv/tutorial/pid")
		h.Answers(t, "one s")
		// The shell's own command line must not match.
		m.Sh(t, "pkill -9 -f 'uwsg[i]'")
		m.Eventually(t, "end of the unit", func() bool {
			state := m.Sh(t, "systemctl is-active "+h.Unit()+" || true")
			return state == "failed" || state == "inactive"
		})
		if got := m.Show(t, h.Unit(), "NRestarts"); got != "0" {
			t.Errorf("it was restarted %s times", got)
		}
		if got, _ := m.Run("pgrep", "-af", "loader.py"); got != "" {
			t.Errorf("left over: %s", got)
		}
		if got := m.Sh(t, "find /run/uwsgi-daemon -mindepth 1"); got != "" {
			t.Errorf("left over: %s", got)
		}
	}
}

// umbrellaByHand: `service uwsgi …` reaches what was started by hand, too.
func umbrellaByHand(t *testing.T, m *Machine) {
	h := m.byHand(t, "reached", 18104, "master = true")
	m.Sh(t, "cd /srv/reached; SECRET=s uwsgi -d --ini uwsgi.ini")
	h.Answers(t, "one s")
	pid := h.MainPID(t)
	h.Code(t, "second")
	m.Sh(t, "service uwsgi restart")
	m.Eventually(t, "restart by service uwsgi restart", func() bool { return h.Ask() == "second s" })
	if got := h.MainPID(t); got == pid {
		t.Error("the supervisor was not restarted")
	}
	h.Code(t, "third one")
	m.Sh(t, "systemctl reload uwsgi")
	m.Eventually(t, "reload by systemctl reload uwsgi", func() bool { return h.Ask() == "third one s" })
	m.Sh(t, "service uwsgi stop")
	m.Eventually(t, "end of the unit", func() bool { return h.Ask() != "third one s" })
	m.Sh(t, "service uwsgi start")
}

// asUser: `uwsgi -d` of somebody who is not root stays when he logs out, and the commands it prints
// are his.
func asUser(t *testing.T, m *Machine) {
	h := m.byHand(t, "mine", 18105, "daemonize = /srv/mine/log")
	m.Sh(t, `id labby >/dev/null 2>&1 || useradd --create-home --shell /bin/bash labby
		chown -R labby /srv/mine
		mkdir -p /var/log/journal /run/systemd/logind.conf.d
		printf '[Journal]\nStorage=persistent\n' >/etc/systemd/journald.conf.d/zz-lab.conf; systemctl restart systemd-journald; journalctl --flush
		printf '[Login]\nUserStopDelaySec=0\n' >/run/systemd/logind.conf.d/lab.conf
		systemctl unmask systemd-logind; systemctl restart systemd-logind`)
	defer m.Sh(t, `systemd-run --quiet --wait loginctl disable-linger labby || true; rm -rf /run/systemd/logind.conf.d /etc/systemd/journald.conf.d/zz-lab.conf
		systemctl mask --now systemd-logind; systemctl restart systemd-journald; rm -rf /var/log/journal`)
	uid := m.Sh(t, "id -u labby")
	// A session as sshd opens one.
	session := func(script string) string {
		t.Helper()
		m.Write(t, "/srv/mine/session", script+"\n")
		return m.Sh(t, "systemd-run --quiet --wait --pipe -p PAMName=login -p User=labby -p StandardError=inherit -p "+
			"WorkingDirectory=/srv/mine bash -e /srv/mine/session 2>&1")
	}
	out := session("systemctl --user is-system-running --wait || true; test -n \"$XDG_SESSION_ID\"; " +
		"SECRET=s uwsgi --ini uwsgi.ini")
	if strings.Contains(out, "running as") {
		t.Errorf("uwsgi -d without lingering says: %s", out)
	}
	m.Eventually(t, "end of the session", func() bool {
		return m.Sh(t,
			"loginctl show-user labby --value -p State || true") == "closing"
	})
	if got := m.Sh(t, "cat /proc/$(cat /srv/mine/pid)/cgroup"); strings.Contains(got, "user@") {
		t.Errorf("it belongs to the user's manager, which ends: %s", got)
	}
	h.Answers(t, "one s")
	h.Code(t, "second")
	m.Sh(t, "runuser -u labby -- uwsgi --reload /srv/mine/pid")
	h.Answers(t, "second s")
	m.Sh(t, "runuser -u labby -- uwsgi --stop /srv/mine/pid; test -s /srv/mine/log")
	m.Eventually(t, "end of the daemon", func() bool { return h.Ask() != "second s" })

	// Where logind ends what a session has started, it says what to do.
	m.Sh(t, `printf '[Login]\nKillUserProcesses=yes\n' >>/run/systemd/logind.conf.d/lab.conf; systemctl restart systemd-logind`)
	if out := session("uwsgi --ini uwsgi.ini"); !strings.Contains(out, "loginctl enable-linger") {
		t.Errorf("uwsgi -d where processes end with their session says: %s", out)
	}
	m.Eventually(t, "end of the daemon with its session", func() bool { return h.Ask() != "second none" })

	// From within: trixie's logind does not know a process that has come from outside of the
	// machine.
	m.Sh(t, "rm /srv/mine/log; systemd-run --quiet --wait --pipe loginctl enable-linger labby")
	out = session("SECRET=S3cret uwsgi --ini uwsgi.ini")
	if !strings.Contains(out, "running as "+h.Unit()) {
		t.Fatalf("uwsgi -d with lingering says: %s", out)
	}
	h.Answers(t, "second S3cret")
	if got := m.Sh(t, `runuser -u nobody -- sh -c 'grep -rs S3cret /run; cat /proc/[0-9]*/environ 2>/dev/null | tr "\0" "\n"'`); strings.Contains(got, "S3cret") {
		t.Errorf("nobody sees:\n%s", got)
	}
	if got := session("uwsgi list"); !regexp.MustCompile(regexp.QuoteMeta(h.Unit()) + " +active").MatchString(got) {
		t.Errorf("uwsgi list shows:\n%s", got)
	}
	// What it prints, word for word; to follow the log ends with us.
	printed := map[string]string{}
	for line := range strings.Lines(out) {
		if what, command, ok := strings.Cut(line, ": "); ok {
			printed[strings.TrimSpace(what)] = strings.TrimSpace(command)
		}
	}
	h.Code(t, "third one")
	session(printed["reload it"])
	h.Answers(t, "third one S3cret")
	if got := session("timeout 3 " + printed["follow it"] + " || test $? = 124"); !strings.Contains(got, "GET /") {
		t.Errorf("%s shows: %s", printed["follow it"], got)
	}
	session(printed["stop it"])
	if got := h.Ask(); strings.Contains(got, "S3cret") {
		t.Errorf("after %s it answers %s", printed["stop it"], got)
	}
	if got := m.Sh(t, "find /run/user/"+uid+"/uwsgi-daemon -mindepth 1"); got != "" {
		t.Errorf("after the stop there are left: %s", got)
	}
}
