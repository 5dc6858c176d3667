package dataplane

import (
	"strconv"

	"uwsgi/internal/sd/entry"
)

// journalFixed is what every request's journal entry starts with.
func journalFixed(e *Engine) []byte {
	b := entry.AppendField(nil, "SYSLOG_IDENTIFIER", "uwsgi")
	b = entry.AppendField(b, "SYSLOG_FACILITY", "3")
	b = entry.AppendField(b, "UWSGI_APP", e.boot.Instance)
	return entry.AppendField(b, "UWSGI_WORKER", strconv.Itoa(e.slot))
}

// appendJournal makes the journal entry of the request that is described in s ("Native Journal
// Protocol", systemd.io). The message, s.line, and the variables of the request hold no newline:
// the log format and the parsers see to that.
func appendJournal(b, fixed []byte, s *scratch) []byte {
	b = append(b, "PRIORITY="...)
	priority := byte('6')
	if s.entry.Status >= 500 {
		priority = '4'
	}
	b = append(b, priority, '\n')
	b = append(b, fixed...)
	b = append(append(append(b, "MESSAGE="...), s.line...), '\n')
	e := &s.entry
	r := e.Req
	b = append(strconv.AppendInt(append(b, "STATUS="...), int64(e.Status), 10), '\n')
	b = append(strconv.AppendInt(append(b, "DURATION_USEC="...), e.Duration/1000, 10), '\n')
	b = append(strconv.AppendInt(append(b, "RESPONSE_BYTES="...), e.Body, 10), '\n')
	b = appendText(b, "REQUEST_METHOD=", r.Bytes(r.Method))
	b = appendText(b, "REQUEST_URI=", r.Bytes(r.URI))
	return appendText(b, "REMOTE_ADDR=", r.Bytes(r.RemoteAddr))
}

// appendText appends one field whose value came from the network: a packet of the uwsgi protocol
// may hold any byte.
func appendText(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	for _, ch := range value {
		if ch < 32 {
			ch = '?'
		}
		b = append(b, ch)
	}
	return append(b, '\n')
}
