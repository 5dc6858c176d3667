//go:build lab

package lab

import (
	"net"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// firstConnection: the socket unit enabled alone, and the first connection starts the application.
func firstConnection(t *testing.T, m *Machine) {
	a := m.App(t, "sleeper")
	m.Sh(t, "systemctl daemon-reload; systemctl start uwsgi@sleeper.socket")
	if got := a.State(t); got != "inactive" {
		t.Fatalf("it is %s before the first connection", got)
	}
	a.Answers(t, "/", "one") // by the first worker; ready is who has all of them
	m.Eventually(t, "start by the first connection", func() bool { return a.State(t) == "active" })
}

// stopMeansStop: systemctl stop takes the sockets along; start brings them back.
func stopMeansStop(t *testing.T, m *Machine) {
	a := m.App(t, "stopped")
	a.Start(t)
	m.Sh(t, "systemctl stop uwsgi@stopped")
	// The sockets are closed right after the service is down; what connects in between is turned
	// away.
	m.Eventually(t, "end of the sockets", func() bool {
		c, err := net.Dial("unix", a.Socket())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	m.Eventually(t, "end of systemd's jobs", func() bool { return m.Sh(t, "systemctl list-jobs --no-legend") == "" })
	if got := a.State(t); got != "inactive" {
		t.Errorf("it is %s", got)
	}
	if got := m.Show(t, "uwsgi@stopped.socket", "ActiveState"); got != "inactive" {
		t.Errorf("its socket is %s", got)
	}
	if _, err := os.Lstat(a.Socket()); err == nil {
		t.Error("the socket's file is still there")
	}
	a.Start(t)
	a.Answers(t, "/", "one")
}

// dieOnIdle: an idle application ends, and comes back at the next connection.
func dieOnIdle(t *testing.T, m *Machine) {
	a := m.App(t, "idler", "socket = /run/uwsgi/%n.sock", "idle = 1", "die-on-idle = true")
	a.DropIn(t, "[Unit]\nStartLimitBurst=2\n") // a limit on failures, not on visits
	a.Start(t)
	for range 4 {
		a.Answers(t, "/", "one")
		m.Eventually(t, "end of an idle application", func() bool { return a.State(t) == "inactive" })
		if got := m.Show(t, a.Unit(), "Result"); got != "success" {
			t.Errorf("it ended with %s", got)
		}
	}
	m.Sh(t, "systemctl stop uwsgi@idler")
	m.Eventually(t, "end of the socket of an application that was stopped while idle", func() bool {
		return m.Show(t, "uwsgi@idler.socket", "ActiveState") == "inactive"
	})
}

// cheap: no worker before the first connection.
func cheap(t *testing.T, m *Machine) {
	a := m.App(t, "cheap", "socket = /run/uwsgi/%n.sock", "cheap = true")
	a.Start(t)
	a.Answers(t, "/", "one")
	m.Sh(t, "systemctl stop uwsgi@cheap; systemctl restart uwsgi")
	m.Eventually(t, "socket of a cheap application",
		func() bool { return m.Show(t, "uwsgi@cheap.socket", "ActiveState") == "active" })
	if got := a.State(t); got != "inactive" {
		t.Errorf("uwsgi.service made a cheap application %s", got)
	}
	a.Answers(t, "/", "one")
}

// manySockets: each address with its own protocol, all held by systemd.
func manySockets(t *testing.T, m *Machine) {
	a := m.App(t, "many", "socket = /run/uwsgi/%n.sock", "socket = :7001", "http = 127.0.0.1:7002",
		"http-socket = [::1]:7003", "socket = @many",
		"http-socket = /run/uwsgi/many-http.sock", "shared-socket = 127.0.0.1:7004", "http = =0", "http = localhost:7005")
	a.Start(t)
	a.Answers(t, "/", "one")
	for _, url := range []string{"http://127.0.0.1:7002/", "http://[::1]:7003/", "http://127.0.0.1:7004/",
		"http://localhost:7005/",
		"--unix-socket /run/uwsgi/many-http.sock http://x/"} {
		if got := m.Sh(t, "curl -sS -m 5 "+url); got != "one" {
			t.Errorf("%s: %q", url, got)
		}
	}
	fds := m.Sh(t, "ss -tlnpH | grep -c '\"systemd\".*' || true; ss -xlpH src @many | grep -c systemd || true")
	if got := strings.Fields(fds); len(got) != 2 || got[0] != "5" || got[1] != "1" {
		t.Errorf("systemd holds %v; %s", got, m.Sh(t, "ss -lnp"))
	}
	packet := harness.Request("GET", "/", "").Packet()
	m.Write(t, "/root/packet", string(packet))
	if got := m.Sh(t, `python3 -c '
import socket
for family, address in (socket.AF_INET, ("127.0.0.1", 7001)), (socket.AF_UNIX, "\0many"):
    s = socket.socket(family); s.settimeout(5); s.connect(address); s.sendall(open("/root/packet", "rb").read())
    data = b""
    while chunk := s.recv(4096): data += chunk
    print(data.decode().splitlines()[-1])
'`); got != "one\none" {
		t.Errorf("in the uwsgi protocol: %s", got)
	}
	m.Sh(t, "systemctl restart uwsgi@many")
	a.Answers(t, "/", "one")
}

// namedSockets: units of the administrator's own, whose sockets are at other addresses than the ini
// has and are matched by their names.
func namedSockets(t *testing.T, m *Machine) {
	const dir = "/etc/systemd/system/"
	m.Write(t, "/srv/labnamed/app.py", program("named"))
	m.Write(t, "/srv/labnamed/uwsgi.ini", "[uwsgi]\nchdir = /srv/labnamed\nmodule = app\nsocket = "+
		"/run/elsewhere.sock\nhttp = 127.0.0.1:1\n")
	m.Write(t, dir+"labnamed.service", "[Service]\nType=notify\nUser=www-data\nExecStart=/usr/bin/uwsgi --ini "+
		"/srv/labnamed/uwsgi.ini\nSockets=labnamed-web.socket labnamed-nginx.socket\n")
	m.Write(t, dir+"labnamed-web.socket",
		"[Socket]\nListenStream=[::1]:7601\nFileDescriptorName=http\nService=labnamed.service\n")
	m.Write(t, dir+"labnamed-nginx.socket",
		"[Socket]\nListenStream=@labnamed\nFileDescriptorName=socket\nService=labnamed.service\n")
	defer m.Run("sh", "-c", "systemctl stop 'labnamed*'; rm -rf /srv/labnamed "+dir+
		"labnamed*; systemctl daemon-reload")
	m.Sh(t, "systemctl daemon-reload; systemctl start labnamed-web.socket labnamed-nginx.socket")
	for range 2 {
		if got := m.Sh(t, "curl -sS -m 5 'http://[::1]:7601/'"); got != "named" {
			t.Errorf("http over IPv6 by its name: %q", got)
		}
		m.Write(t, "/root/packet", string(harness.Request("GET", "/", "").Packet()))
		if got := m.Sh(t, `python3 -c '
import socket
s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect("\0labnamed"); s.sendall(open("/root/packet", "rb").read())
data = b""
while chunk := s.recv(4096): data += chunk
print(data.decode().splitlines()[-1])'`); got != "named" {
			t.Errorf("the uwsgi protocol over an abstract socket by its name: %q", got)
		}
		m.Sh(t, "systemctl restart labnamed.service")
	}
}

// privilegedPort: a port below 1024 is systemd's to bind; the application has no capability.
func privilegedPort(t *testing.T, m *Machine) {
	a := m.App(t, "port80", "http = 0.0.0.0:81")
	a.Start(t)
	if got := m.Sh(t, "curl -sS -m 5 http://127.0.0.1:81/"); got != "one" {
		t.Errorf("port 81 answers %q", got)
	}
}

// formats: yaml, json and xml do as well, from apps-available by a link.
func formats(t *testing.T, m *Machine) {
	for name, text := range map[string]string{
		"inyaml.yaml": "uwsgi:\n  chdir: /srv/inyaml\n  module: app\n  socket: /run/uwsgi/inyaml.sock\n",
		"injson.json": `{"uwsgi": {"chdir": "/srv/injson", "module": "app", "socket": "/run/uwsgi/injson.sock"}}`,
		"inxml.xml":   "<uwsgi><chdir>/srv/inxml</chdir><module>app</module><socket>/run/uwsgi/inxml.sock</socket></uwsgi>",
	} {
		t.Run(name, func(t *testing.T) {
			base, _, _ := strings.Cut(name, ".")
			a := m.App(t, base)
			m.Sh(t, "rm /etc/uwsgi/apps-enabled/"+base+".ini")
			m.Write(t, "/etc/uwsgi/apps-available/"+name, text)
			m.Sh(t, "ln -s ../apps-available/"+name+" /etc/uwsgi/apps-enabled/"+name)
			t.Cleanup(func() {
				m.Run("rm", "/etc/uwsgi/apps-enabled/"+name, "/etc/uwsgi/apps-available/"+name)
			})
			a.Start(t)
			a.Answers(t, "/who", "www-data www-data /srv/"+base)
		})
	}
}

// badFiles are reported and left out; the others start.
func badFiles(t *testing.T, m *Machine) {
	a := m.App(t, "goodone")
	m.Write(t, "/etc/uwsgi/apps-enabled/badone.ini", "[uwsgi]\nsocket = ==:8000\nmodule = x\n")
	defer m.Run("sh", "-c", "rm /etc/uwsgi/apps-enabled/badone.ini; systemctl daemon-reload")
	since := m.Sh(t, "date +'%F %T'; sleep 1")
	m.Sh(t, "systemctl daemon-reload")
	if got := m.Sh(t, "journalctl -o cat -t uwsgi-generator --since '"+since+"'"); !strings.Contains(got,
		"badone.ini:2") {
		t.Errorf("the generator reports %q", got)
	}
	if got := m.Sh(t, "journalctl -o cat -u uwsgi@badone --since '"+since+"'"); !strings.Contains(got, "badone.ini:2") {
		t.Errorf("journalctl -u uwsgi@badone: %q", got)
	}
	if _, err := os.Stat(m.Path("/run/systemd/generator/uwsgi@badone.service.d")); err == nil {
		t.Error("it has drop-ins")
	}
	m.Sh(t, "systemctl restart uwsgi")
	m.Eventually(t, "start of the good one", func() bool { return a.State(t) == "active" })
	a.Answers(t, "/", "one")
}
