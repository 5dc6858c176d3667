package privilege

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
)

// As calls do with the file access rights of cred: its user, its group and its supplementary
// groups, and none of root's (setfsuid(2), credentials(7)). do must stay on its goroutine. Where
// cred is nil, or this process is not root, do has the process's own rights.
func As(cred *syscall.Credential, do func() error) error {
	if cred == nil || os.Geteuid() != 0 {
		return do()
	}
	result := make(chan error, 1)
	crash.Go(func() {
		runtime.LockOSThread()
		restore, err := assume(cred)
		if err == nil {
			err = do()
		}
		if restore() == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with its goroutine: nobody else may run with these rights
		result <- err
	})
	return <-result
}

// assume changes the rights of this thread, and only of this one, for x/sys would change the groups
// of all threads. restore undoes what was done, also where that failed halfway.
func assume(cred *syscall.Credential) (restore func() error, err error) {
	groups, err := unix.Getgroups()
	if err != nil {
		return func() error { return nil }, fmt.Errorf("getgroups: %w", err)
	}
	gid, uid := os.Getegid(), os.Geteuid()
	restore = func() error {
		if _, err := unix.SetfsuidRetUid(uid); err != nil {
			return err
		}
		if _, err := unix.SetfsgidRetGid(gid); err != nil {
			return err
		}
		return threadGroups(toGroups(groups))
	}
	if err := threadGroups(cred.Groups); err != nil {
		return restore, fmt.Errorf("setgroups: %w", err)
	}
	if err := becomeFS("setfsgid", unix.SetfsgidRetGid, int(cred.Gid)); err != nil {
		return restore, err
	}
	return restore, becomeFS("setfsuid", unix.SetfsuidRetUid, int(cred.Uid))
}

// becomeFS calls setfsuid or setfsgid, which return the old id and report no failure: a second
// call, that cannot succeed, tells.
func becomeFS(name string, call func(int) (int, error), id int) error {
	if _, err := call(id); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if now, _ := call(-1); now != id {
		return fmt.Errorf("%s to %d: %w", name, id, unix.EPERM)
	}
	return nil
}

// threadGroups is setgroups(2) for this thread alone.
func threadGroups(groups []uint32) error {
	var first unsafe.Pointer
	if len(groups) > 0 {
		first = unsafe.Pointer(&groups[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(first), 0); errno != 0 {
		return errno
	}
	return nil
}

func toGroups(ids []int) []uint32 {
	var out []uint32
	for _, id := range ids {
		out = append(out, uint32(id))
	}
	return out
}

// Drop makes the whole process cred's for good: groups, then group, then user, the real, the
// effective and the saved one, which takes every capability along (capabilities(7)). The process is
// not dumpable then, whatever fs.suid_dumpable says: others of that user can send it signals, but
// neither trace it nor open what it has open (ptrace(2)).
func Drop(cred *syscall.Credential) error {
	var groups []int
	for _, g := range cred.Groups {
		groups = append(groups, int(g))
	}
	uid, gid := int(cred.Uid), int(cred.Gid)
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("setgroups() to %v: %w", groups, err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("setgid() to %d: %w", gid, err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("setuid() to %d: %w", uid, err)
	}
	if uid != 0 && (os.Geteuid() == 0 || syscall.Setuid(0) == nil) {
		return fmt.Errorf("setuid() to %d did not take root's rights away", uid)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl(PR_SET_DUMPABLE): %w", err)
	}
	return nil
}

// Same reports whether this process already is cred's: its user, its group and, in any order, its
// supplementary groups.
func Same(cred *syscall.Credential) bool {
	have, err := unix.Getgroups()
	if err != nil || os.Geteuid() != int(cred.Uid) || os.Getegid() != int(cred.Gid) {
		return false
	}
	mine, theirs := toGroups(have), slices.Clone(cred.Groups)
	slices.Sort(mine)
	slices.Sort(theirs)
	return slices.Equal(mine, theirs)
}
