//go:build lab

package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// debianPackage: radicale as Debian ships it, with folders and files that root makes before the
// start, under uwsgi.service and the emperor.
func debianPackage(t *testing.T, m *Machine) {
	const vassal = "/etc/uwsgi-emperor/vassals/radicale.ini"
	m.Sh(t, "dpkg --no-triggers -i /var/cache/lab/apps/*.deb; systemctl disable --now radicale; "+
		"rm -rf /var/log/radicale")
	defer m.Run("sh", "-c", "rm -f /etc/uwsgi/apps-enabled/radicale.ini "+vassal+
		"; systemctl stop uwsgi-emperor uwsgi@radicale; for d in /var/cache/lab/apps/*.deb; do dpkg-deb -f $d "+
		"Package; done | xargs dpkg --no-triggers --purge; rm -rf /var/lib/radicale; systemctl restart uwsgi")
	m.Sh(t, "ln -s ../apps-available/radicale.ini /etc/uwsgi/apps-enabled/; service uwsgi restart")
	app := App{m: m, Name: "radicale"}
	socket := "/run/uwsgi/app/radicale/socket"
	m.Eventually(t, "start of radicale", func() bool { return app.State(t) == "active" })
	if got := harness.Uwsgi(t, m.Path(socket), harness.Request("GET", "/.web/", ""), ""); got.Status != 200 {
		t.Errorf("radicale: %d %q", got.Status, got.Body)
	}
	got := m.Sh(t, "stat -c '%U %G %a' "+socket+" /run/uwsgi/app/radicale/pid /var/log/radicale "+
		"/var/log/radicale/radicale.log")
	if want := "www-data www-data 660\nroot root 644\nradicale adm 750\nradicale adm 640"; got != want {
		t.Errorf("socket, pidfile, log folder and log are\n%s\nwant\n%s", got, want)
	}
	m.Sh(t, "service uwsgi stop")
	if out, _ := m.Run("pgrep", "-l", "-u", "radicale"); out != "" {
		t.Errorf("after the stop there is %s", out)
	}
	m.Sh(t, "! test -e "+socket+" && ! test -e /run/uwsgi/app/radicale/pid")
	m.Sh(t, "rm /etc/uwsgi/apps-enabled/radicale.ini; systemctl daemon-reload; systemctl start uwsgi-emperor; { cat "+
		"/etc/uwsgi/apps-available/radicale.ini; echo socket = /run/uwsgi/radicale.sock; } > "+vassal)
	m.Eventually(t, "start of radicale by the emperor", func() bool { return app.State(t) == "active" })
	if got := harness.Uwsgi(t, app.Socket(), harness.Request("GET", "/.web/", ""), ""); got.Status != 200 {
		t.Errorf("radicale under the emperor: %d %q", got.Status, got.Body)
	}
}

// What OpenStack's packages and mailman3-web have in their own configurations, but for names,
// ports, threads and the application.
const (
	stackINI = `[uwsgi]
buffer-size = 65535
rem-header = Content-Length
master = true
thunder-lock = true
plugins = python3,apparmor
apparmor-profile = stack
lazy-apps = true
paste-logger = true
no-orphans = true
die-on-term = true
enable-threads = true
processes = 2
threads = 2
listen = 100
socket-timeout = 10
http-auto-chunked = true
http-chunked-input = true
http-raw-body = true
chmod-socket = 666
add-header = Connection: close
exit-on-reload = true
wsgi-manage-chunked-input = true
logto = /var/log/stack/stack.log
name = stack-api
uid = stack
gid = stack
chdir = /srv/stack
wsgi-file = /srv/stack/app.py
`
	mailmanINI = `[uwsgi]
uwsgi-socket = /run/mailman/uwsgi.sock
enable-threads = true
chdir = /srv/mailman
wsgi-file = app.py
master = true
process = 2
threads = 2
uid = www-data
gid = www-data
plugins = python3
attach-daemon = sleep infinity
logto = /var/log/mailman/web.log
`
)

// debianUnits: packages that bring a unit of their own for their own configuration: as a user from
// the beginning (OpenStack), and as root until the configuration's uid (mailman3-web).
func debianUnits(t *testing.T, m *Machine) {
	defer m.Run("sh", "-c", `systemctl stop stack mailman; rm -rf /etc/systemd/system/stack.service /etc/systemd/system/mailman.service /etc/stack.ini \
		/etc/mailman.ini /srv/stack /srv/mailman /var/log/stack /var/log/mailman /run/mailman /var/lib/stack; systemctl daemon-reload; userdel stack`)
	m.Write(t, "/srv/stack/app.py", program("stack"))
	m.Write(t, "/srv/mailman/app.py", program("mailman"))
	m.Write(t, "/etc/stack.ini", stackINI)
	m.Write(t, "/etc/mailman.ini", mailmanINI)
	m.Write(t, "/etc/systemd/system/stack.service",
		"[Service]\nUser=stack\nGroup=stack\nType=simple\nWorkingDirectory=~\nRuntimeDirectory=stack\n"+
			"ExecStart=/usr/bin/uwsgi_python3 --http-socket 127.0.0.1:7200 --ini /etc/stack.ini\nRestart=on-failure\nLimitNOFILE=65535\nTimeoutStopSec=15\n")
	m.Write(t, "/etc/systemd/system/mailman.service",
		"[Service]\nExecStart=/usr/bin/uwsgi --plugin python3 --ini /etc/mailman.ini\nRestart=on-failure\n"+
			"KillSignal=SIGQUIT\nType=notify\nStandardError=journal\nNotifyAccess=all\nUser=root\nGroup=root\n")
	m.Sh(t, `useradd -r -m -d /var/lib/stack stack; install -d -o stack -g adm -m 750 /var/log/stack; install -d -o www-data -g www-data /var/log/mailman /run/mailman
		systemctl daemon-reload; systemctl start stack mailman`)
	web := func() string { // a client that keeps the connection is told where the answer ends
		out, _ := m.Run("curl", "-sS", "-m", "5", "http://127.0.0.1:7200/who")
		return out
	}
	m.Eventually(t, "answer of OpenStack's kind", func() bool { return web() == "stack stack /srv/stack" })
	ask := func() string {
		return harness.Uwsgi(t, m.Path("/run/mailman/uwsgi.sock"), harness.Request("GET", "/who", ""), "").Body
	}
	if got := ask(); got != "www-data www-data /srv/mailman" {
		t.Errorf("mailman3-web's kind is %q", got)
	}
	for log, owner := range map[string]string{"/var/log/stack/stack.log": "stack",
		"/var/log/mailman/web.log": "www-data"} {
		m.Eventually(t, "request in "+log, func() bool {
			text, _ := os.ReadFile(m.Path(log))
			return strings.Contains(string(text), "*** Starting uWSGI") && strings.Contains(string(text), "GET /who")
		})
		if got := m.Sh(t, "stat -c %U "+log); got != owner {
			t.Errorf("%s belongs to %s", log, got)
		}
	}
	m.Sh(t, "systemctl restart stack mailman")
	m.Eventually(t, "answers after a restart", func() bool { return web() == "stack stack /srv/stack" && ask() != "" })
	m.Sh(t, "systemctl stop stack mailman")
	for unit, result := range map[string]string{"stack": "success", "mailman": "success"} {
		if got := m.Show(t, unit, "Result"); got != result {
			t.Errorf("the stop of %s: %s", unit, got)
		}
	}
	if out, _ := m.Run("pgrep", "-a", "-f", "loader.py|sleep infinity"); out != "" {
		t.Errorf("after the stop there is %s", out)
	}
}

// anyOrder: whatever is asked for in which order, each application, in every format, is one
// instance in its unit, and nothing after a stop.
func anyOrder(t *testing.T, m *Machine) {
	files := map[string]string{
		"order-i.ini":  "[uwsgi]\nchdir = /srv/%[1]s\nmodule = app\nsocket = /run/uwsgi/%[1]s.sock\n",
		"order-y.yaml": "uwsgi:\n  chdir: /srv/%[1]s\n  module: app\n  socket: /run/uwsgi/%[1]s.sock\n",
		"order-j.json": `{"uwsgi": {"chdir": "/srv/%[1]s", "module": "app", "socket": "/run/uwsgi/%[1]s.sock"}}`,
		"order-x.xml":  "<uwsgi><chdir>/srv/%[1]s</chdir><module>app</module><socket>/run/uwsgi/%[1]s.sock</socket></uwsgi>",
	}
	m.Sh(t, "service uwsgi stop")
	var list []App
	for file, text := range files {
		name, _, _ := strings.Cut(file, ".")
		a := App{m: m, Name: name}
		list = append(list, a)
		a.Is(t, "one")
		m.Write(t, "/etc/uwsgi/apps-enabled/"+file, fmt.Sprintf(text, name))
	}
	defer m.Run("sh", "-c", "systemctl stop 'uwsgi@order-*'; rm -rf /etc/uwsgi/apps-enabled/order-* /srv/order-*; "+
		"systemctl restart uwsgi")
	supervisors := func() string { return strings.TrimSpace(m.Sh(t, "pgrep -f '^/usr/bin/uwsgi --' | tr '\\n' ' '")) }
	for _, command := range strings.Fields("start force-reload restart reload stop restart force-reload stop") {
		m.Sh(t, "service uwsgi "+command)
		if command == "stop" {
			m.Eventually(t, "end of all", func() bool { return supervisors() == "" })
			m.Eventually(t, "end of sockets and pidfiles", func() bool {
				out, _ := m.Run("sh", "-c", "ls /run/uwsgi/order-*.sock /run/uwsgi/app/order-*/* 2>/dev/null")
				return out == ""
			})
			continue
		}
		for _, a := range list {
			m.Eventually(t, command+" of "+a.Name, func() bool { return a.State(t) == "active" })
			a.Answers(t, "/", "one")
			pid := fmt.Sprint(a.MainPID(t))
			if got := m.Sh(t, "cat /run/uwsgi/app/"+a.Name+"/pid; stat -c '%U %a' /run/uwsgi/app/"+a.Name+
				"/pid"); got != pid+"\nroot 644" {
				t.Errorf("%s: the pidfile of %s is %q, its pid %s", command, a.Name, got, pid)
			}
		}
		if got := supervisors(); len(strings.Fields(got)) != len(list) {
			t.Errorf("%s: %d applications, supervisors %s", command, len(list), got)
		}
	}
}

// tyrant: a vassal's owner does nothing that he could not do himself, whatever his file says.
func tyrant(t *testing.T, m *Machine) {
	const dir = "/etc/uwsgi-emperor/vassals/"
	defer m.Run("sh", "-c", "systemctl stop uwsgi-emperor; cp /root/emperor.ini /etc/uwsgi-emperor/; rm -rf "+dir+
		"*.ini /srv/theirs /srv/trace; chmod 755 "+dir)
	m.Sh(t, `cp /etc/uwsgi-emperor/emperor.ini /root/; echo emperor-tyrant = true >> /etc/uwsgi-emperor/emperor.ini; mkdir -p /srv/theirs /srv/trace
		chmod 1777 /srv/trace; touch `+dir+`theirs.ini; chown -R games:games /srv/theirs `+dir+`theirs.ini; systemctl start uwsgi-emperor`)
	a := App{m: m, Name: "theirs"}
	defer func() {
		if t.Failed() {
			t.Log(m.tail())
		}
	}()
	a.Is(t, "one")
	before := m.Sh(t, "sha256sum /etc/passwd")
	m.Sh(t, `cat > `+dir+`theirs.ini <<-X
		[uwsgi]
		x = @(exec://id > /srv/trace/exec)
		uid = root
		master-as-root = true
		hook-as-root = exec:id > /srv/trace/as-root
		hook-pre-jail = exec:id > /srv/trace/pre-jail
		add-gid = disk
		pidfile = /etc/passwd
		chown-socket = root
		chdir = /srv/theirs
		module = app
		http-socket = 127.0.0.1:7300
		X`)
	// The emperor may start it once more, for a file that changed while it read it.
	m.Eventually(t, "an owner's vassal that runs as he does", func() bool {
		who, _ := m.Run("curl", "-sS", "-m", "5", "http://127.0.0.1:7300/who")
		pid := fmt.Sprint(a.MainPID(t))
		user, _ := m.Run("ps", "-o", "user=", "-p", pid)
		groups, _ := m.Run("grep", "Groups:", "/proc/"+pid+"/status")
		return strings.TrimSpace(who) == "games games /srv/theirs" && strings.TrimSpace(user) == "games" &&
			strings.Join(strings.Fields(groups), " ") == "Groups: 60"
	})
	if got := m.Sh(t, "find /srv/trace -type f ! -user games"); got != "" {
		t.Errorf("root has left %s", got)
	}
	if got := m.Sh(t, "sha256sum /etc/passwd"); got != before {
		t.Error("/etc/passwd is another one")
	}
	// By the time it is read the name leads to somebody else's file.
	m.Sh(t, "systemctl stop uwsgi-emperor; cp "+dir+
		"theirs.ini /srv/roots.ini; sed -i 's/^http-socket.*/http-socket = 127.0.0.1:7301/' /srv/roots.ini; ln -sf "+
		"/srv/roots.ini "+dir+"theirs.ini")
	out, code := m.Run("runuser", "-u", "games", "--", "env", "UWSGI_OWN_FILE="+dir+"theirs.ini", "/usr/bin/uwsgi",
		"--ini", dir+"theirs.ini")
	if code == 0 || !strings.Contains(out, "belongs to user 0 now") {
		t.Errorf("root's file as games: %d %s", code, out)
	}
	m.Sh(t, "rm /srv/roots.ini")
}
