package units

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"uwsgi/internal/needs"
)

// TestLogfileFollowsNobody: a log file that root makes for an instance is a new one, and no link
// leads it away.
func TestLogfileFollowsNobody(t *testing.T) {
	needs.Root(t)
	const user = 4242
	dir, err := os.MkdirTemp("/run", "uwsgi-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.Mkdir(path("user"), 0o755), os.Chown(path("user"), user, user),
		os.WriteFile(path("precious"), []byte("precious"), 0o600), os.Symlink("precious", path("link")),
		os.Symlink("nothing", path("dangling")), os.Symlink("user", path("way")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, made := range map[string]bool{"new": true, "precious": false, "link": false, "dangling": false,
		"user/log": true, "way/log": true} {
		if err := makeLogfile(path(name), user, user); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		st, err := os.Lstat(path(name))
		if owned := err == nil && st.Sys().(*syscall.Stat_t).Uid == user; owned != made {
			t.Errorf("%s: made for the user: %v", name, owned)
		}
		if made && st.Mode().Perm() != logfileMode {
			t.Errorf("%s: mode %v", name, st.Mode())
		}
	}
	if _, err := os.Lstat(path("nothing")); err == nil {
		t.Error("a link was followed")
	}
	if st, err := os.Stat(path("precious")); err != nil || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Error("what is there has changed hands")
	}
}
