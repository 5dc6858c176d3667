package config

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"uwsgi/internal/option"
)

// block is a for or if whose lines are being collected. It is the reader's, not a file's: it may
// close in another file.
type block struct {
	opener *pair
	row    string // name of the opener's row
	body   []*pair
	depth  int // blocks open inside the body
}

// blockRow returns the name of the row if key opens or closes a block.
func blockRow(key string) string {
	row, ok := option.Lookup(key)
	if !ok || row.Kind != option.Block && row.Name != "if-reload" && row.Name != "if-not-reload" {
		return ""
	}
	return row.Name
}

// collect takes the pair if it belongs to a block.
func (r *reader) collect(p *pair) bool {
	name := blockRow(p.Key)
	if r.open == nil {
		switch name {
		case "":
			return false
		case "endfor", "else":
			p.mechanics = true
			r.push(p)
			if name == "else" {
				r.doubt(p, "write it inside an if block", errors.New("there is no if to be the other branch of"))
			}
			return true
		}
		p.mechanics = true
		if r.item != nil {
			p.Value = strings.ReplaceAll(p.Value, "%(_)", *r.item)
		}
		r.push(p)
		r.open = &block{opener: p, row: name}
		return true
	}
	switch {
	case name == "endfor" && r.open.depth == 0:
		b := r.open
		r.open = nil
		r.runBlock(b)
		p.mechanics = true
		r.push(p)
		return true
	case name == "endfor":
		r.open.depth--
	case name != "" && name != "else":
		r.open.depth++
	}
	r.open.body = append(r.open.body, p)
	return true
}

// closeOpen ends a block that no line closed: everything after its opener was inside.
func (r *reader) closeOpen() {
	for r.open != nil && !r.stopped() {
		b := r.open
		r.open = nil
		r.doubt(b.opener, "write endif or endfor where it ends",
			errors.New("the block is never closed: every line after it belongs to it"))
		r.runBlock(b)
	}
}

// runBlock feeds the body back: not at all, once, or once an item. Within a loop each line is
// repeated for itself, as uWSGI does; a block inside is repeated whole.
func (r *reader) runBlock(b *block) {
	outer := r.item
	defer func() { r.item = outer }()
	p := b.opener
	p.Value = r.expandNow(p)
	if strings.HasPrefix(b.row, "for") {
		items, err := r.items(b)
		if err != nil {
			r.problem(p, "", err)
			return
		}
		for _, chunk := range chunks(b.body) {
			for i := range items {
				if r.stopped() {
					return
				}
				r.feed(chunk, &items[i])
			}
		}
		return
	}
	taken, subject, err := r.condition(b)
	if err != nil {
		r.problem(p, "", err)
		return
	}
	yes, no := branches(b.body)
	if !taken {
		yes = no
	}
	if subject == nil {
		subject = outer
	}
	r.feed(yes, subject)
}

// feed adds copies of the pairs with %(_) standing for item.
func (r *reader) feed(body []*pair, item *string) {
	was := r.item
	r.item = item
	for _, p := range body {
		if r.stopped() {
			break
		}
		again := *p
		r.add(&again)
	}
	r.item = was
}

// chunks splits a body into single lines and whole blocks.
func chunks(body []*pair) [][]*pair {
	var out [][]*pair
	from, depth := 0, 0
	for i, p := range body {
		switch name := blockRow(p.Key); {
		case name == "endfor":
			depth = max(0, depth-1)
		case name != "" && name != "else":
			depth++
		}
		if depth == 0 {
			out = append(out, body[from:i+1])
			from = i + 1
		}
	}
	if from < len(body) {
		out = append(out, body[from:])
	}
	return out
}

// branches splits a body at its own else.
func branches(body []*pair) (yes, no []*pair) {
	depth := 0
	for i, p := range body {
		switch name := blockRow(p.Key); {
		case name == "else" && depth == 0:
			return body[:i], body[i+1:]
		case name == "endfor":
			depth--
		case name != "" && name != "else":
			depth++
		}
	}
	return body, nil
}

// maxItems bounds for-times.
const maxItems = 10_000

func (r *reader) items(b *block) ([]string, error) {
	v := b.opener.Value
	switch b.row {
	case "for":
		return strings.FieldsFunc(v, func(c rune) bool { return c == ' ' }), nil
	case "for-times":
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil {
			r.doubt(b.opener, "write for-times = N", errors.New("a number is expected; without one it counts as 0"))
			return nil, nil
		}
		if n < 0 || n > maxItems {
			return nil, fmt.Errorf("%q is no number from 0 to %d", v, maxItems)
		}
		items := make([]string, n)
		for i := range items {
			items[i] = strconv.Itoa(i + 1)
		}
		return items, nil
	case "for-glob":
		paths, err := r.host.Glob(v)
		if err != nil {
			return nil, fmt.Errorf("glob %q: %w", v, err)
		}
		if len(paths) == 0 {
			return []string{v}, nil
		}
		return paths, nil
	}
	if blank(b.opener) {
		r.doubt(b.opener, "write for-readline = FILE", errors.New("a path is expected; the block is left out"))
		return nil, nil
	}
	text, err := r.host.ReadFile(r.abs(v)) // for-readline: a missing file is an empty one, with a warning
	if err != nil {
		r.doubt(b.opener, "", err)
		return nil, nil
	}
	if len(text) == 0 {
		return nil, nil
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], "\r")
	}
	return lines, nil
}

// condition tests an if block and returns what %(_) stands for in it, nil = nothing.
func (r *reader) condition(b *block) (taken bool, subject *string, _ error) {
	name, want := b.row, true
	if rest, ok := strings.CutPrefix(name, "if-not-"); ok {
		name, want = "if-"+rest, false
	}
	v := b.opener.Value
	subject = &v
	switch name {
	case "if-env", "if-opt":
		key, equal, hasEqual := strings.Cut(v, "=")
		value, set := r.environ[key]
		if name == "if-opt" {
			r.used[key] = true
			p, ok := r.first[key]
			if set = ok; ok {
				value = p.Value
			}
		}
		subject = nil
		if set {
			subject = &value
		}
		taken = set && (!hasEqual || value == equal)
	case "if-exists":
		taken = r.host.Readable(r.abs(v))
	case "if-file":
		st, err := r.host.Stat(r.abs(v))
		taken = err == nil && st.Mode().IsRegular()
	case "if-dir":
		st, err := r.host.Stat(r.abs(v))
		taken = err == nil && st.IsDir()
	case "if-hostname", "if-hostname-match":
		host, err := r.host.Hostname()
		if err != nil {
			return false, nil, err
		}
		if name == "if-hostname" {
			taken = host == v
			break
		}
		re, err := option.CompilePattern(v)
		if err != nil {
			return false, nil, err
		}
		taken = re.MatchString(host)
	case "if-plugin":
		taken = option.BuiltinPlugin(v)
	case "if-reload":
		n, _ := strconv.Atoi(r.environ["UWSGI_RELOADS"])
		taken, subject = n > 0, nil
	default:
		return false, nil, fmt.Errorf("%s: %w", b.row, os.ErrInvalid)
	}
	return taken == want, subject, nil
}
