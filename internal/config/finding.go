package config

import (
	"errors"

	"uwsgi/internal/option"
)

// Finding is the judgement of one line.
type Finding struct {
	File     string `json:"file"` // "" = the command line or the environment
	Line     int    `json:"line"`
	Option   string `json:"option"`
	Value    string `json:"value"`
	Standing string `json:"standing"` // supported, no-need, refused, unknown
	Note     string `json:"note"`
	Fatal    bool   `json:"fatal,omitempty"`   // start-up stops here
	Warning  bool   `json:"warning,omitempty"` // start-up goes on, but this is hardly what was meant
}

// unknown is the standing of a key that is no option.
const unknown = "unknown"

// find files a judgement.
func (r *reader) find(p *pair, standing, note string) *Finding {
	r.findings = append(r.findings, Finding{File: p.Origin.File, Line: p.Origin.Line, Option: p.Key, Value: p.Value, Standing: standing, Note: note})
	return &r.findings[len(r.findings)-1]
}

// fault files what is wrong with a pair, completing the place. The standing is that of the option.
func (r *reader) fault(p *pair, standing string, err error) {
	var e *option.Error
	if !errors.As(err, &e) {
		e = &option.Error{Err: err}
	}
	done := *e
	done.File, done.Line, done.Name, done.Value = p.Origin.File, p.Origin.Line, p.Key, p.Value
	r.faults = append(r.faults, &done)
	note := done.Err.Error()
	if done.Hint != "" {
		note += " (" + done.Hint + ")"
	}
	f := r.find(p, standing, note)
	f.Fatal, f.Warning = !done.Warn, done.Warn
}

// standingOf is the word for a key in the table.
func standingOf(key string) string {
	if row, ok := option.Lookup(key); ok {
		return row.Standing.String()
	}
	return unknown
}

// problem files a fault found while reading, before options are judged.
func (r *reader) problem(p *pair, hint string, err error) {
	r.fault(p, standingOf(p.Key), &option.Error{Err: err, Hint: hint})
}

// doubt is a problem that start-up survives.
func (r *reader) doubt(p *pair, hint string, err error) {
	r.fault(p, standingOf(p.Key), &option.Error{Err: err, Hint: hint, Warn: true})
}
