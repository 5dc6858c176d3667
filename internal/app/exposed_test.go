package app

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"uwsgi/internal/needs"
)

// A configuration that the application's user can change is pointed out, whatever it is that he can
// change.
func TestHisConfigurations(t *testing.T) {
	needs.Root(t)
	dir, err := os.MkdirTemp("/tmp", "uwsgi-exposed")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	file := func(name string, uid, gid int, mode os.FileMode) error {
		return errors.Join(os.WriteFile(at(name), nil, 0o600), os.Chown(at(name), uid, gid), os.Chmod(at(name), mode))
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(at("his"), 0o755), os.Chown(at("his"), 33, 33),
		file("roots", 0, 0, 0o644), file("owned", 33, 0, 0o600),
		file("group", 0, 34, 0o664), file("read", 0, 34, 0o644), file("his/roots", 0, 0, 0o644),
		os.Symlink(at("roots"), at("his/link")),
		os.Symlink(at("his/roots"), at("link"))); err != nil {
		t.Fatal(err)
	}
	cred := &syscall.Credential{Uid: 33, Gid: 33, Groups: []uint32{34}}
	for name, want := range map[string]bool{"roots": false, "owned": true, "group": true, "read": false,
		"his/roots": true, "his/link": true, "link": true, "none": false} {
		if got := changes(cred, at(name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
