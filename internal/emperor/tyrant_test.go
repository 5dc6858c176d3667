package emperor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/config"
	"uwsgi/internal/needs"
	"uwsgi/internal/option"
)

// owner is nobody's user id.
const owner = 4242

// tyranny is an emperor that is a tyrant, and a folder of vassals that others can read; its program
// is a copy of this one.
func tyranny(t *testing.T) (*services, string) {
	t.Helper()
	needs.Root(t)
	dir, err := os.MkdirTemp("", "uwsgi-tyrant-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "program")
	if err := os.WriteFile(binary, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := option.Default()
	s.Emperor.Sources, s.Emperor.Tyrant = []string{dir}, true
	return &services{Config: Config{Settings: s, Binary: binary}, ctx: t.Context()}, dir
}

func theirs(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, owner, owner); err != nil {
		t.Fatal(err)
	}
}

// unitOf gives the drop-ins that a vassal gets.
func (u *services) unitOf(t *testing.T, name string) (string, error) {
	t.Helper()
	found, problems := look(&u.Settings.Emperor, nil)
	v, ok := found[name]
	if !ok {
		t.Fatalf("%s is not found: %v", name, problems)
	}
	u.wishes = u.ask([]change{{start, v}})
	i, err := u.instance(v)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for name, e := range i.DropIns() {
		fmt.Fprintf(&text, "== %s\n%s", name, e.Text)
	}
	return text.String(), nil
}

// TestTyrantTrustsNoOwner: whatever an owner writes into his file, it is not read, run or done as
// root, and his unit can do what he can.
func TestTyrantTrustsNoOwner(t *testing.T) {
	u, dir := tyranny(t)
	secret, trace := filepath.Join(dir, "secret"), filepath.Join(dir, "trace")
	if err := os.WriteFile(secret, []byte("/srv/secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := "[uwsgi]\nchdir = /srv/site\nmodule = app\nlogto = /srv/site/log/x.log\nreload-mercy = 20\n"
	for _, evil := range []string{
		"", "uid = root\ngid = root", "hook-as-root = exec:id", "hook-pre-jail = exec:id", "hook-in-jail = exec:id", "master-as-root = true", "exec-as-root = id",
		"pidfile = /etc/passwd", "add-gid = disk", "http = :22", "socket = /etc/x.sock\nchown-socket = root", "prio = -20",
		"x = @(exec://touch " + trace + ")\nchdir2 = %(x)", "reload-mercy = 99999999", `uid = x\`,
	} {
		theirs(t, filepath.Join(dir, "a.ini"), base+evil+"\n")
		got, err := u.unitOf(t, "a")
		if err != nil {
			t.Errorf("%q: %v", evil, err)
			continue
		}
		for _, line := range []string{"User=4242", "Group=4242", "WorkingDirectory=-/srv/site",
			"Environment=" + config.OwnFile + "=" + dir + "/a.ini"} {
			if !strings.Contains(got, "\n"+line+"\n") {
				t.Errorf("%q: no %s in\n%s", evil, line, got)
			}
		}
		for line := range strings.Lines(got) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if slices.Contains([]string{"SupplementaryGroups", "ExecStartPre", "ExecStartPost", "ExecStopPost",
				"ListenStream", "Nice", "CapabilityBoundingSet",
				"SystemCallFilter", "SocketUser"}, key) || key == "User" && value != "4242" || key == "TimeoutStopSec" && len(value) > 4 {
				t.Errorf("%q: %s", evil, line)
			}
		}
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("what the file asks for was executed")
	}
	for _, evil := range []string{"include = " + secret, "chdir = @(" + secret + ")"} {
		theirs(t, filepath.Join(dir, "a.ini"), base+evil+"\n")
		if got, err := u.unitOf(t, "a"); err == nil || strings.Contains(got, "secret") {
			t.Errorf("%q: root's file was read: %v\n%s", evil, err, got)
		}
	}
}

// TestTyrantOnDemand: the address of an owner's is one that he could open himself, and is read from
// a file of his.
func TestTyrantOnDemand(t *testing.T) {
	u, dir := tyranny(t)
	u.Settings.Emperor.OnDemandExtension = ".socket"
	theirs(t, filepath.Join(dir, "a.ini"), "[uwsgi]\nmodule = app\n")
	socket := filepath.Join(dir, "a.ini.socket")
	for address, fine := range map[string]bool{"127.0.0.1:8000": true, "@mine": true, "127.0.0.1:80": false,
		"/etc/x": false, ":22": false} {
		theirs(t, socket, address+"\n")
		found, problems := look(&u.Settings.Emperor, nil)
		if _, ok := found["a"]; ok != fine {
			t.Errorf("%s: found %v, %v", address, ok, problems)
		}
		if !fine {
			continue
		}
		if got, err := u.unitOf(t, "a"); err != nil || !strings.Contains(got, "\nListenStream="+address+"\n") ||
			!strings.Contains(got, "\nSocketUser=4242\n") {
			t.Errorf("%s: %v\n%s", address, err, got)
		}
	}
	os.Remove(socket)
	if err := os.Symlink("/etc/hostname", socket); err != nil {
		t.Fatal(err)
	}
	if found, problems := look(&u.Settings.Emperor, nil); len(found) > 0 || len(problems) != 1 {
		t.Errorf("a link to root's file: %v %v", found, problems)
	}
	// Nor is anything opened that he could not open: a device may take that for an order.
	device := filepath.Join(dir, "device")
	if err := errors.Join(unix.Mkfifo(device, 0o600), os.Remove(socket), os.Symlink(device, socket)); err != nil {
		t.Fatal(err)
	}
	if _, problems := look(&u.Settings.Emperor, nil); len(problems) != 1 || !errors.Is(problems[0], os.ErrPermission) {
		t.Errorf("root opened it: %v", problems)
	}
}

// TestNobodyTakesAName: who comes later with a vassal's name does not replace it, though his folder
// may come first.
func TestNobodyTakesAName(t *testing.T) {
	u, dir := tyranny(t)
	for _, name := range []string{"a", "z"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e := &u.Settings.Emperor
	e.Sources = []string{filepath.Join(dir, "*", "*.ini")}
	theirs(t, filepath.Join(dir, "z", "shop.ini"), "[uwsgi]\n")
	running, _ := look(e, nil)
	theirs(t, filepath.Join(dir, "a", "shop.ini"), "[uwsgi]\n")
	found, problems := look(e, running)
	if got := found["shop"]; !got.same(running["shop"]) || len(problems) != 1 ||
		!strings.Contains(problems[0].Error(), filepath.Join("a", "shop.ini")+" is not run") {
		t.Errorf("%+v %v", got, problems)
	}
	if found, _ := look(e, nil); found["shop"].file != filepath.Join(dir, "a", "shop.ini") {
		t.Errorf("%+v", found["shop"])
	}
}

// TestTyrantJudgesWhatIsRead: a name that leads to somebody else's file by the time it is read is
// not run.
func TestTyrantJudgesWhatIsRead(t *testing.T) {
	u, dir := tyranny(t)
	path := filepath.Join(dir, "a.ini")
	theirs(t, path, "[uwsgi]\nmodule = app\n")
	found, _ := look(&u.Settings.Emperor, nil)
	v := found["a"]
	roots := filepath.Join(dir, "roots")
	if err := os.WriteFile(roots, []byte("[uwsgi]\nmodule = app\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(roots, path); err != nil {
		t.Fatal(err)
	}
	if _, err := v.ask(context.Background(), u.Binary, v.arguments(&u.Settings.Emperor)); err == nil ||
		!strings.Contains(err.Error(), "belongs to user 0 now") {
		t.Errorf("read all the same: %v", err)
	}
	// A link of the owner's own to it is what emperor-tyrant-nofollow is for.
	if err := os.Lchown(path, owner, owner); err != nil {
		t.Fatal(err)
	}
	u.Settings.Emperor.TyrantNofollow = true
	if got, err := u.unitOf(t, "a"); err != nil || !strings.Contains(got, "\nUser=4242\n") {
		t.Errorf("%v\n%s", err, got)
	}
	if err := os.Lchown(path, 0, 0); err != nil {
		t.Fatal(err)
	}
	v.judge = byLink
	if _, err := v.ask(context.Background(), u.Binary, v.arguments(&u.Settings.Emperor)); err == nil {
		t.Error("somebody else's link is read")
	}
}
