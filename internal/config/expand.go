package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"uwsgi/internal/option"
)

// maxValue bounds an expanded value: names that double each other would fill the memory.
const maxValue = 1 << 20

var errTooLong = errors.New("the value grows beyond 1 MiB by expansion")

// expandAll runs the three passes over every value: $(ENV) and @(file) first, so that what they
// bring in can hold %(name).
func (r *reader) expandAll() {
	for _, p := range r.pairs {
		if !p.mechanics {
			r.expandOutside(p)
		}
	}
	for _, p := range r.pairs {
		if !p.mechanics {
			value, err := r.placeholders(p.Value, []string{}, &p.undefined)
			if err != nil {
				r.problem(p, "", err)
				continue
			}
			if p.Value != value {
				p.Value = value
			}
		}
	}
}

// expandNow expands the value of a pair that acts while reading, with what is known so far.
func (r *reader) expandNow(p *pair) string {
	r.expandOutside(p)
	value, err := r.placeholders(p.Value, nil, &p.undefined)
	if err != nil {
		r.problem(p, "", err)
		return p.Value
	}
	return value
}

// expandOutside runs the passes that ask the machine: $(ENV), then @(file).
func (r *reader) expandOutside(p *pair) {
	value, err := splice(p.Value, '$', 0, func(name string) (string, bool, error) {
		v, ok := r.env(name)
		if !ok {
			p.unset = append(p.unset, name)
		}
		return v, ok, r.spend(len(v))
	})
	if err == nil {
		value, err = splice(value, '@', 0, func(name string) (string, bool, error) {
			text, err := r.content(name)
			if err == nil {
				err = r.spend(len(text))
			}
			return text, err == nil, err
		})
	}
	if err != nil {
		r.problem(p, "", err)
		return
	}
	p.Value = value
}

// content is what @(name) stands for, one line end at its end taken off. A source is read once, it
// may be a command.
func (r *reader) content(name string) (string, error) {
	if text, ok := r.contents[name]; ok {
		return text, nil
	}
	raw, err := r.readSource(name)
	if err != nil {
		return "", fmt.Errorf("@(%s): %w", name, err)
	}
	text := string(raw)
	if strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\r") {
		text = text[:len(text)-1]
	}
	r.contents[name] = text
	return text, nil
}

// budget bounds the work of all expansions of one configuration: names that use each other twice
// would run for ever.
const budget = 64 << 20

// spend counts one replacement of n bytes against the budget.
func (r *reader) spend(n int) error {
	r.spent += n + 64
	if r.spent > budget {
		return errors.New("the expansions of this configuration do not come to an end")
	}
	return nil
}

// env looks a variable up: NAME, NAME:-default (unset or empty) or NAME-default (unset).
func (r *reader) env(name string) (string, bool) {
	if v, ok := r.environ[name]; ok {
		return v, true
	}
	if base, def, ok := strings.Cut(name, ":-"); ok {
		if v := r.environ[base]; v != "" {
			return v, true
		}
		return def, true
	}
	if base, def, ok := strings.Cut(name, "-"); ok && isName(base) {
		if v, set := r.environ[base]; set {
			return v, true
		}
		return def, true
	}
	return "", false
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) {
			return false
		}
	}
	return s != ""
}

// maxNesting bounds what is found inside what was found.
const maxNesting = 16

// splice replaces every SYMBOL(name) in s. What comes in is looked through again; a name that is
// not known stays as it is, and so do SYMBOL() and an open parenthesis that nothing closes.
func splice(s string, symbol byte, depth int, lookup func(string) (string, bool, error)) (string, error) {
	at := opening(s, symbol, 0)
	if at < 0 || depth > maxNesting {
		return s, nil
	}
	var b strings.Builder
	from := 0
	for ; at >= 0; at = opening(s, symbol, at) {
		end := closing(s, at+2)
		if end < 0 || end == at+2 {
			at += 2
			continue
		}
		value, ok, err := lookup(s[at+2 : end])
		if err != nil {
			return s, err
		}
		if !ok {
			at += 2
			continue
		}
		if value, err = splice(value, symbol, depth+1, lookup); err != nil {
			return s, err
		}
		b.WriteString(s[from:at])
		b.WriteString(value)
		if b.Len() > maxValue {
			return s, errTooLong
		}
		at = end + 1
		from = at
	}
	b.WriteString(s[from:])
	return b.String(), nil
}

// opening finds SYMBOL followed by "(" at or after from.
func opening(s string, symbol byte, from int) int {
	for i := from; i+1 < len(s); i++ {
		if s[i] == symbol && s[i+1] == '(' {
			return i
		}
	}
	return -1
}

// closing finds the parenthesis that closes the one in front of from.
func closing(s string, from int) int {
	depth := 1
	for i := from; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// placeholders replaces %(name) and %(a + b). busy holds the names being replaced: a circle stays
// as it is.
func (r *reader) placeholders(s string, busy []string, undefined *[]string) (string, error) {
	return splice(s, '%', maxNesting, func(name string) (string, bool, error) {
		if strings.Contains(name, " ") {
			v, err := r.compute(name, busy, undefined)
			return v, err == nil, err
		}
		return r.value(name, busy, undefined)
	})
}

// value is the expanded value of the first pair of that key.
func (r *reader) value(name string, busy []string, undefined *[]string) (string, bool, error) {
	p, ok := r.first[name]
	if !ok {
		*undefined = append(*undefined, name)
		return "", false, nil
	}
	r.used[name] = true
	if slices.Contains(busy, name) { // defined by itself: it stays as it is
		*undefined = append(*undefined, name)
		return "", false, nil
	}
	if err := r.spend(len(p.Value)); err != nil {
		return "", false, err
	}
	if len(busy) > maxDepth {
		return "", false, errors.New("placeholders are nested too deep")
	}
	raw := p.Value
	if strings.Contains(raw, "$(") || strings.Contains(raw, "@(") {
		copied := *p
		r.expandOutside(&copied)
		raw = copied.Value
	}
	if !strings.Contains(raw, "%(") || keepsPlaceholders(name) {
		return raw, true, nil
	}
	v, err := r.placeholders(raw, append(slices.Clone(busy), name), undefined)
	return v, err == nil, err
}

// keepsPlaceholders: the variables of a log format are the request's, not ours.
func keepsPlaceholders(name string) bool {
	row, ok := option.Lookup(name)
	return ok && row.Name == "log-format"
}

// compute evaluates words from left to right: numbers, names, + - * / between them, ++ and -- for
// the sum so far; without an operator words are put one behind the other.
func (r *reader) compute(text string, busy []string, undefined *[]string) (string, error) {
	acc, op := "", byte(0)
	for _, word := range strings.Split(text, " ") {
		switch word {
		case "":
			continue
		case "+", "-", "*", "/":
			op = word[0]
			continue
		case "++":
			acc = strconv.FormatInt(atoi(acc)+1, 10)
			continue
		case "--":
			acc = strconv.FormatInt(atoi(acc)-1, 10)
			continue
		}
		operand := word
		if strings.Trim(word, "0123456789") != "" {
			v, _, err := r.value(word, busy, undefined)
			if err != nil {
				return "", err
			}
			operand = v
		}
		switch a, b := atoi(acc), atoi(operand); op {
		case '+':
			acc = strconv.FormatInt(a+b, 10)
		case '-':
			acc = strconv.FormatInt(a-b, 10)
		case '*':
			acc = strconv.FormatInt(a*b, 10)
		case '/':
			if b == 0 {
				acc = "0"
			} else if b == -1 {
				acc = strconv.FormatInt(-a, 10) // the one division that overflows
			} else {
				acc = strconv.FormatInt(a/b, 10)
			}
		default:
			acc += operand
		}
		op = 0
		if len(acc) > maxValue {
			return "", errTooLong
		}
	}
	return acc, nil
}

// atoi reads a decimal prefix, 0 without one.
func atoi(s string) int64 {
	s = strings.TrimLeft(s, " \t")
	end := 0
	if end < len(s) && (s[0] == '-' || s[0] == '+') {
		end++
	}
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return n
}
