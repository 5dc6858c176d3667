package privilege

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/needs"
)

// stranger is a user without an account.
const stranger = 4242

// place is a folder of root's below one that everybody may enter, with a folder of the stranger's
// in it. The tests are about root: who is not has nothing to lose, and they end there.
func place(t *testing.T) (roots, strangers string) {
	t.Helper()
	needs.Root(t)
	top, err := os.MkdirTemp("/tmp", "uwsgi-privilege")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	strangers = filepath.Join(top, "his")
	for _, err := range []error{os.Chmod(top, 0o755), os.Mkdir(strangers, 0o755),
		os.Chown(strangers, stranger, stranger)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return top, strangers
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string, uid int) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
}

const appending = unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND

func TestRootFollowsNoLinkOfOthers(t *testing.T) {
	roots, his := place(t)
	secret := filepath.Join(roots, "secret")
	write(t, secret, "precious", 0o600)
	link(t, secret, filepath.Join(his, "log"), stranger)
	link(t, roots, filepath.Join(his, "folder"), stranger)
	link(t, roots, filepath.Join(his, "roots"), 0) // root's link, but he can put another one in its place
	for _, path := range []string{"log", "folder/secret", "roots/secret"} {
		f, err := OpenFile(filepath.Join(his, path), appending|unix.O_TRUNC, 0o640)
		var refused *LinkError
		if err == nil {
			f.Close()
		}
		if !errors.As(err, &refused) || refused.Owner != stranger {
			t.Errorf("%s: %v", path, err)
		}
		if path == "log" {
			continue // it is a last part, which OpenDir does not look at
		}
		if d, err := OpenDir(filepath.Join(his, path)); !errors.As(err, &refused) {
			d.Close()
			t.Errorf("OpenDir %s: %v", path, err)
		}
	}
	if b, _ := os.ReadFile(secret); string(b) != "precious" {
		t.Errorf("%q", b)
	}
}

// Where a user's link leads to a file of his, he could write himself: a log below /srv/app/current,
// say.
func TestALinkLeadsWithItsOwnersRights(t *testing.T) {
	roots, his := place(t)
	release := filepath.Join(his, "release")
	if err := errors.Join(os.Mkdir(release, 0o755), os.Chown(release, stranger, stranger)); err != nil {
		t.Fatal(err)
	}
	link(t, "release", filepath.Join(his, "current"), stranger)
	f, err := OpenFile(filepath.Join(his, "current", "log"), appending, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if st, err := os.Stat(filepath.Join(release, "log")); err != nil || st.Sys().(*syscall.Stat_t).Uid != stranger {
		t.Error(st, err)
	}
	// Root's own links lead as far as root does.
	link(t, release, filepath.Join(roots, "link"), 0)
	write(t, filepath.Join(roots, "file"), "", 0o600)
	link(t, "file", filepath.Join(roots, "other"), 0)
	for _, path := range []string{"link/log", "other"} {
		f, err := OpenFile(filepath.Join(roots, path), appending, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// A folder can give a link to a group that its owner is not in: its rights are not his.
func TestALinkLeadsWithoutItsGroup(t *testing.T) {
	roots, his := place(t)
	const group = 4343
	secret := filepath.Join(roots, "secret")
	write(t, secret, "precious", 0o660)
	link(t, secret, filepath.Join(his, "log"), stranger)
	if err := errors.Join(os.Chown(secret, 0, group), os.Chmod(secret, 0o660),
		os.Lchown(filepath.Join(his, "log"), stranger, group)); err != nil {
		t.Fatal(err)
	}
	if f, err := OpenFile(filepath.Join(his, "log"), appending, 0o640); err == nil {
		f.Close()
		t.Error("the group's file was opened")
	}
}

// aclOf is an access control list as the kernel keeps it, acl(5): a user beside owner, group and
// others who may do everything.
func aclOf(uid uint32) []byte {
	acl := binary.LittleEndian.AppendUint32(nil, 2) // its version
	for _, e := range [][3]uint32{{1, 7, ^uint32(0)}, {2, 7, uid}, {4, 5, ^uint32(0)},
		{16, 7, ^uint32(0)}, {32, 5, ^uint32(0)}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	return acl
}

// A folder of root's in which an access control list lets somebody write is not root's alone.
func TestFoldersWithAnAccessControlList(t *testing.T) {
	roots, _ := place(t)
	shared, secret := filepath.Join(roots, "shared"), filepath.Join(roots, "secret")
	write(t, secret, "precious", 0o600)
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(shared, "system.posix_acl_access", aclOf(stranger), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("no access control lists here")
	} else if err != nil {
		t.Fatal(err)
	}
	if err := As(&syscall.Credential{Uid: stranger, Gid: stranger},
		func() error { return os.Symlink(secret, filepath.Join(shared, "log")) }); err != nil {
		t.Fatal(err)
	}
	if f, err := OpenFile(filepath.Join(shared, "log"), appending, 0o640); err == nil {
		f.Close()
		t.Error("his link was followed")
	}
}

// Whether a user can have a path lead to another file.
func TestFirm(t *testing.T) {
	roots, his := place(t)
	group, tmp := filepath.Join(roots, "group"), filepath.Join(roots, "tmp")
	for _, err := range []error{os.Mkdir(group, 0o770), os.Chown(group, 0, 77), os.Chmod(group, 0o770),
		os.Mkdir(tmp, 0o777), os.Chmod(tmp, 0o777|os.ModeSticky),
		os.Mkdir(filepath.Join(his, "roots"), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	user := &syscall.Credential{Uid: stranger, Gid: stranger, Groups: []uint32{77}}
	another := &syscall.Credential{Uid: stranger + 1, Gid: stranger + 1}
	for name, want := range map[string][2]bool{ // for the user, for somebody else
		"a": {true, true}, "his/a": {false, true}, "his/roots/a": {false, true}, "group/a": {false, true}, "tmp/a": {true, true},
	} {
		path := filepath.Join(roots, name)
		write(t, path, "", 0o600)
		for i, cred := range []*syscall.Credential{user, another} {
			f, err := OpenFor(cred, path, appending, 0o640)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if f.Firm != want[i] || f.Made {
				t.Errorf("%s for %d: firm %v, made %v", name, cred.Uid, f.Firm, f.Made)
			}
		}
	}
	f, err := OpenFor(user, filepath.Join(his, "new"), appending, 0o640)
	if err != nil || !f.Made {
		t.Fatal(f, err)
	}
	f.Close()
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	roots, his := place(t)
	fifo, second, first := filepath.Join(his, "fifo"), filepath.Join(his, "second"), filepath.Join(roots, "first")
	write(t, first, "precious", 0o600)
	if err := errors.Join(unix.Mkfifo(fifo, 0o666), os.Link(first, second)); err != nil {
		t.Fatal(err)
	}
	// nobody reads the FIFO, and nobody waits
	for path, want := range map[string]error{fifo: unix.ENXIO, second: errSecondName, his: unix.EISDIR} {
		if _, err := OpenFile(path, appending|unix.O_TRUNC, 0o640); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := OpenFile(fifo, unix.O_RDONLY, 0); !errors.Is(err, ErrNotRegular) {
		t.Error(err)
	}
	if d, err := OpenDir(second); err != nil {
		t.Error(err)
	} else if _, err := d.Handle(); !errors.Is(err, errSecondName) {
		t.Error("its owner could be changed:", err)
	}
	f, err := OpenFile(os.DevNull, appending, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if b, _ := os.ReadFile(first); string(b) != "precious" {
		t.Errorf("%q", b)
	}
}

// As leaves none of root's rights, its groups among them, and they come back.
func TestAs(t *testing.T) {
	roots, his := place(t)
	groups := filepath.Join(roots, "groups")
	write(t, groups, "", 0)
	if err := os.Chmod(groups, 0o060); err != nil { // for root's group alone
		t.Fatal(err)
	}
	if err := unix.Setgroups([]int{0}); err != nil {
		t.Fatal(err)
	}
	open := func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			f.Close()
		}
		return err
	}
	cred := &syscall.Credential{Uid: stranger, Gid: stranger}
	if err := As(cred, func() error { return open(groups) }); !errors.Is(err, os.ErrPermission) {
		t.Error("root's groups were left:", err)
	}
	if err := As(&syscall.Credential{Uid: stranger, Gid: stranger, Groups: []uint32{0}},
		func() error { return open(groups) }); err != nil {
		t.Error("his own groups do not count:", err)
	}
	if err := As(cred, func() error { return open(filepath.Join(his, "made")) }); err != nil {
		t.Error(err)
	}
	if err := open(filepath.Join(roots, "root")); err != nil {
		t.Error("root's rights did not come back:", err)
	}
	if err := As(nil, func() error { return open(filepath.Join(roots, "nil")) }); err != nil {
		t.Error(err)
	}
}

// A socket, FIFO or file is made, given away and removed in the folder that was opened, whatever
// its path leads to by then.
func TestADirStaysWhatItWas(t *testing.T) {
	roots, his := place(t)
	inner, away := filepath.Join(his, "run"), filepath.Join(his, "away")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(roots, "x"), "precious", 0o600)
	d, err := OpenDir(filepath.Join(inner, "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := os.Rename(inner, away); err != nil {
		t.Fatal(err)
	}
	link(t, roots, inner, stranger)
	if err := d.Mkfifo(0o600); err != nil {
		t.Fatal(err)
	}
	h, err := d.Handle()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := errors.Join(h.Chown(stranger, stranger), h.Chmod(0o622)); err != nil {
		t.Error(err)
	}
	if st, err := os.Lstat(filepath.Join(away, "x")); err != nil || st.Mode().Perm() != 0o622 ||
		st.Sys().(*syscall.Stat_t).Uid != stranger {
		t.Error(st, err)
	}
	if err := d.Unlink(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(roots, "x")); err != nil || string(b) != "precious" {
		t.Errorf("%q %v", b, err)
	}
}
