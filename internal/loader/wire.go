package loader

import (
	"strings"

	"uwsgi/internal/escape"
	"uwsgi/internal/wire"
)

// maxPacket bounds a message; a sender cuts long texts to fit.
const maxPacket = 64 << 10

const (
	longestText = 8 << 10 // of a reason, an error, a line
	mostApps    = 1 << 10
	longestLoad = 1e6  // seconds
	longestWork = 1e12 // ms
	highestCode = 255
	highestPID  = 1 << 22 // PID_MAX_LIMIT: more would be cut to another number on its way into the kernel
)

// tame holds what a loader or a worker has said to what can be: it goes into logs, statistics and
// exit statuses.
func tame(m *wire.Report) {
	for _, text := range []*string{&m.Python, &m.Error, &m.Reason, &m.Message} {
		*text = tameText(*text)
	}
	m.Trace = escape.Lines(m.Trace)
	if m.Code < 0 || m.Code > highestCode {
		m.Code = 0
	}
	if m.PID < 0 || m.PID > highestPID {
		m.PID = 0
	}
	m.Within = max(0, min(m.Within, longestWork))
	m.Apps = m.Apps[:min(len(m.Apps), mostApps)]
	for i := range m.Apps {
		a := &m.Apps[i]
		a.Mount, a.Source = tameText(a.Mount), tameText(a.Source)
		a.Seconds = max(0, min(a.Seconds, longestLoad))
		if a.Interface != "asgi" {
			a.Interface = "wsgi"
		}
	}
}

func tameText(s string) string {
	return escape.String(strings.ReplaceAll(strings.TrimSpace(s[:min(len(s), longestText)]), "\n", " "))
}
