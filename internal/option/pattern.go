package option

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Pattern is a regular expression of a configuration. uWSGI's are PCRE, Go's have no look-around;
// the two forms of it that people write where a pattern is only to match or not are understood:
// ^(?!X)…, and ^((?!X).)*$ for "X is nowhere".
type Pattern struct {
	re      *regexp.Regexp // nil = whatever stands in others is all
	demands []demand
}

// demand is a further expression that must match, or must not.
type demand struct {
	re  *regexp.Regexp
	not bool
}

// CompilePattern reads a pattern.
func CompilePattern(text string) (*Pattern, error) {
	p := &Pattern{}
	var err error
	if p.re, err = regexp.Compile(text); err == nil {
		return p, nil
	}
	flags := flagGroup.FindString(text)
	rest, anchored := strings.CutPrefix(text[len(flags):], "^")
	if !anchored {
		if m := nowhere.FindStringSubmatch(rest); m != nil && strings.HasSuffix(strings.TrimSuffix(rest, "$"), "*") {
			return p, nil // the empty text at the end matches in any case
		}
		return nil, notRE2(err)
	}
	if m := nowhere.FindStringSubmatch(rest); m != nil {
		if re, inner := regexp.Compile(flags + m[1]); inner == nil {
			p.demands = append(p.demands, demand{re, true})
			return p, nil
		}
	}
	for strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?=") {
		end := closing(rest)
		if end < 0 {
			return nil, err
		}
		re, inner := regexp.Compile(flags + "^(?:" + rest[3:end] + ")")
		if inner != nil {
			return nil, notRE2(inner)
		}
		p.demands = append(p.demands, demand{re, rest[2] == '!'})
		rest = rest[end+1:]
	}
	if p.re, err = regexp.Compile(flags + "^" + rest); err != nil {
		return nil, notRE2(err)
	}
	return p, nil
}

var (
	flagGroup = regexp.MustCompile(`^\(\?[imsU]+\)`)
	nowhere   = regexp.MustCompile(`^\((?:\?:)?\(\?!(.*)\)\.\)[*+]\$?$`)
)

// notRE2 says what can be written, where PCRE is.
func notRE2(err error) error {
	var e *syntax.Error
	if errors.As(err, &e) && slices.Contains([]syntax.ErrorCode{syntax.ErrInvalidPerlOp, syntax.ErrInvalidNamedCapture,
		syntax.ErrInvalidEscape}, e.Code) {
		return fmt.Errorf("%w: the syntax is RE2; of look-around only ^(?!X) and ^((?!X).)*$ are understood, and no "+
			"back-references", err)
	}
	return err
}

// closing is the place of the parenthesis that closes the one s begins with, -1 = none.
func closing(s string) int {
	depth, class := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if strings.HasPrefix(s[i+1:], "]") || strings.HasPrefix(s[i+1:], "^]") { // the first stands for itself
				i = i + strings.IndexByte(s[i:], ']')
			}
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// Match reports whether b matches.
func (p *Pattern) Match(b []byte) bool {
	for _, d := range p.demands {
		if d.re.Match(b) == d.not {
			return false
		}
	}
	return p.re == nil || p.re.Match(b)
}

// MatchString reports whether s matches.
func (p *Pattern) MatchString(s string) bool {
	for _, d := range p.demands {
		if d.re.MatchString(s) == d.not {
			return false
		}
	}
	return p.re == nil || p.re.MatchString(s)
}
