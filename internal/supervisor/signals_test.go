package supervisor

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLookAtAFile: a file that is read is as it was; one that is written, appears or goes is not.
func TestLookAtAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if look(path) != "" {
		t.Error("it is not there")
	}
	if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(path, long, long); err != nil { // older than that reading it is noted
		t.Fatal(err)
	}
	before := look(path)
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if after := look(path); after != before {
		t.Errorf("it was read: %s, %s", before, after)
	}
	if err := os.WriteFile(path, []byte("bb"), 0o600); err != nil {
		t.Fatal(err)
	}
	if look(path) == before {
		t.Error("it was written")
	}
}
