package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/ini.v1"

	"uwsgi/internal/option"
)

// iniOptions make ini.v1 read what uWSGI reads: "=" alone separates, there are no continuation
// lines, quotes stay. Inline comments are this package's affair (comment.go), because they depend
// on the option.
var iniOptions = ini.LoadOptions{
	KeyValueDelimiters:      "=",
	IgnoreContinuation:      true,
	IgnoreInlineComment:     true,
	PreserveSurroundedQuote: true,
	AllowBooleanKeys:        true,
}

// guard keeps ini.v1 from taking a value that begins with a backtick or three quotes for one of its
// multi-line values.
const guard = "\x00"

// ini reads the wanted section. ini.v1 keeps one value a key and forgets the order of repeated
// ones, which lists and blocks depend on: every line's key is therefore made unique by its line
// number, "12:key", and taken apart again.
func (f *file) ini(text string) {
	lines := strings.Split(strings.TrimPrefix(text, bom), "\n")
	var b strings.Builder
	b.Grow(len(text) + 8*len(lines))
	var headers []string
	lost := 0 // first line with a pair outside any section
	for i, line := range lines {
		line = strings.TrimFunc(line, unicode.IsSpace)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '[':
			if line = f.header(i+1, line); line == "" {
				continue
			}
			headers = append(headers, line)
		default:
			if len(headers) == 0 && lost == 0 {
				lost = i + 1
			}
			line = strconv.Itoa(i+1) + ":" + guarded(line)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	parsed, err := ini.LoadSources(iniOptions, []byte(b.String()))
	if err != nil {
		f.r.problem(f.whole(1), "", fmt.Errorf("read as ini: %w", err))
		return
	}
	section, err := parsed.GetSection(f.wanted())
	if lost > 0 && f.wanted() != ini.DefaultSection {
		f.r.doubt(f.whole(lost), "write the section header above them",
			errors.New("lines in front of the first section header are not read"))
	}
	if err != nil {
		f.missing(1, "section", headers)
		return
	}
	for _, key := range section.Keys() {
		number, name, ok := strings.Cut(key.Name(), ":")
		at, err := strconv.Atoi(number)
		if !ok || err != nil || at < 1 || at > len(lines) {
			continue // ini.v1 keeps the names it was given
		}
		value := strings.TrimPrefix(key.Value(), guard)
		if !strings.Contains(lines[at-1], "=") {
			value = ""
		}
		f.line(at, name, value, strings.Contains(lines[at-1], "="))
		if f.r.stopped() {
			return
		}
	}
}

// guarded puts the guard in front of a value that ini.v1 would read over several lines.
func guarded(line string) string {
	key, value, ok := strings.Cut(line, "=")
	trimmed := strings.TrimLeftFunc(value, unicode.IsSpace)
	if ok && (strings.HasPrefix(trimmed, "`") || strings.HasPrefix(trimmed, `"""`)) {
		return key + "=" + guard + trimmed
	}
	return line
}

// header returns the header as [name], blanks around the name and what stands behind it taken off.
func (f *file) header(at int, line string) string {
	end := strings.LastIndexByte(line, ']')
	if hash := strings.IndexAny(line, "#;"); hash >= 0 {
		if e := strings.LastIndexByte(line[:hash], ']'); e >= 0 {
			end = e // "[uwsgi] ; was [prod]"
		}
	}
	if end < 0 {
		f.r.problem(f.pair(at, line, ""), "write "+line+"]", errors.New("the section header is not closed"))
		return ""
	}
	name := strings.TrimSpace(line[1:end])
	if name == "" {
		f.r.doubt(f.pair(at, line, ""), "write [uwsgi]", errors.New("the section has no name"))
		name = "-" // whatever it holds is not asked for
	}
	return "[" + name + "]"
}

// blanks are taken off both ends of keys and values.
const blanks = " \t\r"

// line takes in one pair of the file.
func (f *file) line(at int, key, value string, hasEqual bool) {
	var cut string
	quoted := false
	if !hasEqual {
		key, cut = cutComment(key)
	} else if !keepsAll(key, value) {
		value, cut = cutComment(value)
		bare := unquote(unescape(value))
		quoted = len(bare) == len(value)-2
		value = bare
	}
	written := value
	key, value = strings.Trim(f.magic.expand(f, at, key, key), blanks), f.magic.expand(f, at, key, value)
	if !quoted {
		value = strings.Trim(value, blanks)
	}
	p := f.pair(at, key, value)
	p.cut = cut
	if m := strftime.FindStringSubmatch(written); m != nil && keepsAll(key, written) {
		f.r.doubt(p, "write %%"+m[1], fmt.Errorf("%%%s of date is replaced before the shell sees it", m[1]))
	}
	if broken := conflict(key, hasEqual); broken != "" {
		f.r.doubt(p, "", errors.New(broken))
		p.mechanics = true
		f.r.push(p)
		return
	}
	f.r.add(p)
}

// conflict recognises what a merge leaves behind.
func conflict(key string, hasEqual bool) string {
	switch {
	case strings.HasPrefix(key, "<<<<<<<") || strings.HasPrefix(key, ">>>>>>>") || key == "" && hasEqual:
		if key == "" {
			return "a line that begins with \"=\": the rest of an unresolved merge?"
		}
		return "the rest of an unresolved merge: both versions count, the last wins"
	}
	return ""
}

// strftime is a format for date(1) with a percent sign that is not doubled.
var strftime = regexp.MustCompile(`\bdate\b[^|;&]*?\+(?:[^|;&%]|%%)*%([A-Za-z])`)

// keepsAll reports that the value is kept to the last byte: shell commands and log templates have
// "#" and ";" of their own.
func keepsAll(key, value string) bool {
	row, ok := option.Lookup(key)
	if !ok {
		return false
	}
	if row.Kind == option.HookLine {
		action := strings.TrimPrefix(strings.TrimSpace(value), "!")
		if row.Name == "hook-touch" {
			_, action, _ = strings.Cut(action, " ")
		}
		return strings.HasPrefix(action, "exec:") || strings.HasPrefix(action, "safeexec:")
	}
	return row.Kind.Raw()
}
