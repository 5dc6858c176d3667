package units

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/needs"
)

// TestPidfileFollowsNobody: root's pidfile goes where root alone decides, through nobody's folder
// or link, and never into what is there.
func TestPidfileFollowsNobody(t *testing.T) {
	needs.Root(t)
	const user = 4242
	dir, err := os.MkdirTemp("/run", "uwsgi-test-") // all folders above are root's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(dir, 0o755))
	path := func(name string) string { return filepath.Join(dir, name) }
	must(os.MkdirAll(path("precious"), 0o755))
	must(os.WriteFile(path("precious/file"), []byte("precious, and longer than any process id is"), 0o600))
	must(os.MkdirAll(path("user/run"), 0o755))
	must(os.Mkdir(path("shared"), 0o755))
	must(os.Chmod(path("shared"), 0o777|os.ModeSticky))
	for _, mine := range []string{"user", "user/run"} {
		must(os.Chown(path(mine), user, user))
	}
	link := func(target, name string) {
		must(os.Symlink(target, path(name)))
		must(os.Lchown(path(name), user, user))
	}
	// … and nobody else has a say in a file that is only root's, by whatever way it is reached.
	must(os.WriteFile(path("roots.ini"), nil, 0o644))
	must(os.WriteFile(path("open.ini"), nil, 0o666))
	must(os.Chmod(path("open.ini"), 0o666))
	must(os.Symlink("roots.ini", path("linked.ini")))
	must(os.Symlink("user/back.ini", path("about.ini")))
	link("../roots.ini", "user/back.ini")
	for name, alone := range map[string]bool{"roots.ini": true, "linked.ini": true, "open.ini": false,
		"about.ini": false, "user/back.ini": false, "none.ini": false} {
		if got := rootsFile(path(name)); got != alone {
			t.Errorf("only root's to change: %s: %v", name, got)
		}
	}
	link("../precious/file", "user/pid")
	link("../precious", "user/away")
	link("../precious", "shared/away")
	link("../precious/file", "shared/pid")
	must(os.Symlink("shared", path("roots")))
	for _, c := range []struct {
		name    string
		written bool
	}{
		{"user/run/pid", false}, // a folder of the user's own decides where it is
		{"user/away/file", false},
		{"shared/away/file", false},
		{"user/pid", true},   // in the user's folder: the link goes, what it leads to stays
		{"shared/pid", true}, // and so in a folder that all can write to
		{"roots/pid", true},  // root's own links lead on
		{"precious/pid", true},
	} {
		var said bytes.Buffer
		if code := run([]string{"--pidfile", path(c.name), "17"}, Host{}, manager{}, &said, &said); code != 0 ||
			said.Len() > 0 {
			t.Errorf("%s: %d %s", c.name, code, said.String())
		}
		st, err := os.Lstat(path(c.name))
		written := err == nil && st.Mode() == 0o644 && st.Sys().(*syscall.Stat_t).Uid == 0
		if written != c.written || written != RootWrites(path(c.name)) {
			t.Errorf("%s: written %v, want %v", c.name, written, c.written)
		}
		if written {
			if text, _ := os.ReadFile(path(c.name)); string(text) != "17\n" {
				t.Errorf("%s holds %q", c.name, text)
			}
		}
		run([]string{"--pidfile", path(c.name)}, Host{}, manager{}, &said, &said)
		if _, err := os.Lstat(path(c.name)); written && err == nil {
			t.Errorf("%s is still there", c.name)
		}
	}
	// What is no pidfile stays, whatever the configuration says.
	var said bytes.Buffer
	run([]string{"--pidfile", path("precious/file"), "17"}, Host{}, manager{}, &said, &said)
	run([]string{"--pidfile", path("precious/file")}, Host{}, manager{}, &said, &said)
	if text, _ := os.ReadFile(path("precious/file")); !strings.HasPrefix(string(text), "precious") ||
		!strings.Contains(said.String(), "precious/file") {
		t.Errorf("it holds %q; said: %s", text, said.String())
	}
}
