//go:build lab

package lab

import (
	"strings"
	"testing"
)

// behindNginx serves an application behind the packaged nginx with one of the package's snippets,
// as it stands.
func behindNginx(t *testing.T, m *Machine, snippet string, lines ...string) {
	a := m.App(t, "mysite", lines...)
	a.Start(t)
	m.Write(t, "/etc/nginx/sites-enabled/lab", "server {\n    listen 7080;\n    include /usr/share/uwsgi/nginx/"+
		snippet+";\n}\n")
	defer m.Run("sh", "-c", "systemctl stop nginx; rm -f /etc/nginx/sites-enabled/lab; > /var/log/nginx/error.log")
	m.Sh(t, "nginx -t && systemctl start nginx")
	if got := m.Sh(t, "curl -sS -m 5 http://127.0.0.1:7080/"); got != "one" {
		t.Errorf("nginx shows %q", got)
	}
	if got := m.Sh(t, "curl -sS -m 5 -o /dev/null -w '%{http_code}' http://127.0.0.1:7080/missing"); got != "404" {
		t.Errorf("nginx shows %q for what is missing", got)
	}
	a.Is(t, "two")
	// 4,000 requests, with a reload and a restart among them.
	out := m.Sh(t, "(sleep 0.3; systemctl reload uwsgi@mysite; sleep 0.3; systemctl restart uwsgi@mysite) & "+
		"for round in 1 2 3 4; do ab -q -r -l -n 1000 -c 8 http://127.0.0.1:7080/; done; wait")
	if strings.Count(out, "Failed requests:        0") != 4 || strings.Contains(out, "Non-2xx") {
		var counts []string
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "Failed requests") || strings.HasPrefix(line, "Non-2xx") {
				counts = append(counts, strings.TrimSpace(line))
			}
		}
		t.Errorf("ab: %q\nnginx: %s", counts, m.Sh(t, "tail -n 5 /var/log/nginx/error.log"))
	}
	if got := m.Sh(t, "curl -sS -m 5 http://127.0.0.1:7080/"); got != "two" {
		t.Errorf("after a reload nginx shows %q", got)
	}
}

func nginxUnix(t *testing.T, m *Machine) {
	behindNginx(t, m, "uwsgi-unix.conf", "socket = /run/uwsgi/%n.sock",
		"chown-socket = www-data:www-data", "chmod-socket = 664")
}

func nginxTCP(t *testing.T, m *Machine) {
	behindNginx(t, m, "uwsgi-tcp.conf", "socket = 0.0.0.0:8000")
}

func nginxHTTP(t *testing.T, m *Machine) {
	behindNginx(t, m, "uwsgi-http.conf", "http = 0.0.0.0:8000")
}
