package emperor

import (
	"os"
	"path/filepath"
	"testing"
)

// TestStatsAddressIsNoWayToRemove: what has the statistics' name and is no socket that somebody has left stays.
func TestStatsAddressIsNoWayToRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if l, err := serveStats(path, make(chan chan *statsDocument), nil); err == nil {
		l.Close()
		t.Error("it listens there")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file: %q %v", text, err)
	}
}
