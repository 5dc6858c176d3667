package config

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"uwsgi/internal/option"
)

// The exit statuses of `uwsgi check`, the gravest that applies.
const (
	AllHonoured    = 0 // every line is honoured, or not needed
	WouldNotStart  = 1 // an error: start-up would stop
	RefusedPresent = 2 // it would start, without something that is asked for
	DoubtPresent   = 3 // it would start, but a key is unknown or a value hardly what was meant
)

// WriteCheck writes the judgement of every line, as text or as one JSON object a line, and returns
// the exit status.
func WriteCheck(w io.Writer, c *Config, asJSON bool) (exit int) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	var errs, refused, doubts, honoured int
	for _, f := range c.Findings {
		switch {
		case f.Fatal:
			errs++
		case f.Standing == option.Refused.String():
			refused++
		case f.Standing == unknown || f.Warning:
			doubts++
		default:
			honoured++
		}
		if asJSON {
			f.Value, f.Note = option.Public(f.Value), option.Public(f.Note)
			line, err := json.Marshal(f)
			if err == nil {
				out.Write(append(line, '\n'))
			}
			continue
		}
		fmt.Fprintln(out, f.text())
	}
	if !asJSON {
		fmt.Fprintf(out, "%d honoured, %d refused, %d doubtful, %d wrong", honoured, refused, doubts, errs)
		if errs > 0 {
			fmt.Fprint(out, ": it would not start")
		}
		fmt.Fprintln(out)
	}
	switch {
	case errs > 0:
		return WouldNotStart
	case refused > 0:
		return RefusedPresent
	case doubts > 0:
		return DoubtPresent
	}
	return AllHonoured
}

// text is one line of the check: PLACE: standing: option = value: note.
func (f Finding) text() string {
	word := f.Standing
	switch {
	case f.Fatal:
		word = "error"
	case f.Warning && f.Standing != option.Refused.String() && f.Standing != unknown:
		word = "warning"
	}
	var b strings.Builder
	b.WriteString(f.at())
	b.WriteString(word)
	if f.Option != "" {
		b.WriteString(": " + f.Option)
	}
	if f.Value != "" {
		b.WriteString(" = " + oneLine(option.Public(f.Value)))
	}
	if f.Note != "" {
		b.WriteString(": " + oneLine(option.Public(f.Note)))
	}
	return b.String()
}

// at is FILE:LINE and a separator, or where else the pair came from.
func (f Finding) at() string {
	if f.environ {
		return "environment: "
	}
	if f.File == "" {
		return "command line: "
	}
	return fmt.Sprintf("%s:%d: ", f.File, f.Line)
}

// oneLine keeps what a file brought in from breaking the report's lines.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return s
	}
	q := fmt.Sprintf("%q", s)
	return q[1 : len(q)-1]
}

// StartReport is the check shortened for the log at start: what is refused, unknown or doubtful,
// and in one line the comments that were cut off values.
func (c *Config) StartReport() []string {
	var lines []string
	cut, first := 0, ""
	for _, f := range c.Findings {
		if f.Fatal || f.Warning || f.Standing == unknown || f.Standing == option.Refused.String() {
			lines = append(lines, f.text())
			continue
		}
		if strings.Contains(f.Note, cutWords) {
			if cut++; cut == 1 {
				first = strings.TrimSuffix(f.at(), ": ")
			}
		}
	}
	if cut > 0 {
		lines = append(lines, fmt.Sprintf("%s: %d inline comments were taken off values, "+
			"here and below; `uwsgi check` shows each", first, cut))
	}
	return lines
}

// cutWords begin the note of a value whose inline comment was cut off.
const cutWords = "read up to the comment "
