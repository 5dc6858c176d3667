package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"uwsgi/internal/option"
)

// apply carries the pairs out in order and judges each.
func (r *reader) apply() *option.Settings {
	s := option.Default()
	s.Files = r.files
	s.Env = append(s.Env, r.earlyEnv...)
	s.Opt, s.Magic = map[string]*string{}, r.magicTable()
	strict := r.strict()
	last := map[*option.Row]*pair{}
	var envdirs []option.EnvOp
	for _, p := range r.pairs {
		if p.Given {
			value := p.Value
			s.Opt[p.Key] = &value
		} else {
			s.Opt[p.Key] = nil
		}
		row, known := option.Lookup(p.Key)
		if !known {
			r.judgeUnknown(p, strict)
			continue
		}
		if row.CLIOnly {
			r.doubt(p, "", errors.New("this counts on the command line only"))
			continue
		}
		switch row.Name {
		case "envdir":
			envdirs = append(envdirs, r.envdir(p, false)...)
			r.find(p, option.Honoured.String(), note(p, row))
		case "print":
			r.print = append(r.print, p.Value)
			r.find(p, option.Honoured.String(), "")
		case "show-config":
			on, err := r.asValue(p).Bool()
			r.showConfig = on
			r.settle(p, row, err, "")
		default:
			r.applyRow(s, p, row, last)
		}
	}
	s.Env = append(s.Env, envdirs...) // they override env
	s.Name = r.instanceName(s)
	return s
}

func (r *reader) asValue(p *pair) option.Value {
	return option.Value{Name: p.Key, Text: p.Value, Given: p.Given, Origin: p.Origin}
}

func (r *reader) applyRow(s *option.Settings, p *pair, row *option.Row, last map[*option.Row]*pair) {
	v := r.asValue(p)
	if name := r.atRunTime(p, row); strings.ContainsAny(name, " \t|/") {
		r.fault(p, row.Standing.String(), &option.Error{Err: fmt.Errorf("$(%s) is a variable of the "+
			"environment, and none has such a name", name),
			Hint: "what a command prints is @(exec://" + name + ")", Warn: true})
		return
	} else if name != "" {
		r.find(p, row.Standing.String(), join("$("+name+") is not set here: set at run time",
			cutNote(p)))
		return
	}
	switch {
	case row.Standing != option.Honoured:
		var err error
		standing := row.Standing
		if row.Judge != nil {
			if err = row.Judge(v); err != nil {
				standing = option.Refused
			}
		}
		switch {
		case err != nil:
		case row.Standing == option.Refused && row.TakesValue() && blank(p) && !row.Guards:
			err = &option.Error{Err: errors.New("no value; the line is left out"), Hint: "take it out", Warn: true}
			standing = option.NotNeeded
		case row.Fatal:
			err = &option.Error{Err: errors.New("refused, since going on without it would be wrong"), Hint: row.Note}
		}
		if row.Standing == option.Refused && err == nil && switchedOff(v, row) {
			r.find(p, option.NotNeeded.String(), "switched off anyway")
			return
		}
		if askers := row.Askers(); err == nil && askers != nil && !slices.ContainsFunc(askers, r.asks) {
			r.find(p, option.NotNeeded.String(), "it tunes "+askers[0]+", which nothing here asks for")
			return
		}
		if err != nil {
			r.fault(p, standing.String(), err)
			return
		}
		r.find(p, standing.String(), row.Note)
	case blank(p) && !p.mechanics && row.TakesValue() && (row.Repeat || row.Kind == option.Path):
		// In a list, or as a path, it would be taken for the folder the server stands in, or for
		// what matches everything.
		what, example := "a value", row.Kind.Placeholder()
		if row.Kind == option.Path {
			what, example = "a path", "/path"
		}
		r.settle(p, row, &option.Error{Err: errors.New(what + " is expected; the line is left out"),
			Hint: "write " + p.Key + " = " + example, Warn: true}, "")
	case row.Set != nil && !p.mechanics:
		err := row.Set(s, v)
		if blank(p) && !(row.Guards && r.root()) {
			if out := leftOut(err); out != err {
				r.settle(p, row, out, "")
				return
			}
		}
		text := note(p, row)
		if before := last[row]; before != nil && !row.Repeat && before.Value != p.Value {
			text = join(text, replaced(before))
			if before.Key != p.Key && err == nil && before.source == fromFile && p.source == fromFile &&
				row.Group != "Application" {
				err = &option.Error{Err: fmt.Errorf("%s, the same option, is %s at %s; the last one counts", before.Key,
					before.Value, place(before)),
					Hint: "keep one of the two", Warn: true}
			}
		}
		last[row] = p
		if err == nil && row.Kind != option.Command {
			err = unresolved(p, row)
		}
		r.settle(p, row, err, text)
	default:
		r.settle(p, row, nil, note(p, row))
	}
}

// blank reports that a value is written and empty: "env =" of a template whose variable is not set.
func blank(p *pair) bool { return p.Given && strings.TrimSpace(p.Value) == "" }

// root reports that this process could give up rights.
func (r *reader) root() bool {
	uid, _ := r.host.User()
	return uid == 0
}

// leftOut makes a fault of an empty value one that start-up survives: it asks for nothing, and a
// server that is down for it helps nobody.
func leftOut(err error) error {
	var e *option.Error
	if !errors.As(err, &e) || e.Warn {
		return err
	}
	return &option.Error{Err: fmt.Errorf("%w; the line is left out", e.Err), Hint: e.Hint, Warn: true}
}

// atRunTime is the environment variable that a value waits for, "" for none: a check happens where
// the server does not run, and cannot say what the value will be.
func (r *reader) atRunTime(p *pair, row *option.Row) string {
	if !r.checking || row.Standing != option.Honoured || row.Kind.Raw() || row.Kind == option.HookLine {
		return ""
	}
	_, rest, ok := strings.Cut(p.Value, "$(")
	name, _, closed := strings.Cut(rest, ")")
	if !ok || !closed || name == "_" || name == "" {
		return ""
	}
	r.awaited[row.Name] = true
	return name
}

// asks reports whether an option of that name stands somewhere with a value.
func (r *reader) asks(name string) bool {
	return slices.ContainsFunc(r.pairs, func(p *pair) bool {
		row, ok := option.Lookup(p.Key)
		return ok && row.Name == name && !blank(p) && !p.mechanics
	})
}

// switchedOff: "http-auto-gzip = false" asks for nothing.
func switchedOff(v option.Value, row *option.Row) bool {
	if row.Kind != option.Flag || row.Fatal {
		return false
	}
	on, _ := v.Bool()
	return !on
}

// settle files the finding of a pair whose row is known.
func (r *reader) settle(p *pair, row *option.Row, err error, text string) {
	if err != nil {
		r.fault(p, row.Standing.String(), err)
		if text != "" && text != row.Note {
			f := &r.findings[len(r.findings)-1]
			f.Note = join(f.Note, text)
		}
		return
	}
	r.find(p, row.Standing.String(), text)
}

// note is what is worth knowing of a pair that is honoured.
func note(p *pair, row *option.Row) string {
	text := ""
	if p.cut != "" {
		text = cutWords + clip(p.cut)
	}
	if row.Kind.Raw() && p.source == fromFile {
		if _, comment := cutComment(p.Value); comment != "" {
			text = join(text, "the whole line is the value, "+clip(comment)+" included")
		}
	}
	return text
}

func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func place(p *pair) string {
	if p.Origin.File == "" {
		return "the command line"
	}
	return fmt.Sprintf("line %d", p.Origin.Line)
}

func replaced(before *pair) string {
	value := before.Value
	if value == "" {
		value = "the one"
	}
	if before.source == fromEnviron {
		return "replaces " + value + " of the environment"
	}
	return "replaces " + value + " of " + place(before)
}

// unresolved warns of what looks as if it would be replaced in a value that is no template.
func unresolved(p *pair, row *option.Row) error {
	if row.Kind == option.Template {
		return nil
	}
	if row.Kind == option.Path && strings.HasPrefix(p.Value, "~/") {
		return &option.Error{Err: errors.New("~ is a folder of that name here, as under uWSGI"),
			Hint: "write $(HOME)" + p.Value[1:], Warn: true}
	}
	if len(p.undefined) > 0 {
		name := p.undefined[0]
		if name == "_" {
			return &option.Error{Err: errors.New("%(_) stands outside a for or if block"),
				Hint: "write the value", Warn: true}
		}
		return &option.Error{Err: fmt.Errorf("%%(%s) is not defined and stays as it is", name),
			Hint: nearVariable(name), Warn: true}
	}
	if len(p.unset) > 0 {
		name := p.unset[0]
		if name == "_" {
			return &option.Error{Err: errors.New("$(_) is an environment variable"),
				Hint: "write %(_) for the item of the block", Warn: true}
		}
		return &option.Error{Err: fmt.Errorf("the environment variable %s is not set; $(%s) stays as it is", name,
			name),
			Hint: "set it, or write $(" + name + ":-default)", Warn: true}
	}
	return nil
}

func nearVariable(name string) string {
	return "define it with a line " + name + " = …"
}

// strict reports whether unknown keys are errors: the last word counts.
func (r *reader) strict() bool {
	on := false
	for _, p := range r.pairs {
		if p.Key == "strict" {
			on, _ = r.asValue(p).Bool()
		}
	}
	return on
}

// judgeUnknown judges a key that is no option: a variable that something uses, an option of the
// user's, or a slip.
func (r *reader) judgeUnknown(p *pair, strict bool) {
	if _, ok := r.declared[p.Key]; ok {
		r.find(p, option.Honoured.String(), "an option of yours, declared with declare-option")
		return
	}
	if p.mechanics {
		return // reported where it was read
	}
	if p.source == fromEnviron {
		return // a variable for %(name), or one of another program's
	}
	hint := r.suggestion(p)
	if strict && !r.holders[p.Key] {
		if hint == "" {
			hint = "under strict write set-placeholder = " + p.Key + "=" + p.Value
		}
		r.fault(p, unknown, &option.Error{Err: errors.New("[strict-mode] unknown config directive"), Hint: hint})
		return
	}
	if r.used[p.Key] || r.holders[p.Key] {
		r.find(p, option.Honoured.String(), join("a variable of yours", cutNote(p)))
		return
	}
	text := "no such option, and nothing uses it as a variable"
	if hint != "" {
		text += ": " + hint
	}
	r.find(p, unknown, join(text, cutNote(p)))
}

func cutNote(p *pair) string {
	if p.cut == "" {
		return ""
	}
	return cutWords + clip(p.cut)
}

// maxGuesses bounds the names that are looked for: a file with more unknown keys is no
// configuration.
const maxGuesses = 100

// suggestion says what was probably meant.
func (r *reader) suggestion(p *pair) string {
	key := p.Key
	if r.guesses++; r.guesses > maxGuesses {
		return ""
	}
	near, ok := option.Suggest(key)
	row, _ := option.Lookup(near)
	if !ok || row.CLIOnly && p.source == fromFile {
		return ""
	}
	first, rest, spaced := strings.Cut(key, " ")
	colonKey, afterColon, colon := strings.Cut(key, ":")
	if row.Kind == option.Address && strings.HasSuffix(colonKey, " ") && !strings.HasPrefix(afterColon, " ") {
		colon = false // http :8000
	}
	switch {
	case len(key) == 1:
		return "-" + key + " is for the command line; write " + near + " = " + p.Value
	case colon && strings.EqualFold(strings.TrimSpace(colonKey), near):
		value := strings.TrimSpace(afterColon)
		if p.Value != "" {
			value += "=" + p.Value
		}
		return "write an equals sign: " + near + " = " + value
	case spaced && strings.EqualFold(first, near):
		value := strings.TrimSpace(rest)
		if p.Value != "" {
			value += "=" + p.Value
		}
		return "write " + near + " = " + value
	}
	return "did you mean " + near + "?"
}
