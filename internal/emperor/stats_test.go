package emperor

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"uwsgi/internal/option"
)

func statsAt(t *testing.T, path string) (end func(), err error) {
	t.Helper()
	s := option.Default()
	s.Emperor.Stats = path
	return serveStats(s, make(chan chan *statsDocument), func(slog.Level, string, string, ...slog.Attr) {})
}

// TestStatsAddressIsNoWayToRemove: what has the statistics' name and is no socket that somebody has
// left stays.
func TestStatsAddressIsNoWayToRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if end, err := statsAt(t, path); err == nil {
		end()
		t.Error("it listens there")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file: %q %v", text, err)
	}
}

// TestStatsAddressLeadsNowhere: nobody has root make a socket, or remove one at the end, where he
// could not.
func TestStatsAddressLeadsNowhere(t *testing.T) {
	_, dir := tyranny(t)
	roots, his := filepath.Join(dir, "roots"), filepath.Join(dir, "his")
	for _, err := range []error{os.Mkdir(roots, 0o755), os.Mkdir(his, 0o755), os.Chown(his, owner, owner),
		os.Symlink(roots, filepath.Join(his, "run"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if end, err := statsAt(t, filepath.Join(his, "run", "stats")); err == nil {
		end()
		t.Error("it listens behind his link")
	}
	path := filepath.Join(his, "stats")
	end, err := statsAt(t, path)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Remove(path), os.WriteFile(filepath.Join(roots, "stats"), []byte("precious"), 0o600),
		os.Rename(his, his+"2"), os.Symlink(roots, his),
		os.Lchown(his, owner, owner)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	end()
	if _, err := os.Stat(filepath.Join(roots, "stats")); err != nil {
		t.Error("root's file was removed:", err)
	}
	end, err = statsAt(t, filepath.Join(roots, "own"))
	if err != nil {
		t.Fatal(err)
	}
	end()
	if _, err := os.Lstat(filepath.Join(roots, "own")); err == nil {
		t.Error("its socket stays behind")
	}
}
