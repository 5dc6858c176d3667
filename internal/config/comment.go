package config

import "strings"

// cutComment splits a value from an inline comment: a "#" or ";" after a blank (or at the very
// beginning), outside quotes. A backslash in front keeps it in the value.
func cutComment(s string) (value, comment string) {
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			i++ // whatever follows stands for itself
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && opensQuote(s, i):
			quote = c
		case (c == '#' || c == ';') && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t'):
			return strings.TrimRight(s[:i], " \t"), s[i:]
		}
	}
	return s, ""
}

// opensQuote reports that the quote at i begins a quoted part: it does not stand behind a letter or
// digit (it's), and there is another one to close it.
func opensQuote(s string, i int) bool {
	if i > 0 && isWord(s[i-1]) {
		return false
	}
	for j := i + 1; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case s[i]:
			return true
		}
	}
	return false
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// unescape takes off the backslash that kept a "#" or ";" after a blank from being a comment.
func unescape(s string) string {
	if !strings.Contains(s, `\#`) && !strings.Contains(s, `\;`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '#' || s[i+1] == ';') &&
			(i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// quotes open and end a value.
var quotes = []struct{ open, end string }{{`"`, `"`}, {"'", "'"}, {"“", "”"}, {"”", "”"}, {"‘", "’"}}

// unquote takes the quotes off a value that is quoted as a whole, those that web pages make of
// plain ones too. Quotes inside stay, as in uWSGI.
func unquote(s string) string {
	for _, q := range quotes {
		inner, opened := strings.CutPrefix(s, q.open)
		inner, ended := strings.CutSuffix(inner, q.end)
		if opened && ended && !strings.Contains(inner, q.end) {
			return inner
		}
	}
	return s
}
