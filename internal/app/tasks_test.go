package app

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestGroupRoom: the tightest of the control group and those above it counts, of both versions.
func TestGroupRoom(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"self": "4:pids:/box\n1:cpu:/other\n0::/a/b/c\n", "none": "0::/x\n",
		"pids/box/pids.max": "max\n", "pids/box/pids.current": "3\n",
		"a/b/pids.max": "30\n", "a/b/pids.current": "12\n", "a/b/c/pids.max": "100\n", "a/b/c/pids.current": "12\n", "a/pids.max": "max\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for self, want := range map[string]int{"self": 18, "none": math.MaxInt, "absent": math.MaxInt} {
		if got := groupRoom(filepath.Join(dir, self), dir); got != want {
			t.Errorf("%s: %d", self, got)
		}
	}
}
