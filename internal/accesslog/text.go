package accesslog

import (
	"unicode"
	"unicode/utf8"
)

// AppendText appends text of the network or the application so that it stays within its line: as \xHH what a terminal, or whoever reads the log,
// might obey or hide, which is control bytes in all their forms (C1 too), line separators, changes of direction, and what is no UTF-8.
func AppendText(dst, text []byte) []byte { return appendText(dst, text, false) }

// appendText is AppendText; quoted: between quotation marks, which are then escaped as Apache does, as is the backslash.
func appendText(dst, text []byte, quoted bool) []byte {
	const hex = "0123456789abcdef"
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
