//go:build lab

package lab

import (
	"encoding/json"
	"strings"
	"testing"
)

// entries reads journalctl -o json.
func (m *Machine) entries(t *testing.T, args string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(m.Sh(t, "journalctl --sync >/dev/null 2>&1 || true; journalctl -o json --no-pager "+args)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, e)
	}
	return out
}

// journal: everything is there under the unit, from the first line on; print and server lines have their fields.
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
	for field, want := range map[string]string{"REQUEST_METHOD": "GET", "REQUEST_URI": "/missing", "STATUS": "404", "UWSGI_APP": "fields"} {
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
	if len(found) != 1 || !strings.Contains(text, "Traceback") || !strings.Contains(text, "RuntimeError: boom in the lab") || found[0]["PRIORITY"] != "3" {
		t.Errorf("%d entries of priority err, the first: %v", len(found), found[0])
	}
	if out := m.Sh(t, "journalctl -u uwsgi@falls STATUS=500 -o cat"); out == "" {
		t.Error("no request with STATUS=500")
	}
}

// catalog: journalctl -x explains what happened, in both languages.
func catalog(t *testing.T, m *Machine) {
	a := m.App(t, "explained")
	a.Start(t)
	m.Eventually(t, "explanation of the start in journalctl -x", func() bool {
		return strings.Contains(m.Sh(t, "journalctl -x -u uwsgi@explained --no-pager"), "Subject: Application explained is ready")
	})
	ids := []string{"d89f97d32f454cb2912f1495fe55c7cb", "6836f251556e4b75ae0bc0573e37074e", "e835c3c1dee24ac6b14f268597965627",
		"4d14a8ff2920428dbab080a38d3d831a", "bada3386da9b45a7abfe451cd2abc3ab", "b79ae48b5e5348f48f410b6542b4e175",
		"11f883ea2daa46b38b1da9f8b080bb9e", "7f6d752bec064c76aee16f40fe42f342"}
	for _, id := range ids {
		if out := m.Sh(t, "journalctl --dump-catalog "+id); !strings.Contains(out, "Defined-By: uwsgi") {
			t.Errorf("the catalog has no %s", id)
		}
		if out := m.Sh(t, "LANG=zh_CN.UTF-8 LC_ALL= LC_MESSAGES=zh_CN.UTF-8 journalctl --dump-catalog "+id); !strings.Contains(out, "Defined-By: uwsgi") {
			t.Errorf("the catalog has no %s for zh_CN", id)
		}
	}
}
