//go:build lab

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// start: an ini, systemctl start, and nothing else.
func start(t *testing.T, m *Machine) {
	a := m.App(t, "first", "socket = /run/uwsgi/%n.sock", "processes = 2")
	a.Start(t)
	a.Answers(t, "/", "one")
	if got := a.State(t); got != "active" {
		t.Errorf("it is %s", got)
	}
	if got := m.Show(t, a.Unit(), "StatusText"); !strings.Contains(got, "2 idle workers") {
		t.Errorf("STATUS=%q does not tell of two workers", got)
	}
	if comm, _ := os.ReadFile(m.Path(fmt.Sprintf("/proc/%d/comm",
		a.MainPID(t)))); strings.TrimSpace(string(comm)) != "uwsgi" {
		t.Errorf("the process is called %q", comm)
	}
	if got := m.Sh(t, "cat /run/uwsgi/app/first/pid"); got != strconv.Itoa(a.MainPID(t)) {
		t.Errorf("/run/uwsgi/app/first/pid holds %q, the supervisor is %d", got, a.MainPID(t))
	}
	// Where the default configuration has it, too.
	if got := harness.Uwsgi(t, m.Path("/run/uwsgi/app/first/socket"), harness.Request("GET", "/", ""),
		""); got.Body != "one" {
		t.Errorf("/run/uwsgi/app/first/socket: %q", got.Body)
	}
	want := "3." + map[string]string{"bookworm": "11", "trixie": "13"}[m.Suite]
	a.Answers(t, "/python", want)
	a.Answers(t, "/import?uwsgidecorators", "one")
}

// identity: users, groups, folders, modes.
func identity(t *testing.T, m *Machine) {
	m.Sh(t, "id labuser >/dev/null 2>&1 || useradd --system --create-home --home-dir /var/lib/labuser --shell "+
		"/usr/sbin/nologin labuser")
	a := m.App(t, "whose", "socket = /run/uwsgi/%n.sock", "uid = labuser", "gid = labuser",
		"chown-socket = labuser:www-data", "chmod-socket = 640", "listen = 77")
	a.Start(t)
	a.Answers(t, "/who", "labuser labuser /srv/whose")
	sock := "/run/uwsgi/whose.sock"
	if got := m.Sh(t, "stat -c '%a %U %G' "+sock); got != "640 labuser www-data" {
		t.Errorf("%s is %s", sock, got)
	}
	// the pidfile is root's, as Debian's
	if got := m.Sh(t, "stat -c '%U %G' /run/uwsgi/app/whose; stat -c %U "+
		"/run/uwsgi/app/whose/pid"); got != "labuser labuser\nroot" {
		t.Errorf("/run/uwsgi/app/whose is %s", got)
	}
	if got := m.Sh(t, fmt.Sprintf("stat -c %%U /proc/%d", a.MainPID(t))); got != "labuser" {
		t.Errorf("the supervisor is %s's", got)
	}
	// The workers go by it; the kernel keeps as many as it can.
	if got := m.Sh(t, "ss -xlH src "+sock); len(strings.Fields(got)) < 4 || strings.Fields(got)[3] != "4096" {
		t.Errorf("the queue of %s is: %s", sock, got)
	}
	if got := m.Sh(t, "journalctl -u uwsgi@whose -o cat"); !strings.Contains(got,
		"listen backlog is limited to 77 connections") || strings.Contains(got, "Backlog=") {
		t.Errorf("listen = 77 is told so:\n%s", got)
	}
	if got := m.Sh(t, fmt.Sprintf("grep -E '^(Cap(Eff|Prm|Amb|Bnd)|NoNewPrivs)' /proc/%d/status | tr -d '\\t\\n'",
		a.MainPID(t))); got !=
		"CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000000CapAmb:0000000000000000NoNewPrivs:1" {
		t.Errorf("capabilities: %s", got)
	}
}

// brokenStart: an application that cannot be imported fails the start, with the reason in the
// journal.
func brokenStart(t *testing.T, m *Machine) {
	a := m.App(t, "broken")
	a.Code(t, "import not_there_at_all\n")
	a.DropIn(t, "[Service]\nRestart=no\n")
	m.Fails(t, "systemctl start uwsgi@broken")
	if got := m.Show(t, a.Unit(), "ExecMainStatus"); got != "22" {
		t.Errorf("exit status %s", got)
	}
	if got := m.Sh(t, "journalctl -u uwsgi@broken -p err -o cat"); !strings.Contains(got,
		"ModuleNotFoundError: No module named 'not_there_at_all'") {
		t.Errorf("the errors in the journal:\n%s", got)
	}
	if got := m.Show(t, a.Unit(), "StatusText"); !strings.Contains(got, "not_there_at_all") {
		t.Errorf("STATUS=%q", got)
	}
	a.Is(t, "mended")
	a.Start(t)
	a.Answers(t, "/", "mended")
}

// workerKilled: the supervisor replaces a worker, and the kernel's killing one does not end the
// service.
func workerKilled(t *testing.T, m *Machine) {
	a := m.App(t, "killed", "socket = /run/uwsgi/%n.sock", "processes = 1")
	a.Start(t)
	before := a.Ask(t, "/pid").Body
	m.Sh(t, "kill -9 "+before)
	if after := a.Ask(t, "/pid").Body; after == before {
		t.Errorf("worker %s still answers", before)
	}
	if got := m.Show(t, a.Unit(), "NRestarts"); got != "0" {
		t.Errorf("systemd restarted it %s times", got)
	}
	if got := m.Show(t, a.Unit(), "OOMPolicy"); got != "continue" {
		t.Errorf("OOMPolicy=%s", got)
	}
}

// slowImport: a loader that imports for longer than the unit's limit is waited for.
func slowImport(t *testing.T, m *Machine) {
	a := m.App(t, "slow")
	a.Code(t, "import time\ntime.sleep(9)\n"+program("late"))
	a.DropIn(t, "[Service]\nTimeoutStartSec=7\nWatchdogSec=2\n")
	a.Start(t)
	a.Answers(t, "/", "late")
	if got := m.Show(t, a.Unit(), "NRestarts"); got != "0" {
		t.Errorf("systemd restarted it %s times", got)
	}
	// A reload takes as long, and the watchdog leaves it alone.
	m.Sh(t, "systemctl reload uwsgi@slow")
	a.Answers(t, "/", "late")
}

// watchdog: a supervisor that is stuck is replaced.
func watchdog(t *testing.T, m *Machine) {
	a := m.App(t, "stuck")
	a.DropIn(t, "[Service]\nWatchdogSec=2\n")
	a.Start(t)
	before := a.MainPID(t)
	m.Sh(t, fmt.Sprintf("kill -STOP %d", before))
	m.Eventually(t, "restart by the watchdog", func() bool {
		return a.MainPID(t) != before && a.State(t) == "active"
	})
	a.Answers(t, "/", "one")
	if got := m.Show(t, a.Unit(), "NRestarts"); got != "1" {
		t.Errorf("NRestarts=%s", got)
	}
	if got := m.Sh(t, "journalctl -u uwsgi@stuck -o cat"); !strings.Contains(got, "Watchdog timeout") {
		t.Errorf("no word of the watchdog in the journal:\n%s", got)
	}
	if out, _ := m.Run("pgrep", "-f", "-P", "1", "loader.py"); out != "" {
		t.Errorf("a loader is left behind: %s", out)
	}
}

// busy: workers at 100 % are no reason to restart anything.
func busy(t *testing.T, m *Machine) {
	a := m.App(t, "busy", "socket = /run/uwsgi/%n.sock", "processes = 4", "harakiri = 30")
	a.DropIn(t, "[Service]\nWatchdogSec=1\n")
	a.Start(t)
	done := make(chan int, 4)
	for range 4 {
		go func() { done <- a.Ask(t, "/burn?4").Status }()
	}
	for range 4 {
		if status := <-done; status != 200 {
			t.Errorf("a busy worker answered %d", status)
		}
	}
	if got := m.Show(t, a.Unit(), "NRestarts"); got != "0" {
		t.Errorf("systemd restarted it %s times", got)
	}
}

// daemonize: `uwsgi -d` on a host that runs systemd starts a transient unit and says how to follow
// it.
func daemonize(t *testing.T, m *Machine) {
	a := m.App(t, "by-hand")
	m.Sh(t, "mv /etc/uwsgi/apps-enabled/by-hand.ini /srv/by-hand/uwsgi.ini; chown www-data /srv/by-hand")
	a.m.Write(t, "/srv/by-hand/uwsgi.ini", "[uwsgi]\nchdir = /srv/by-hand\nmodule = app\nsocket = "+
		"/srv/by-hand/s.sock\nuid = www-data\ngid = www-data\npidfile = /srv/by-hand/pid\n")
	out := m.Sh(t, "cd /srv/by-hand; uwsgi -d --ini uwsgi.ini 2>&1")
	if !strings.Contains(out, "journalctl") {
		t.Errorf("uwsgi -d says: %s", out)
	}
	unit := m.Sh(t, "ps -o unit= -p $(cat /srv/by-hand/pid)")
	if !strings.HasSuffix(unit, ".service") || strings.HasPrefix(unit, "uwsgi@") {
		t.Errorf("it runs in %s", unit)
	}
	got := harness.Uwsgi(t, m.Path("/srv/by-hand/s.sock"), harness.Request("GET", "/who", ""), "")
	if got.Body != "www-data www-data /srv/by-hand" {
		t.Errorf("it answers %q", got.Body)
	}
	// What it says is how to follow and to stop it.
	if want := "journalctl -fu " + unit; !strings.Contains(out, want) ||
		!strings.Contains(out, "systemctl stop "+unit) {
		t.Errorf("uwsgi -d does not name %s:\n%s", unit, out)
	}
	m.Eventually(t, "request in the journal of the transient unit", func() bool {
		return strings.Contains(m.Sh(t, "journalctl -u "+unit+" -o cat"), "GET /who")
	})
	if unit != "uwsgi-by-hand.service" {
		t.Errorf("uwsgi.ini of /srv/by-hand runs as %s", unit)
	}
	// Another project whose folder and file have the same names, and the same one again: its
	// address is taken.
	m.Sh(t, `mkdir -p /srv/other/by-hand; cp /srv/by-hand/app.py /srv/other/by-hand; cd /srv/other/by-hand
		printf '[uwsgi]\nmodule = app\nsocket = /srv/other/s.sock\nuid = www-data\ngid = www-data\nchmod-socket = 666\n' > uwsgi.ini; chown -R www-data /srv/other
		uwsgi -d --ini uwsgi.ini`)
	defer m.Run("sh", "-c", "systemctl stop uwsgi-by-hand-2.service; rm -rf /srv/other")
	if got := harness.Uwsgi(t, m.Path("/srv/other/s.sock"), harness.Request("GET", "/who", ""),
		""); got.Body != "www-data www-data /srv/other/by-hand" {
		t.Errorf("the other answers %q", got.Body)
	}
	if again := m.Fails(t, "cd /srv/by-hand; uwsgi -d --ini uwsgi.ini 2>&1"); !strings.Contains(again,
		"probably another instance of uWSGI is running on the same address (/srv/by-hand/s.sock)") {
		t.Errorf("a second uwsgi -d says: %s", again)
	}
	pid, _ := strconv.Atoi(m.Sh(t, "cat /srv/by-hand/pid"))
	m.Sh(t, "uwsgi --stop /srv/by-hand/pid")
	m.Eventually(t, "end of the transient unit", func() bool {
		_, code := m.Run("kill", "-0", strconv.Itoa(pid))
		return code != 0
	})
	// What cannot serve says so, and leaves nothing that goes on trying.
	a.Code(t, "import not_there_at_all\n")
	if out := m.Fails(t, "cd /srv/by-hand; uwsgi -d --ini uwsgi.ini 2>&1"); !strings.Contains(out,
		"No module named 'not_there_at_all'") {
		t.Errorf("uwsgi -d of a broken application says: %s", out)
	}
	if got := m.Sh(t, "systemctl list-units --all --plain --no-legend '"+unit+"'"); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

// list: uwsgi list shows the instances, what systemd knows of them and what they do.
func list(t *testing.T, m *Machine) {
	a := m.App(t, "listed")
	b := m.App(t, "fallen")
	b.Code(t, "import not_there_at_all\n")
	b.DropIn(t, "[Service]\nRestart=no\n")
	m.Run("systemctl", "start", "uwsgi@fallen")
	a.Start(t)
	for range 5 {
		a.Ask(t, "/")
	}
	rows := map[string][]string{}
	m.Eventually(t, "five requests in uwsgi list", func() bool {
		clear(rows)
		for line := range strings.Lines(m.Sh(t, "uwsgi list")) {
			if f := strings.Fields(line); len(f) > 0 {
				rows[f[0]] = f
			}
		}
		f := rows["uwsgi@listed.service"]
		return len(f) == 15 && f[9] == "5"
	})
	// INSTANCE STATE PID WORKERS BUSY CONNS FLIGHT WS LAG REQUESTS REQ/S 503S MEMORY SINCE (a date,
	// a time)
	f := rows["uwsgi@listed.service"]
	if f[1] != "active" || f[2] != strconv.Itoa(a.MainPID(t)) || f[3] != "2/2" || f[4] != "0" || f[6] != "0" ||
		f[7] != "0" || f[8] != "0.0ms" ||
		f[10] == "-" || f[11] != "0" || !strings.HasSuffix(f[12], "M") {
		t.Errorf("uwsgi list: %q", f)
	}
	if f := rows["uwsgi@fallen.service"]; len(f) < 2 || f[1] != "failed" {
		t.Errorf("uwsgi list of an instance that failed: %q", f)
	}
	for name := range rows {
		if strings.HasPrefix(name, "uwsgi-unit@") || strings.HasPrefix(name, "uwsgi-sockets@") {
			t.Errorf("uwsgi list shows %s", name)
		}
	}
	if got := m.Sh(t, "uwsgi status"); !strings.Contains(got, "uwsgi@listed.service") {
		t.Errorf("uwsgi status:\n%s", got)
	}
}

// hello: the example of the package, by its own instructions.
func hello(t *testing.T, m *Machine) {
	t.Cleanup(func() {
		m.Run("systemctl", "stop", "uwsgi@hello")
		m.Run("rm", "-rf", "/srv/hello", "/etc/uwsgi/apps-enabled/hello.ini")
		m.Run("systemctl", "daemon-reload")
	})
	for line := range strings.Lines(m.Sh(t, "sed -n 's/^#   //p' /usr/share/doc/uwsgi/examples/hello/hello.ini")) {
		out := m.Sh(t, strings.TrimSpace(line))
		if strings.HasPrefix(line, "curl") && !strings.Contains(out, "Hello, 127.0.0.1") {
			t.Errorf("curl shows %q", out)
		}
	}
}

// boot: everything in apps-enabled starts by itself, in a moment, and files of no use are reported.
func boot(t *testing.T, m *Machine) {
	a := m.App(t, "atboot")
	b := m.App(t, "lazyboot", "socket = /run/uwsgi/%n.sock", "cheap = true", "idle = 2", "die-on-idle = true")
	m.Write(t, "/etc/uwsgi/apps-enabled/nonsense.ini", "[uwsgi\nthis is nothing\n")
	m.Sh(t, "mkfifo /etc/uwsgi/apps-enabled/pipe.ini")
	defer m.Run("rm", "-f", "/etc/uwsgi/apps-enabled/nonsense.ini", "/etc/uwsgi/apps-enabled/pipe.ini")
	m.Reboot(t)
	m.Eventually(t, "application after the boot", func() bool { return a.State(t) == "active" })
	a.Answers(t, "/", "one")
	if got := b.State(t); got != "inactive" {
		t.Errorf("a cheap application is %s after the boot", got)
	}
	b.Answers(t, "/", "one")
	if got := m.Sh(t, "journalctl -b -o cat -u uwsgi"); !strings.Contains(got, "nonsense.ini:1") {
		t.Errorf("no word of the bad file in the journal of uwsgi.service:\n%s", got)
	}
	if got, _ := m.Run("systemctl", "is-system-running", "--wait"); strings.TrimSpace(got) != "running" {
		t.Errorf("the system is %s", got)
	}
	t.Logf("booted in %v", m.booted.Round(10*time.Millisecond))
	// One by one: a service that is enabled, and a socket that is.
	m.Sh(t, "rm /etc/uwsgi/apps-enabled/nonsense.ini /etc/uwsgi/apps-enabled/pipe.ini; systemctl disable uwsgi; "+
		"systemctl enable uwsgi@atboot.service uwsgi@lazyboot.socket")
	defer m.Run("sh", "-c", "systemctl disable uwsgi@atboot.service uwsgi@lazyboot.socket; "+
		"systemctl enable --now uwsgi")
	c := m.App(t, "notboot")
	m.Reboot(t)
	m.Eventually(t, "enabled application after the boot", func() bool { return a.State(t) == "active" })
	if lazy, not := b.State(t), c.State(t); lazy != "inactive" || not != "inactive" {
		t.Errorf("of two that are not enabled, one is %s, one %s", lazy, not)
	}
	b.Answers(t, "/", "one")
}
