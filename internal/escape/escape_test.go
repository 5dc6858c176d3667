package escape

import "testing"

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
