package access

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A user of nobody's: root's permissions and those of the test's own user do not count for it.
var stranger = &syscall.Credential{Uid: 54321, Gid: 54321, Groups: []uint32{54322}}

// tree makes folders and files, those that end in a slash being folders, with their modes.
func tree(t *testing.T, modes map[string]fs.FileMode, names ...string) string {
	t.Helper()
	top := t.TempDir()
	for at := top; at != "/"; at = filepath.Dir(at) { // the test's own folders are no matter here
		if st, err := os.Stat(at); err == nil && st.Mode().Perm()&0o005 != 0o005 {
			if err := os.Chmod(at, st.Mode().Perm()|0o005); err != nil {
				t.Skip("this folder cannot be opened to others: ", err)
			}
		}
	}
	for _, name := range names {
		path, mode := filepath.Join(top, name), fs.FileMode(0o644)
		var err error
		if strings.HasSuffix(name, "/") {
			mode = 0o755
			err = os.Mkdir(path, mode)
		} else {
			err = os.WriteFile(path, nil, mode)
		}
		if err = errors.Join(err, os.Chmod(path, mode)); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	for name, mode := range modes {
		path := filepath.Join(top, name)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(path, 0o755) })
	}
	return top
}

// TestCheck: the first folder that stands in the way is named, with its mode and who is not let in.
func TestCheck(t *testing.T) {
	top := tree(t, map[string]fs.FileMode{"home": 0o700, "home/site": 0o700,
		"home/site/app.py": 0o600, "plain/secret": 0o600,
		"unlisted": 0o711}, "home/", "home/site/", "home/site/app.py", "plain/", "plain/secret", "unlisted/")
	if err := os.Symlink(filepath.Join(top, "home/site"), filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		need Need
		at   string // "" = nothing stands in the way
		says string
	}{
		{"home/site/app.py", Read, "home", "uid 54321 may not enter"},
		{"home/site/nothing.py", Read, "home", "(mode 0700, of uid "},
		{"link", Enter, "home", "may not enter"},
		{"plain/secret", Read, "plain/secret", "may not read"},
		{"plain/secret", Run, "plain/secret", "may not run"},
		{"plain", Enter, "", ""},
		{"plain", Put, "plain", "may not write in"},
		{"plain/nothing", Read, "", ""},
		{"unlisted", Enter, "", ""},
		{"unlisted", List, "unlisted", "may not read"},
	} {
		err := Check(filepath.Join(top, c.path), c.need, stranger)
		var b *Blocked
		switch {
		case c.at == "":
			if err != nil {
				t.Errorf("%s: %v", c.path, err)
			}
		case !errors.As(err, &b) || b.Path != filepath.Join(top, c.at) || !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v, not %s: %s", c.path, err, c.at, c.says)
		case b.Hint() == "" || !strings.Contains(b.Hint(), b.Path):
			t.Errorf("%s: hint %q", c.path, b.Hint())
		}
	}
}

// TestExplain: an error about rights is completed once, and stays what it was.
func TestExplain(t *testing.T) {
	top := tree(t, map[string]fs.FileMode{"logs": 0o755}, "logs/")
	denied := &fs.PathError{Op: "open", Path: filepath.Join(top, "logs/a.log"), Err: syscall.EACCES}
	err := Explain(Explain(denied, stranger), stranger)
	if !errors.Is(err, fs.ErrPermission) || strings.Count(err.Error(),
		"may not write in "+top+"/logs (mode 0755") != 1 {
		t.Errorf("%v", err)
	}
	absent := &fs.PathError{Op: "open", Path: top + "/none/deep/a.log", Err: syscall.ENOENT}
	if err = Explain(absent, nil); !errors.Is(err, fs.ErrNotExist) ||
		!strings.HasSuffix(err.Error(), ": there is no folder "+top+"/none") {
		t.Errorf("%v", err)
	}
	absent.Path = top + "/logs/a.log"
	if got := Explain(absent, nil); got != error(absent) {
		t.Errorf("%v", got)
	}
	other := &fs.PathError{Op: "open", Path: top + "/x", Err: syscall.ENOSPC}
	if got := Explain(other, stranger); got != error(other) {
		t.Errorf("%v", got)
	}
}

// TestHint: nobody is told to give a folder of the system's away.
func TestHint(t *testing.T) {
	for path, want := range map[string]string{
		"/run":        "install -d -o 54321 /run/NAME, or choose another place",
		"/var/log":    "install -d -o 54321 /var/log/NAME, or choose another place",
		"/srv/mysite": "chown 54321 /srv/mysite, or choose another place",
	} {
		if got := (&Blocked{Path: path, UID: 54321, Need: Put, Dir: true}).Hint(); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}
