package redis

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	for _, parts := range [][]string{{"+"}, {"get", "", "\x00\xff"}, {"x", string(make([]byte, 70000))}} {
		if err := WriteFrame(&b, parts...); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFrame(&b); err != nil || !slices.Equal(got, parts) {
			t.Errorf("%d parts: %d, %v", len(parts), len(got), err)
		}
	}
	for _, raw := range []string{"\x02\x00\x00\x00ab", "\x08\x00\x00\x00\x09\x00\x00\x00abcd", "\xff\xff\xff\xff"} {
		if got, err := ReadFrame(bytes.NewReader([]byte(raw))); err == nil {
			t.Errorf("%q: %q", raw, got)
		}
	}
}

// TestMissingAgent: whoever has not installed it is told so.
func TestMissingAgent(t *testing.T) {
	_, err := Start(filepath.Join(t.TempDir(), Binary), nil, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "is not installed") {
		t.Error(err)
	}
}

// What an agent says without ever ending the line is printed in pieces, and not kept.
func TestEndlessLine(t *testing.T) {
	var printed []string
	l := &lines{print: func(line string) { printed = append(printed, line) }}
	for range 100 {
		if _, err := l.Write(bytes.Repeat([]byte{'x'}, 1000)); err != nil {
			t.Fatal(err)
		}
		if len(l.rest) > longestLine {
			t.Fatalf("%d bytes are kept", len(l.rest))
		}
	}
	if _, err := l.Write([]byte("end\nnext")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(printed, ""); got != strings.Repeat("x", 100_000)+"end" || string(l.rest) != "next" {
		t.Errorf("%d bytes in %d lines, rest %q", len(got), len(printed), l.rest)
	}
}
