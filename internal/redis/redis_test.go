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
