// Package escape spells out what a terminal, or whoever reads a log, might obey or hide: whatever
// text of a client, of the application or of the wire gets into a line goes through here.
package escape

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Append appends text so that it stays within its line: as \xHH control bytes in all their forms
// (C1 too), line separators, changes of direction, and what is no UTF-8.
func Append(dst, text []byte) []byte { return escape(dst, text, false) }

// AppendQuoted is Append between quotation marks, which are escaped as Apache does, as is the
// backslash.
func AppendQuoted(dst, text []byte) []byte { return escape(dst, text, true) }

// String is Append for a string.
func String(s string) string { return string(Append(nil, []byte(s))) }

// Lines is String for text that may have several lines: newlines stay.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = String(line)
	}
	return strings.Join(lines, "\n")
}

const hex = "0123456789abcdef"

func escape(dst, text []byte, quoted bool) []byte {
	clean := 0
	for i := 0; i < len(text); {
		c, n := text[i], 1
		mark := quoted && (c == '"' || c == '\\')
		if c >= ' ' && c < 0x7f && !mark {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			var r rune
			if r, n = utf8.DecodeRune(text[i:]); unicode.IsPrint(r) && (r != utf8.RuneError || n > 1) {
				i += n
				continue
			}
		}
		dst = append(dst, text[clean:i]...)
		for _, b := range text[i : i+n] {
			if mark {
				dst = append(dst, '\\', b)
			} else {
				dst = append(dst, '\\', 'x', hex[b>>4], hex[b&15])
			}
		}
		i += n
		clean = i
	}
	return append(dst, text[clean:]...)
}

// AppendJSON appends text as it stands between the quotation marks of a JSON string (RFC 8259 §7).
// What Append spells out is \u00HH here, byte by byte where it is no UTF-8.
func AppendJSON(dst, text []byte) []byte {
	clean := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			var whole rune
			if whole, n = utf8.DecodeRune(text[i:]); whole != utf8.RuneError || n > 1 {
				if r = whole; unicode.IsPrint(r) {
					i += n
					continue
				}
			}
		}
		dst = append(dst, text[clean:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = appendUnit(appendUnit(dst, high), low)
		default:
			dst = appendUnit(dst, r)
		}
		i += n
		clean = i
	}
	return append(dst, text[clean:]...)
}

func appendUnit(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
