// Package access says what a user may do with a path and, where he may not, what stands in the way:
// the kernel only says "permission denied", of five folders.
package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/privilege"
)

// Need is what somebody wants to do with a path.
type Need uint32

// The needs. Those of a folder are Enter, List and Put.
const (
	Enter Need = unix.X_OK            // a folder: to go on in it
	Run        = Enter                // a program
	Read  Need = unix.R_OK            // a file
	List       = Read | Enter         // a folder: to find modules in it
	Write Need = unix.W_OK            // a file
	Put        = Write | Enter        // a folder: to make files in it
	whole      = Read | Write | Enter // what permission bits are about
)

// A Blocked is the first folder or file on a way that does not let somebody through.
type Blocked struct {
	Path  string
	Mode  fs.FileMode // of Path
	Owner uint32
	UID   uint32 // who is not let through
	Need  Need   // what he would need there
	Dir   bool
}

// Error names the user, the place and its mode.
func (b *Blocked) Error() string {
	do := "read"
	switch {
	case b.Need&Write != 0 && b.Dir:
		do = "write in"
	case b.Need&Write != 0:
		do = "write to"
	case b.Dir && b.Need&Read == 0:
		do = "enter"
	case b.Need == Run:
		do = "run"
	}
	return fmt.Sprintf("uid %d may not %s %s (mode %04o, of uid %d)", b.UID, do, b.Path, b.Mode.Perm(), b.Owner)
}

// Unwrap makes it a fs.ErrPermission.
func (b *Blocked) Unwrap() error { return syscall.EACCES }

// shared are folders of the system, which are not to be given away.
var shared = []string{"/", "/etc", "/home", "/opt", "/run", "/srv", "/tmp", "/usr", "/usr/local", "/var",
	"/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp", "/var/www"}

// Hint is what to do about it.
func (b *Blocked) Hint() string {
	switch {
	case b.Need&Write != 0 && b.Dir && slices.Contains(shared, filepath.Clean(b.Path)):
		return fmt.Sprintf("install -d -o %d %s, or choose another place", b.UID, filepath.Join(b.Path, "NAME"))
	case b.Need&Write != 0:
		return fmt.Sprintf("chown %d %s, or choose another place", b.UID, b.Path)
	case b.Dir && b.Need&Read != 0:
		return "chmod o+rx " + b.Path
	case b.Need == Run:
		return "chmod o+x " + b.Path
	}
	return "chmod o+r " + b.Path
}

// Check walks to an absolute path, links included, and gives the first Blocked; nil where cred may
// do what he needs, or nothing is there. Where cred is nil, the rights are this process's.
func Check(path string, need Need, cred *syscall.Credential) error {
	real, err := filepath.EvalSymlinks(path)
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		real = at.Path // as far as this process could follow the links
	}
	if real != "" && real != filepath.Clean(path) {
		if err := walk(real, need, cred); err != nil {
			return err
		}
	}
	return walk(path, need, cred)
}

func walk(path string, need Need, cred *syscall.Credential) error {
	path = filepath.Clean(path)
	for at := range steps(path) {
		st, err := os.Stat(at)
		if err != nil || at != path && !st.IsDir() {
			return nil
		}
		here := Enter
		if at == path {
			here = need
		}
		if may(at, st, here, cred) {
			continue
		}
		b := &Blocked{Path: at, Mode: st.Mode(), Owner: owner(st), UID: uint32(os.Geteuid()),
			Need: here, Dir: st.IsDir()}
		if cred != nil {
			b.UID = cred.Uid
		}
		return b
	}
	return nil
}

// steps gives every folder on the way to a path, and the path.
func steps(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var all []string
		for at := path; ; at = filepath.Dir(at) {
			all = append(all, at)
			if at == filepath.Dir(at) {
				break
			}
		}
		for _, at := range slices.Backward(all) {
			if !yield(at) {
				return
			}
		}
	}
}

// may asks the kernel where that can be asked, as somebody else by root alone; else the permission
// bits tell.
func may(path string, st fs.FileInfo, need Need, cred *syscall.Credential) bool {
	if cred == nil || os.Geteuid() == 0 {
		return privilege.As(cred, func() error {
			return unix.Faccessat(unix.AT_FDCWD, path, uint32(need), unix.AT_EACCESS)
		}) == nil
	}
	if cred.Uid == 0 {
		return true
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if _, err := unix.Lgetxattr(path, "system.posix_acl_access", nil); !ok || err == nil {
		return true // the bits do not tell
	}
	bits := Need(st.Mode().Perm())
	switch {
	case sys.Uid == cred.Uid:
		bits >>= 6
	case sys.Gid == cred.Gid || slices.Contains(cred.Groups, sys.Gid):
		bits >>= 3
	}
	return bits&whole&need == need
}

func owner(st fs.FileInfo) uint32 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Uid
	}
	return 0
}

// Explain completes an error about rights that names a path, of something that cred was to write,
// with what stands in his way, and one about a file whose folder is not there with the folder; any
// other error comes back as it is.
func Explain(err error, cred *syscall.Credential) error {
	var at *fs.PathError
	var done *explained
	if errors.As(err, &done) || !errors.As(err, &at) {
		return err
	}
	path, failed := filepath.Abs(at.Path)
	if failed != nil {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		var b *Blocked
		if errors.As(Creatable(path, cred), &b) {
			return &explained{err, fmt.Sprintf("%v (%s)", b, b.Hint())}
		}
	case errors.Is(err, fs.ErrNotExist) && at.Op == "open":
		if missing := firstMissing(filepath.Dir(path)); missing != "" {
			return &explained{err, "there is no folder " + missing}
		}
	}
	return err
}

// firstMissing is the first folder on the way to path that is not there, path itself perhaps; ""
// for none.
func firstMissing(path string) (missing string) {
	for path != "/" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			missing = path
		}
		path = filepath.Dir(path)
	}
	return missing
}

// explained is an error and what is behind it.
type explained struct {
	error
	behind string
}

func (e *explained) Error() string { return e.error.Error() + ": " + e.behind }

func (e *explained) Unwrap() error { return e.error }

// Creatable is Check for a file that is to be written, and made where it is not there.
func Creatable(path string, cred *syscall.Credential) error {
	if _, err := os.Stat(path); err == nil {
		return Check(path, Write, cred)
	}
	return Check(filepath.Dir(path), Put, cred)
}
