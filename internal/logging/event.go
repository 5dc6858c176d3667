package logging

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"uwsgi/internal/sd"
)

// Print writes a server message of ordinary weight, in uWSGI's words and without a date unless the
// settings ask for one.
func (l *Log) Print(text string) { l.write(sd.PriInfo, text, false) }

// Timed writes a server message that uWSGI dates always.
func (l *Log) Timed(text string) { l.write(sd.PriInfo, text, true) }

// Warn writes a server message that somebody should read.
func (l *Log) Warn(text string) { l.write(sd.PriWarning, text, false) }

// Error writes a server message about something that failed.
func (l *Log) Error(text string) { l.write(sd.PriErr, text, false) }

// Alarm writes the message of an alarm, which raises none; uWSGI dates it.
func (l *Log) Alarm(text string) {
	l.submit(l.server, &record{text: text, stamp: l.stamp.stamp(true), priority: sd.PriWarning, ofAlarm: true})
}

// AlarmFailed writes a line about an alarm, which raises none.
func (l *Log) AlarmFailed(text string) {
	l.submit(l.server, &record{text: text, stamp: l.stamp.stamp(false), priority: sd.PriErr, ofAlarm: true})
}

func (l *Log) write(priority int, text string, timed bool, fields ...sd.Field) {
	l.submit(l.server, &record{text: strings.TrimSuffix(text, "\n"), stamp: l.stamp.stamp(timed), priority: priority,
		fields: fields})
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

// Event writes one life-cycle event: the supervisor's LogFunc. name is its stable name, from which
// the journal's MESSAGE_ID follows; the attributes become fields (worker → UWSGI_WORKER).
func (l *Log) Event(level slog.Level, name, text string, attrs ...slog.Attr) {
	if name == requestsLost && l.journal != nil {
		// A journal that takes no entries takes no report: it tells when it can.
		for _, a := range attrs {
			if n, ok := a.Value.Any().(int64); ok {
				l.journal.Lose(uint64(n))
			}
		}
		return
	}
	fields := make([]sd.Field, 0, len(attrs)+2)
	if name != "" {
		fields = append(fields, sd.Field{Name: "UWSGI_EVENT", Value: name})
		if id := MessageID(name); id != "" {
			fields = append(fields, sd.Field{Name: "MESSAGE_ID", Value: id})
		}
	}
	for _, a := range attrs {
		fields = append(fields, sd.Field{Name: fieldName(a.Key), Value: a.Value.String()})
	}
	l.write(priority(level), text, events[name].dated, fields...)
}

// requestsLost is the event of request lines that workers could not write; its attribute is their
// number.
const requestsLost = "log.lost"

// event is what the log does with an event beyond its level.
type event struct {
	message string // its MESSAGE_ID=, for "journalctl -x"; "" = the catalog does not explain it
	dated   bool   // uWSGI dates its line always
}

// events are all there are, by their stable names.
var events = map[string]event{
	"chain.done":            {dated: true},
	"chain.next":            {dated: true},
	"chain.start":           {dated: true},
	"cheap":                 {},
	"cheap.watch":           {},
	"cheaper.busyness":      {},
	"emperor.add":           {},
	"emperor.buried":        {},
	"emperor.died":          {},
	"emperor.done":          {},
	"emperor.end":           {},
	"emperor.exit":          {},
	"emperor.failed":        {},
	"emperor.problem":       {},
	"emperor.reload":        {},
	"area.renewed":          {},
	"mules.passed":          {},
	"metrics.failed":        {},
	"emperor.start":         {},
	"emperor.stop":          {},
	"emperor.watch":         {},
	"exit":                  {},
	"fault":                 {},
	"harakiri":              {message: sd.MessageHarakiri, dated: true},
	"harakiri.cancel":       {message: sd.MessageHarakiri, dated: true},
	"harakiri.detail":       {dated: true},
	"harakiri.signal":       {message: sd.MessageHarakiri, dated: true},
	"script.died":           {},
	"signal.undelivered":    {},
	"signal.wake":           {},
	"signal.warning":        {},
	"hook.failed":           {},
	"idle":                  {},
	"import.slow":           {},
	"import.stacks":         {},
	"loader.died":           {},
	"loader.log":            {},
	"loader.stuck":          {},
	"log.lost":              {},
	"master.respawned":      {message: sd.MessageReloadOK},
	"master.spawned":        {},
	"masterless":            {},
	"noserver":              {},
	"attendant.buried":      {},
	"attendant.deaf":        {},
	"attendant.died":        {},
	"attendant.failed":      {},
	"attendant.harakiri":    {},
	"attendant.log":         {},
	"attendant.nomercy":     {dated: true},
	"attendant.notforked":   {},
	"attendant.spawned":     {},
	"attendant.toofast":     {},
	"attendant.unsignalled": {},
	"attendants.reload":     {},
	"notify.failed":         {},
	"panic":                 {},
	"pause":                 {dated: true},
	"queue.full":            {dated: true},
	"ready":                 {message: sd.MessageReady},
	"reload.exclusive":      {},
	"reload.exit":           {},
	"reload.failed":         {message: sd.MessageReloadFailed},
	"reload.queued":         {},
	"reload.retire":         {},
	"reload.start":          {},
	"reload.stopfirst":      {},
	"start.exclusive":       {},
	"start.failed":          {message: sd.MessageStartFailed},
	"stop.delayed":          {},
	"stop.done":             {message: sd.MessageStopped},
	"stop.graceful":         {dated: true},
	"stop.late":             {},
	"stop.short":            {},
	"stop.start":            {},
	"worker.buried":         {},
	"worker.cheaped":        {},
	"worker.deaf":           {},
	"worker.died":           {message: sd.MessageWorkerDied},
	"worker.evil":           {},
	"worker.exclusive":      {},
	"worker.leaving":        {},
	"worker.left":           {},
	"worker.lifetime":       {message: sd.MessageWorkerRecycled},
	"worker.log":            {},
	"worker.noapp":          {},
	"worker.nomercy":        {dated: true},
	"worker.norow":          {},
	"worker.notforked":      {},
	"worker.ready":          {},
	"worker.recycled":       {message: sd.MessageWorkerRecycled},
	"worker.segfault":       {},
	"worker.spawned":        {},
	"worker.toofast":        {},
	"worker.traceback":      {},
	"worker.unsignalled":    {},
	"workers.reload":        {},
}

// MessageID is the MESSAGE_ID= of an event, "" where the catalog has none.
func MessageID(name string) string { return events[name].message }

// Known reports whether there is an event of that name.
func Known(name string) bool { _, ok := events[name]; return ok }

// Events are the names of all events.
func Events() []string { return slices.Sorted(maps.Keys(events)) }

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
