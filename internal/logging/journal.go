package logging

import (
	"fmt"
	"strings"

	"uwsgi/internal/sd"
)

// journalSink writes entries with fields.
type journalSink struct {
	j    *sd.Journal
	mark string // constant prefix of server messages
}

func (s *journalSink) write(r *record, line []byte) error {
	text := strings.TrimPrefix(strings.TrimSuffix(string(line), "\n"), r.stamp)
	if r.stamp != "" {
		text = s.mark + text
	}
	// What it cannot take it counts itself and reports in the journal.
	s.j.Send(r.priority, text, r.fields...)
	return nil
}

func (s *journalSink) flush() error { return nil }

func (s *journalSink) close() error { return s.j.Close() }

// unusedUnderSystemd is the one line that answers logto and daemonize of an ini that has moved under systemd.
func unusedUnderSystemd(option, value, unit string) string {
	follow := "journalctl"
	if unit != "" {
		follow += " -u " + strings.TrimSuffix(unit, ".service")
	}
	return fmt.Sprintf("%s = %s is not used under systemd: the log is in the journal, read it with %s", option, value, follow)
}
