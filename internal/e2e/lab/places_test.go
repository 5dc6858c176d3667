//go:build lab

package lab

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// seed: the seed's own ini and a Django project in a virtual environment, as it is.
func seed(t *testing.T, m *Machine) {
	t.Cleanup(func() {
		m.Run("systemctl", "stop", "uwsgi@mysite1")
		m.Run("rm", "-rf", "/home/user1", "/etc/uwsgi/apps-enabled/mysite1.ini")
		m.Run("systemctl", "daemon-reload")
	})
	m.Sh(t, `mkdir -p /home/user1/Env; cd /home/user1; python3 -m venv --system-site-packages --without-pip Env/mysite1
		django-admin startproject mysite1; echo 'ALLOWED_HOSTS = ["*"]' >> mysite1/mysite1/settings.py
		chown -R www-data:www-data mysite1; cd mysite1; runuser -u www-data -- python3 manage.py migrate >/dev/null`)
	m.Copy(t, "../testdata/seed/uwsgi.ini", "/etc/uwsgi/apps-enabled/mysite1.ini")
	m.Sh(t, "systemctl start uwsgi@mysite1")
	sock := "/run/uwsgi/mysite1.sock"
	got := harness.Uwsgi(t, m.Path(sock), harness.Request("GET", "/", ""), "")
	if got.Status != 200 || !strings.Contains(got.Body, "The install worked successfully") {
		t.Errorf("Django answers %d: %.200s", got.Status, got.Body)
	}
	if got := m.Sh(t, "stat -c '%a %U %G' "+sock); got != "664 www-data www-data" {
		t.Errorf("%s is %s", sock, got)
	}
	if got := m.Sh(t, "cat /tmp/mysite1-master.pid"); got != m.Show(t, "uwsgi@mysite1", "MainPID") {
		t.Errorf("the pidfile of the ini holds %q", got)
	}
	if got := m.Show(t, "uwsgi@mysite1", "TimeoutStopUSec"); got != "25s" {
		t.Errorf("reload-mercy=10 became TimeoutStopSec=%s", got)
	}
	if got := m.Sh(t, "journalctl -u uwsgi@mysite1 -o cat"); !strings.Contains(got, "journalctl -u uwsgi@mysite1") {
		t.Error("daemonize= is not answered with where the log is")
	}
	// A view that writes to the database, which is a file beside the project, and the seed's own
	// command to have it.
	m.Sh(t, `cd /home/user1; printf 'from django.http import HttpResponse\ndef count(request):\n    request.session["n"] = request.session.get("n", 0) + 1\n    request.session.save()\n    return HttpResponse(request.session.session_key)\nurlpatterns = [*urlpatterns, path("count", count)]\n' >> mysite1/mysite1/urls.py
		uwsgi --reload /tmp/mysite1-master.pid`)
	if got := harness.Uwsgi(t, m.Path(sock), harness.Request("GET", "/count", ""), ""); got.Status != 200 ||
		len(got.Body) != 32 {
		t.Errorf("writing to the database is answered %d: %.300s", got.Status, got.Body)
	}
	// Its other two ways to nginx: TCP, and HTTP.
	const ini = "/etc/uwsgi/apps-enabled/mysite1.ini"
	m.Sh(t, "sed -i -e 's/^socket=.*/socket=:8000/' "+ini+"; systemctl restart uwsgi@mysite1; test ! -e "+sock)
	if got := harnessAt(t, m, 8000, harness.Request("GET", "/count", "").Packet()); !strings.HasPrefix(got,
		"HTTP/1.1 200 OK\r\n") {
		t.Errorf("over TCP Django answers %.200q", got)
	}
	m.Sh(t, "sed -i -e 's/^socket=:8000/http=0.0.0.0:8000 /' "+ini+"; systemctl restart uwsgi@mysite1")
	if got := m.Sh(t, "curl -sS -m 5 http://127.0.0.1:8000/count"); len(got) != 32 {
		t.Errorf("over HTTP Django answers %.200q", got)
	}
	for _, property := range []string{"User", "Group"} {
		if got := m.Show(t, "uwsgi@mysite1", property); got != "www-data" {
			t.Errorf("%s=%s", property, got)
		}
	}
}

// harnessAt sends bytes to a port of the system, which has a network of its own, and gives what
// comes back.
func harnessAt(t *testing.T, m *Machine, port int, packet []byte) string {
	t.Helper()
	m.Write(t, "/root/packet", string(packet))
	return m.Sh(t, fmt.Sprintf(`python3 -c '
import socket, sys
with socket.create_connection(("127.0.0.1", %d), 5) as s:
    s.sendall(open("/root/packet", "rb").read())
    while chunk := s.recv(65536):
        sys.stdout.buffer.write(chunk)
'`, port))
}

// sandbox: what an application can write, and what not.
func sandbox(t *testing.T, m *Machine) {
	a := m.App(t, "boxed")
	a.Code(t, `
import os, subprocess
def application(environ, start_response):
    out = []
    for path in ("/srv/boxed/x", "/var/lib/labfree/x", "/tmp/x", "/run/uwsgi/x", "/etc/x", "/usr/x", "/var/spool/labfree/x", "/dev/shm/x"):
        try:
            open(path, "w").close()
            os.unlink(path)
            out.append("+")
        except OSError as e:
            out.append(e.strerror)
    out.append("shell " + subprocess.run(["sh", "-c", "echo ok"], capture_output=True, text=True).stdout.strip())
    import multiprocessing, threading, socket, sqlite3, ssl, ctypes, resource
    with multiprocessing.get_context("fork").Pool(1) as pool:
        out.append("pool %d" % pool.apply(abs, (-7,)))
    socket.getaddrinfo("localhost", 80)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    out.append(ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 5)() == 5 and "callback" or "?")
    body = "\n".join(out).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
`)
	m.Sh(t, "chown www-data /srv/boxed; for d in /var/lib/labfree /var/spool/labfree; do mkdir -p $d; "+
		"chown www-data $d; done")
	defer m.Run("rm", "-rf", "/var/lib/labfree", "/var/spool/labfree")
	a.Start(t)
	got := a.Ask(t, "/").Body
	const ro = "Read-only file system"
	want := strings.Join([]string{"+", "+", "+", "+", ro, ro, ro, "+", "shell ok", "pool 7", "callback"}, "\n")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// places: where sites and their data are, they may write; other services' sockets they reach.
func places(t *testing.T, m *Machine) {
	a := m.App(t, "placed")
	m.Sh(t, `for d in /var/www/media /srv/media /opt/media /var/lib/labmedia /var/cache/labmedia /home/user2/site /mnt/media; do
			mkdir -p $d; chown www-data $d; done
		systemd-run --quiet --unit=labdb -p User=nobody -p RuntimeDirectory=postgresql -p UMask=0 python3 -c '
import socket
s = socket.socket(socket.AF_UNIX); s.bind("/run/postgresql/.s.PGSQL.5432"); s.listen()
while True:
    c = s.accept()[0]; c.sendall(b"from the database"); c.close()'`)
	defer m.Run("sh", "-c", "systemctl stop labdb; rm -rf /var/www/media /srv/media /opt/media /var/lib/labmedia "+
		"/var/cache/labmedia /home/user2 /mnt/media")
	a.Start(t)
	for _, dir := range []string{"/var/www/media", "/srv/media", "/opt/media", "/var/lib/labmedia",
		"/var/cache/labmedia", "/home/user2/site"} {
		a.Answers(t, "/write?"+dir+"/upload", "one")
		if got := m.Sh(t, "cat "+dir+"/upload"); got != "one" {
			t.Errorf("%s/upload holds %q", dir, got)
		}
	}
	m.Eventually(t, "answer of a database at its socket", func() bool {
		return m.Sh(t, "test -S /run/postgresql/.s.PGSQL.5432 && echo yes || true") == "yes"
	})
	a.Answers(t, "/connect?/run/postgresql/.s.PGSQL.5432", "from the database")
	// Elsewhere by a drop-in, as documented.
	a.Answers(t, "/write?/mnt/media/upload", "Read-only file system")
	a.DropIn(t, m.Sh(t, "sed 's,^#ReadWritePaths=-/mnt/uploads,ReadWritePaths=-/mnt/media,' "+
		"/usr/share/doc/uwsgi/examples/systemd/more-rights.conf"))
	m.Sh(t, "systemctl restart uwsgi@placed")
	a.Answers(t, "/write?/mnt/media/upload", "one")
}

// examples: the drop-ins of the package are what they say.
func examples(t *testing.T, m *Machine) {
	a := m.App(t, "example")
	const dir = "/usr/share/doc/uwsgi/examples/systemd/"
	try := func(name, text string) string {
		t.Helper()
		a.DropIn(t, text)
		if out := m.Sh(t, "systemd-analyze verify uwsgi@example.service 2>&1"); out != "" {
			t.Errorf("systemd-analyze verify with %s: %s", name, out)
		}
		m.Sh(t, "systemctl restart uwsgi@example")
		a.Answers(t, "/", "one")
		return m.exposure(t, "uwsgi@example.service")
	}
	if got := try("fewer-rights.conf", m.Sh(t, "sed s,/srv/NAME,/srv/example, "+dir+
		"fewer-rights.conf")); got != "1.2" {
		t.Errorf("with fewer rights it stands at %s, and the file says 1.2", got)
	}
	a.Answers(t, "/write?/srv/example/x", "Permission denied")
	try("memory.conf", m.Sh(t, "cat "+dir+"memory.conf"))
	if got := m.Show(t, a.Unit(), "MemoryMax"); got != "1572864000" {
		t.Errorf("MemoryMax=%s", got)
	}
	// Everything at once: each line is one that systemd understands, and the application runs with
	// it.
	try("more-rights.conf", m.Sh(t, "sed -n -e '/^\\[/p' -e 's/^#\\([A-Z][A-Za-z]*=\\)/\\1/p' "+dir+"more-rights.conf"))
	if got := m.Show(t, a.Unit(), "PrivateTmp"); got != "no" {
		t.Errorf("PrivateTmp=%s with more rights", got)
	}
}

// asRoot: hooks that run as root do, and the application does not.
func asRoot(t *testing.T, m *Machine) {
	a := m.App(t, "hooked", "socket = /run/uwsgi/%n.sock",
		"exec-as-root = mkdir -p /run/hooked && id -un > /run/hooked/who", "hook-as-root = write:/run/hooked/hook done")
	defer m.Run("rm", "-rf", "/run/hooked")
	m.Sh(t, "mkdir -p /run/hooked")
	a.Start(t)
	a.Answers(t, "/who", "www-data www-data /srv/hooked")
	if got := m.Sh(t, "cat /run/hooked/who; cat /run/hooked/hook"); got != "root\ndone" {
		t.Errorf("the hooks left %q", got)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(m.Path("/run/hooked/who"), &st); err != nil || st.Uid != 0 {
		t.Errorf("/run/hooked/who: %d, %v", st.Uid, err)
	}
}
