//go:build lab

package lab

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// entries reads journalctl -o json.
func (m *Machine) entries(t *testing.T, args string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(m.Sh(t, "journalctl --sync >/dev/null 2>&1 || true; journalctl -o json --no-pager "+
		args)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, e)
	}
	return out
}

// journal: everything is there under the unit, from the first line on; print and server lines have
// their fields.
func journal(t *testing.T, m *Machine) {
	a := m.App(t, "talks")
	a.Start(t)
	a.Ask(t, "/print")
	var printed map[string]any
	m.Eventually(t, "printed line in the journal", func() bool {
		for _, e := range m.entries(t, "-u uwsgi@talks") {
			if e["MESSAGE"] == "printed in the lab" {
				printed = e
			}
		}
		return printed != nil
	})
	for field, want := range map[string]string{"SYSLOG_IDENTIFIER": "uwsgi", "UWSGI_APP": "talks", "PRIORITY": "6"} {
		if printed[field] != want {
			t.Errorf("%s=%v of a printed line, want %s", field, printed[field], want)
		}
	}
	if n := printed["UWSGI_WORKER"]; n != "1" && n != "2" {
		t.Errorf("UWSGI_WORKER=%v of a printed line", n)
	}
	if out := m.Sh(t, "journalctl -t uwsgi -u uwsgi@talks -o cat"); !strings.Contains(out, "*** Starting uWSGI") {
		t.Errorf("journalctl -t uwsgi:\n%s", out)
	}
}

// requestFields: requests can be picked by what they were.
func requestFields(t *testing.T, m *Machine) {
	a := m.App(t, "fields")
	a.Start(t)
	a.Ask(t, "/")
	a.Ask(t, "/missing")
	var found []map[string]any
	m.Eventually(t, "request in the journal", func() bool {
		found = m.entries(t, "-u uwsgi@fields STATUS=404")
		return len(found) > 0
	})
	if len(found) != 1 {
		t.Fatalf("%d entries with STATUS=404", len(found))
	}
	for field, want := range map[string]string{"REQUEST_METHOD": "GET", "REQUEST_URI": "/missing", "STATUS": "404",
		"UWSGI_APP": "fields"} {
		if found[0][field] != want {
			t.Errorf("%s=%v, want %s", field, found[0][field], want)
		}
	}
	for _, field := range []string{"DURATION_USEC", "UWSGI_WORKER", "REMOTE_ADDR"} {
		if found[0][field] == nil {
			t.Errorf("no %s in %v", field, found[0])
		}
	}
}

// logFiles: files that an ini names are written beside the journal, in a folder of root's too, and
// logrotate's copytruncate leaves no hole.
func logFiles(t *testing.T, m *Machine) {
	a := m.App(t, "filed", "socket = /run/uwsgi/%n.sock", "logto = /var/log/uwsgi/app/%n.log",
		"req-logger = file:/var/log/filed/requests.log", "log-date = true")
	m.Sh(t, "mkdir -p /var/log/filed")
	t.Cleanup(func() { m.Run("rm", "-rf", "/var/log/filed", "/var/log/uwsgi/app/filed.log") })
	a.Start(t)
	a.Ask(t, "/print")
	a.Ask(t, "/missing")
	m.Eventually(t, "the lines in both files", func() bool {
		out, _ := m.Run("cat", "/var/log/uwsgi/app/filed.log", "/var/log/filed/requests.log")
		return strings.Contains(out, "uWSGI is ready") && strings.Contains(out, "printed in the lab") &&
			strings.Contains(out, "GET /missing =>")
	})
	if out := m.Sh(t, "stat -c '%U %a' /var/log/uwsgi/app/filed.log"); out != "www-data 640" {
		t.Errorf("the file is %s", out)
	}
	m.Eventually(t, "the same in the journal, with its fields", func() bool {
		text := m.Sh(t, "journalctl --sync; journalctl -u uwsgi@filed -o cat")
		return len(m.entries(t, "-u uwsgi@filed STATUS=404")) == 1 && strings.Contains(text, "uWSGI is ready") &&
			strings.Contains(text, "printed in the lab")
	})
	m.Sh(t, "truncate -s 0 /var/log/uwsgi/app/filed.log /var/log/filed/requests.log")
	a.Ask(t, "/print")
	m.Eventually(t, "lines at the beginning of the files", func() bool {
		out, _ := m.Run("head", "-qc1", "/var/log/uwsgi/app/filed.log", "/var/log/filed/requests.log")
		return out == "p["
	})
	a.m.Sh(t, "systemctl reload "+a.Unit())
	a.Ask(t, "/")
}

// traceback: one entry, of the priority of an error.
func traceback(t *testing.T, m *Machine) {
	a := m.App(t, "falls")
	a.Start(t)
	if got := a.Ask(t, "/boom"); got.Status != 500 {
		t.Errorf("a request that fails is answered %d", got.Status)
	}
	var found []map[string]any
	m.Eventually(t, "traceback in the journal", func() bool {
		found = m.entries(t, "-u uwsgi@falls -p err")
		return len(found) > 0
	})
	text, _ := found[0]["MESSAGE"].(string)
	if len(found) != 1 || !strings.Contains(text, "Traceback") ||
		!strings.Contains(text, "RuntimeError: boom in the lab") || found[0]["PRIORITY"] != "3" {
		t.Errorf("%d entries of priority err, the first: %v", len(found), found[0])
	}
	if out := m.Sh(t, "journalctl -u uwsgi@falls STATUS=500 -o cat"); out == "" {
		t.Error("no request with STATUS=500")
	}
}

// journaldStuck: requests that write a lot go on beside a journald that takes nothing, at their
// pace, and what was lost is told.
func journaldStuck(t *testing.T, m *Machine) {
	a := m.App(t, "unheard", "http = 127.0.0.1:7500", "processes = 2")
	a.Start(t)
	pid := m.Show(t, "systemd-journald", "MainPID")
	m.Sh(t, "kill -STOP "+pid)
	cont := func() { m.Run("kill", "-CONT", pid) }
	defer cont()
	out := m.Sh(t, "timeout 60 ab -q -n 3000 -c 4 http://127.0.0.1:7500/print && timeout 60 ab -q -n 50 -c 4 "+
		"http://127.0.0.1:7500/log")
	if strings.Count(out, "Failed requests:        0") != 2 {
		t.Errorf("ab:\n%s", out)
	}
	cont()
	var lost int
	m.Eventually(t, "word of what was lost", func() bool {
		lost = 0
		for _, e := range m.entries(t, "-u uwsgi@unheard -p warning") {
			var n int
			if text, _ := e["MESSAGE"].(string); strings.Contains(text, "log entries were lost") {
				if _, err := fmt.Sscan(text, &n); err == nil {
					lost += n
				}
			}
		}
		// Two entries a request, but for what the queues of the sockets held.
		return lost > 3000
	})
	t.Logf("%d entries lost", lost)
	// A socket that is made anew.
	m.Sh(t, `systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald; rm -f /run/systemd/journal/socket
		curl -sS http://127.0.0.1:7500/ >/dev/null; systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald
		curl -sS http://127.0.0.1:7500/print >/dev/null`)
	m.Eventually(t, "request and printed line after journald's socket was made anew", func() bool {
		got := m.Sh(t, "journalctl -u uwsgi@unheard -o cat --since -20s")
		return strings.Contains(got, "GET /print") && strings.Contains(got, "printed in the lab")
	})
}
