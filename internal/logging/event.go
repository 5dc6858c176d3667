package logging

import (
	"log/slog"
	"strings"

	"uwsgi/internal/sd"
)

// Print writes a server message of ordinary weight, in uWSGI's words and without a date unless the settings ask for one.
func (l *Log) Print(text string) { l.write(sd.PriInfo, text, false) }

// Timed writes a server message that uWSGI dates always.
func (l *Log) Timed(text string) { l.write(sd.PriInfo, text, true) }

// Warn writes a server message that somebody should read.
func (l *Log) Warn(text string) { l.write(sd.PriWarning, text, false) }

// Error writes a server message about something that failed.
func (l *Log) Error(text string) { l.write(sd.PriErr, text, false) }

func (l *Log) write(priority int, text string, timed bool, fields ...sd.Field) {
	l.submit(l.server, &record{text: strings.TrimSuffix(text, "\n"), stamp: l.stamp.stamp(timed), priority: priority, fields: fields})
}

// submit sends records through a chain as one batch.
func (l *Log) submit(c *chain, records ...*record) {
	if len(records) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		c.write(r)
	}
	c.flush()
}

// Event writes one life-cycle event: the supervisor's LogFunc. event is its stable name, from which the journal's MESSAGE_ID follows; the
// attributes become fields (worker → UWSGI_WORKER).
func (l *Log) Event(level slog.Level, event, text string, attrs ...slog.Attr) {
	if event == requestsLost && l.journal != nil {
		// A journal that takes no entries takes no report: it tells when it can.
		for _, a := range attrs {
			if n, ok := a.Value.Any().(int64); ok {
				l.journal.Lose(uint64(n))
			}
		}
		return
	}
	fields := make([]sd.Field, 0, len(attrs)+2)
	if event != "" {
		fields = append(fields, sd.Field{Name: "UWSGI_EVENT", Value: event})
		if id := MessageID(event); id != "" {
			fields = append(fields, sd.Field{Name: "MESSAGE_ID", Value: id})
		}
	}
	for _, a := range attrs {
		fields = append(fields, sd.Field{Name: fieldName(a.Key), Value: a.Value.String()})
	}
	l.write(priority(level), text, timed[event] || timed[family(event)], fields...)
}

// requestsLost is the event of request lines that workers could not write; its attribute is their number.
const requestsLost = "log.lost"

// messageIDs gives the events that the catalog explains (systemd's "journalctl -x") their identifier.
var messageIDs = map[string]string{
	"start.failed":     sd.MessageStartFailed,
	"ready":            sd.MessageReady,
	"master.respawned": sd.MessageReloadOK,
	"reload.failed":    sd.MessageReloadFailed,
	"harakiri":         sd.MessageHarakiri,
	"worker.died":      sd.MessageWorkerDied,
	"worker.recycled":  sd.MessageWorkerRecycled,
	"worker.lifetime":  sd.MessageWorkerRecycled,
	"stop.done":        sd.MessageStopped,
}

// timed names the events, or their families, whose lines uWSGI dates always.
var timed = map[string]bool{"harakiri": true, "pause": true, "touch": true, "worker.nomercy": true, "chain": true, "queue.full": true,
	"stop.graceful": true, "cron": true, "fifo": true}

// MessageID is the MESSAGE_ID= of an event, "" where the catalog has none.
func MessageID(event string) string { return messageIDs[event] }

// family is the part of an event's name before its first dot.
func family(event string) string {
	head, _, _ := strings.Cut(event, ".")
	return head
}

func priority(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return sd.PriErr
	case level >= slog.LevelWarn:
		return sd.PriWarning
	case level >= slog.LevelInfo:
		return sd.PriInfo
	}
	return sd.PriDebug
}

// fieldName is the journal field of a log attribute.
func fieldName(key string) string {
	return "UWSGI_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}
