package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/needs"
)

// What /etc/init.d/uwsgi makes in a folder that the web server's account may write to goes through
// no link of that account's.
func TestInitScriptFollowsNoLink(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	text, err := os.ReadFile("../../debian/uwsgi.init")
	if err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer("/run/systemd/system", at("none"), "/run/uwsgi", at("run"), "/var/log/uwsgi",
		at("log"), "/etc/uwsgi/apps-enabled", at("apps"),
		"/usr/bin/uwsgi", "/bin/true").Replace(string(text))
	if strings.Contains(script, "RUN=/run") {
		t.Fatal("the script's folders have other names by now")
	}
	for _, err := range []error{os.WriteFile(at("script"), []byte(script), 0o755), os.Mkdir(at("apps"), 0o755),
		os.WriteFile(at("apps/x.ini"), nil, 0o644), os.Mkdir(at("run"), 0o755),
		os.Chown(at("run"), 0, victim), os.Chmod(at("run"), 0o1775), os.Mkdir(at("private"), 0o700),
		os.Chown(at("private"), 4242, 4242),
		os.Symlink(at("private"), at("run/app")), os.Lchown(at("run/app"), victim, victim)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		out, _ := exec.Command("/bin/sh", at("script"), "start", "x").CombinedOutput() // /bin/true writes no pidfile
		if uid, mode := ownerOf(t, at("private")); uid != 4242 || mode != 0o700 {
			t.Errorf("the link's target is %d's, with mode %o\n%s", uid, mode, out)
		}
		if uid, mode := ownerOf(t, at("run/app/x")); uid != 0 || mode != 0o755 {
			t.Errorf("%d's, with mode %o\n%s", uid, mode, out)
		}
		if st, err := os.Lstat(at("run/app")); err != nil || !st.IsDir() {
			t.Error(st, err)
		}
	}
}

func ownerOf(t *testing.T, path string) (uid int, mode os.FileMode) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Sys().(*syscall.Stat_t).Uid), st.Mode().Perm()
}
