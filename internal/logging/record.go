package logging

import (
	"strings"
	"time"

	"uwsgi/internal/accesslog"
	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// record is one message on its way.
type record struct {
	text     string // without its final newline; inner ones belong to it
	stamp    string // prefix of a server message; the journal, which has its own clock, leaves it out
	priority int    // syslog(3)
	fields   []sd.Field
	entry    []byte // of a request: the journal's, with text as its MESSAGE
	ofAlarm  bool   // what an alarm says or prints must not raise one
}

// stamper makes the prefixes of server messages: log-date, log-prefix, and the date that uWSGI
// gives some lines always.
type stamper struct {
	date, prefix string // strftime formats
	now          func() time.Time
}

func newStamper(s *option.Settings, now func() time.Time) stamper {
	return stamper{date: s.LogDate, prefix: s.LogPrefix, now: now}
}

// stamp is the prefix of a message; timed asks for the date in any case.
func (s stamper) stamp(timed bool) string {
	if s.date == "" && s.prefix == "" && !timed {
		return ""
	}
	t := s.now()
	date := s.date
	if date == "" && timed && s.prefix == "" {
		date = option.DefaultLogDate
	}
	var b []byte
	for _, f := range []string{date, s.prefix} {
		if f != "" {
			b = append(accesslog.Strftime(b, f, t), " - "...)
		}
	}
	return string(b)
}

// mark is the prefix as far as the journal wants it: a fixed word, no clock.
func (s stamper) mark() string {
	if s.prefix == "" || strings.Contains(s.prefix, "%") {
		return ""
	}
	return s.prefix + " - "
}
