package config

import (
	"cmp"
	"errors"
	"slices"

	"uwsgi/internal/option"
)

// Finding is the judgement of one line.
type Finding struct {
	File     string `json:"file"` // "" = the command line or the environment
	Line     int    `json:"line"`
	Option   string `json:"option"`
	Value    string `json:"value"`
	Standing string `json:"standing"` // honoured, not needed, refused, unknown
	Note     string `json:"note"`
	Fatal    bool   `json:"fatal,omitempty"`   // start-up stops here
	Warning  bool   `json:"warning,omitempty"` // start-up goes on, but this is hardly what was meant

	environ bool // from an UWSGI_ variable
}

// maxFaults is more than anyone reads.
const maxFaults = 1000

// unknown is the standing of a key that is no option.
const unknown = "unknown"

// find files a judgement.
func (r *reader) find(p *pair, standing, note string) *Finding {
	r.findings = append(r.findings, Finding{File: p.Origin.File, Line: p.Origin.Line, Option: p.Key, Value: p.Value,
		Standing: standing, Note: note,
		environ: p.source == fromEnviron})
	return &r.findings[len(r.findings)-1]
}

// fault files what is wrong with a pair, completing the place. The standing is that of the option.
func (r *reader) fault(p *pair, standing string, err error) {
	var e *option.Error
	if !errors.As(err, &e) {
		e = &option.Error{Err: err}
	}
	if len(r.faults) >= maxFaults {
		return
	}
	done := *e
	done.File, done.Line, done.Name, done.Value = p.Origin.File, p.Origin.Line, p.Key, p.Value
	r.faults = append(r.faults, &done)
	note := done.Err.Error()
	if done.Hint != "" {
		note += " (" + done.Hint + ")"
	}
	if done.NotOffered {
		standing = option.Refused.String()
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

// settleFindings puts the findings in reading order, file by file, and leaves out what another
// finding of the same line says better.
func (r *reader) settleFindings() {
	rank := map[string]int{"": 0}
	for _, p := range r.pairs {
		if _, known := rank[p.Origin.File]; !known {
			rank[p.Origin.File] = len(rank)
		}
	}
	for _, f := range r.findings {
		if _, known := rank[f.File]; !known {
			rank[f.File] = len(rank)
		}
	}
	type line struct {
		file   string
		number int
		option string
		value  string
	}
	at := func(f *Finding) line {
		l := line{file: f.File, number: f.Line, option: f.Option}
		if f.File == "" {
			l.value = f.Value // the command line has no lines
		}
		return l
	}
	faulty := map[line]bool{}
	for i := range r.findings {
		if f := &r.findings[i]; f.Fatal || f.Warning {
			faulty[at(f)] = true
		}
	}
	seen := map[Finding]bool{}
	r.findings = slices.DeleteFunc(r.findings, func(f Finding) bool {
		if f.Fatal || f.Warning {
			twice := seen[f]
			seen[f] = true
			return twice
		}
		return f.Standing == option.Honoured.String() && faulty[at(&f)]
	})
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		if c := cmp.Compare(rank[a.File], rank[b.File]); c != 0 {
			return c
		}
		return cmp.Compare(a.Line, b.Line)
	})
}

// Report adds to the findings what is wrong with an option once it is carried out: to that of its
// line, or below it where that is bad already. With neither fatal nor warning it is a note.
func (c *Config) Report(e *option.Error, fatal, warning bool) {
	if e.File == "" {
		c.place(e)
	}
	note := e.Err.Error()
	if e.Hint != "" {
		note += " (" + e.Hint + ")"
	}
	f := Finding{File: e.File, Line: e.Line, Option: e.Name, Value: e.Value, Standing: standingOf(e.Name), Note: note,
		Fatal: fatal, Warning: warning}
	at := -1
	for i := range c.Findings {
		have := &c.Findings[i]
		if have.File != f.File || have.Line != f.Line || have.Option != f.Option ||
			f.File == "" && have.Value != f.Value {
			continue
		}
		at = i
		if !have.Fatal && !have.Warning && have.Standing == f.Standing {
			have.Note, have.Fatal, have.Warning = join(f.Note, have.Note), fatal, warning
			return
		}
	}
	if at < 0 {
		c.Findings = append(c.Findings, f)
		return
	}
	c.Findings = slices.Insert(c.Findings, at+1, f)
}
