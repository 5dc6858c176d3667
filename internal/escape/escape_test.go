package escape

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestString(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"GET /ä?x=1 \"q\" \\":     "GET /ä?x=1 \"q\" \\",
		"a\nb\r\tc\x00":           `a\x0ab\x0d\x09c\x00`,
		"\x1b[2J\x7f":             `\x1b[2J\x7f`,
		"\u009b31m \u202e \u2028": `\xc2\x9b31m \xe2\x80\xae \xe2\x80\xa8`,
		"cut \xe2\x82":            `cut \xe2\x82`,
	} {
		if got := String(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := string(AppendQuoted([]byte("x"), []byte("\"\\\n"))); got != `x\"\\\x0a` {
		t.Errorf("quoted: %q", got)
	}
}

// FuzzJSON: whatever the text, it is the inside of a JSON string, holds nothing raw that is not
// printed, and says the same where it is UTF-8.
func FuzzJSON(f *testing.F) {
	f.Add("a\"\\b\n\x00\x7f\xff\u009b\u202e\U000e0001\ufffd\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, text string) {
		got := AppendJSON([]byte(`"`), []byte(text))
		var back string
		if err := json.Unmarshal(append(got, '"'), &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if strings.ContainsFunc(string(got), func(r rune) bool { return !unicode.IsPrint(r) }) ||
			utf8.ValidString(text) && back != text {
			t.Fatalf("%q became %q, and then %q", text, got, back)
		}
	})
}
