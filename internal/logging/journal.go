package logging

import (
	"bytes"
	"fmt"
	"strings"

	"uwsgi/internal/sd"
	"uwsgi/internal/sd/entry"
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
	if r.entry != nil {
		s.j.Forward(withMessage(r.entry, r.text, text))
		return nil
	}
	s.j.Send(r.priority, text, r.fields...)
	return nil
}

// messageField begins the message of an entry that the data plane has made; it is never the first
// field.
const messageField = "\nMESSAGE="

// entryMessage is the message of such an entry.
func entryMessage(raw []byte) string {
	at := bytes.Index(raw, []byte(messageField))
	if at < 0 {
		return ""
	}
	text, _, _ := bytes.Cut(raw[at+len(messageField):], []byte("\n"))
	return string(text)
}

// withMessage puts what an encoder has made of the message in its place.
func withMessage(raw []byte, old, text string) []byte {
	if text == old {
		return raw
	}
	at := bytes.Index(raw, []byte(messageField)) + 1
	out := append([]byte(nil), raw[:at]...)
	out = entry.AppendField(out, "MESSAGE", text)
	return append(out, raw[at+len(messageField)+len(old):]...)
}

func (s *journalSink) flush() error { return nil }

func (s *journalSink) close() error { return s.j.Close() }

// unusedUnderSystemd is the one line that answers logto and daemonize of an ini that has moved
// under systemd.
func unusedUnderSystemd(option, value, unit string) string {
	follow := "journalctl"
	if unit != "" {
		follow += " -u " + strings.TrimSuffix(unit, ".service")
	}
	return fmt.Sprintf("%s = %s is not used under systemd: the log is in the journal, read it with %s", option, value,
		follow)
}
