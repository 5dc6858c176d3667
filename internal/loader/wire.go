package loader

import (
	"strings"

	"uwsgi/internal/escape"
)

// maxPacket bounds a message; a sender cuts long texts to fit.
const maxPacket = 64 << 10

// incoming is every message that a loader or a worker sends; each op uses some of the fields.
type incoming struct {
	Op        string `json:"op"`
	Slot      int    `json:"slot"`
	Row       int    `json:"row"`
	PID       int    `json:"pid"`
	Status    uint32 `json:"status"`
	Apps      []App  `json:"apps"`
	Python    string `json:"python"`
	Error     string `json:"error"`
	Exclusive bool   `json:"exclusive"`
	Code      int    `json:"code"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	Level     string `json:"level"`
}

const (
	longestText = 8 << 10 // of a reason, an error, a line
	mostApps    = 1 << 10
	longestLoad = 1e6 // seconds
	highestCode = 255
	highestPID  = 1 << 22 // PID_MAX_LIMIT: more would be cut to another number on its way into the kernel
)

// tame holds what was received to what can be: it goes into logs, statistics and exit statuses.
func (m *incoming) tame() {
	for _, text := range []*string{&m.Python, &m.Error, &m.Reason, &m.Message} {
		*text = tameText(*text)
	}
	if m.Code < 0 || m.Code > highestCode {
		m.Code = 0
	}
	if m.PID < 0 || m.PID > highestPID {
		m.PID = 0
	}
	m.Apps = m.Apps[:min(len(m.Apps), mostApps)]
	for i := range m.Apps {
		a := &m.Apps[i]
		a.Mount, a.Source = tameText(a.Mount), tameText(a.Source)
		a.Seconds = max(0, min(a.Seconds, longestLoad))
	}
}

func tameText(s string) string {
	return escape.String(strings.ReplaceAll(strings.TrimSpace(s[:min(len(s), longestText)]), "\n", " "))
}

// What the supervisor sends.
type (
	forkOrder struct {
		Op     string `json:"op"`
		Slot   int    `json:"slot"`
		Row    int    `json:"row"`
		Reason string `json:"reason"`
		First  bool   `json:"first"`
		Again  bool   `json:"again"`
	}
	drainOrder struct {
		Op      string `json:"op"`
		Reason  string `json:"reason"`
		Handoff bool   `json:"handoff"`
		Close   bool   `json:"close"`
	}
	harakiriOrder struct {
		Op      string `json:"op"`
		Core    int    `json:"core"`
		Started int64  `json:"started"`
	}
	plainOrder struct {
		Op string `json:"op"`
	}
)
