package privilege

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links a path may have: what the kernel follows.
const maxLinks = 40

// A LinkError is a link on the way that somebody other than root may have put there.
type LinkError struct {
	Path  string // of the link, as it was walked
	Owner uint32 // who can change it: the owner of the link, or of the folder it lies in
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("%s is a link that user %d can change: it is not followed as root", e.Path, e.Owner)
}

// A Dir is an open folder and a name in it. Everything that is done to the name is done in that
// very folder, whatever becomes of its path.
type Dir struct {
	fd   int
	path string // of the folder, for messages
	Name string // the last part of the path
	own  bool   // nobody but root can change what the folder holds

	sticky bool // nobody but root can change what is root's in the folder, as in /tmp
	firm   bool // nobody but root can make the folder's path lead elsewhere

	st    unix.Stat_t // of the folder
	acl   bool        // its group's permissions may be other users'
	loose []step      // where somebody else than root can make the path lead elsewhere
}

// step is an entry of a folder on the way.
type step struct {
	folder, entry unix.Stat_t
	acl           bool
}

// changes reports whether a user can put something else in the place of the entry.
func (s *step) changes(cred *syscall.Credential) bool {
	f := &s.folder
	switch {
	case f.Uid == cred.Uid:
		return true
	case f.Mode&unix.S_IWOTH == 0 && (f.Mode&unix.S_IWGRP == 0 || !s.acl && f.Gid != cred.Gid &&
		!slices.Contains(cred.Groups, f.Gid)):
		return false
	}
	return f.Mode&unix.S_ISVTX == 0 || s.entry.Uid == cred.Uid
}

// OpenDir opens the folder that path lies in, path being absolute. Root follows links on the way
// only where root alone can have made them (LinkError otherwise), anybody else follows all of them.
// The last part is not looked at: it may be anything, or missing.
func OpenDir(path string) (*Dir, error) { return openDir(path, false) }

// OpenAt is OpenDir for a path that may be relative to the working directory.
func OpenAt(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return OpenDir(abs)
}

// Follow is OpenDir for a path whose last part may be a link, too: Name is then what it leads to.
func Follow(path string) (*Dir, error) { return openDir(path, true) }

func openDir(path string, last bool) (*Dir, error) {
	if !filepath.IsAbs(path) {
		return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("the path is not absolute")}
	}
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/", Err: err}
	}
	d := &Dir{fd: fd, path: "/", firm: true}
	if err := d.walk(parts(path), last); err != nil {
		d.Close()
		var e *os.PathError
		if errors.As(err, &e) {
			e.Path = path // what was asked for says more than the folder in the way
		}
		return nil, err
	}
	return d, nil
}

// Close lets go of the folder.
func (d *Dir) Close() error {
	if d.fd < 0 {
		return nil
	}
	fd := d.fd
	d.fd = -1
	return unix.Close(fd)
}

// parts are the names of a path.
func parts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// walk goes down the names, the last of which becomes d.Name; last: it is followed if it is a link.
func (d *Dir) walk(names []string, last bool) error {
	if len(names) == 0 {
		return &os.PathError{Op: "open", Path: "/", Err: unix.EISDIR}
	}
	for links := 0; ; {
		if err := d.look(); err != nil {
			return err
		}
		name, rest := names[0], names[1:]
		if len(rest) == 0 && !last {
			d.Name = name
			return nil
		}
		target, st, err := d.link(name)
		switch {
		case errors.Is(err, unix.ENOENT) && len(rest) == 0:
			d.Name = name // it is going to be made
			return nil
		case err != nil:
			return err
		case target != "":
			if links++; links > maxLinks {
				return &os.PathError{Op: "open", Path: d.at(name), Err: unix.ELOOP}
			}
			if err := d.trust(name, st); err != nil {
				return err
			}
			if strings.HasPrefix(target, "/") {
				if err := d.enter("/"); err != nil {
					return err
				}
			}
			if names = append(parts(target), rest...); len(names) == 0 {
				return &os.PathError{Op: "open", Path: target, Err: unix.EISDIR}
			}
		case len(rest) == 0:
			d.Name = name
			return nil
		default:
			if !d.holds(&st) {
				d.firm, d.loose = false, append(d.loose, step{d.st, st, d.acl})
			}
			if err := d.enter(name); err != nil {
				return err
			}
			names = rest
		}
	}
}

// look notes who can change what the folder holds.
func (d *Dir) look() error {
	if err := unix.Fstat(d.fd, &d.st); err != nil {
		return &os.PathError{Op: "stat", Path: d.path, Err: err}
	}
	others, group := d.st.Mode&unix.S_IWOTH != 0, d.st.Mode&unix.S_IWGRP != 0
	d.acl = group && listed(d.fd)
	d.own = d.st.Uid == 0 && !others && (!group || d.st.Gid == 0 && !d.acl)
	d.sticky = d.st.Uid == 0 && d.st.Mode&unix.S_ISVTX != 0
	return nil
}

// listed reports whether the permissions of a folder's group may be those of users that an access
// control list names: acl(5).
func listed(fd int) bool {
	_, err := unix.Getxattr("/proc/self/fd/"+strconv.Itoa(fd), "system.posix_acl_access", nil)
	return err == nil || !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP)
}

// holds reports whether nobody but root can put something else in the place of an entry of the
// folder.
func (d *Dir) holds(entry *unix.Stat_t) bool { return d.own || d.sticky && entry.Uid == 0 }

// FirmFor reports whether a user cannot make Name stand for something else than this entry, in this
// folder or by another one in its place.
func (d *Dir) FirmFor(cred *syscall.Credential, entry *unix.Stat_t) bool {
	changes := func(s step) bool { return s.changes(cred) }
	return !slices.ContainsFunc(d.loose, changes) && (d.holds(entry) || !changes(step{d.st, *entry, d.acl}))
}

// link returns where a link of that name leads, "" for what is no link, and what lstat(2) says of
// it.
func (d *Dir) link(name string) (target string, st unix.Stat_t, err error) {
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", st, &os.PathError{Op: "open", Path: d.at(name), Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", st, nil
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(d.fd, name, buf)
	if err != nil {
		return "", st, &os.PathError{Op: "readlink", Path: d.at(name), Err: err}
	}
	return string(buf[:n]), st, nil
}

// trust reports a link that root may not follow. In a folder with the sticky bit, such as /tmp, the
// links of root are root's alone.
func (d *Dir) trust(name string, link unix.Stat_t) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if d.holds(&link) {
		return nil
	}
	e := &LinkError{Path: d.at(name), Owner: link.Uid}
	if link.Uid == 0 {
		e.Owner = d.st.Uid
	}
	return e
}

// enter goes on to a folder: "/", or one in this one.
func (d *Dir) enter(name string) error {
	flags := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	var fd int
	var err error
	if name == "/" {
		fd, err = unix.Open("/", flags, 0)
	} else {
		fd, err = unix.Openat(d.fd, name, flags, 0)
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: d.at(name), Err: err}
	}
	unix.Close(d.fd)
	d.fd, d.path = fd, d.at(name)
	return nil
}

// at is the path of a name in the folder, for messages.
func (d *Dir) at(name string) string { return filepath.Join(d.path, name) }

// Path is the path of what Name stands for, as it was walked.
func (d *Dir) Path() string { return d.at(d.Name) }

// Proc is a path to Name for calls that take no descriptor of a folder, such as bind(2): the plain
// one where nobody but root can change where that leads, else one through the open folder, if a
// /proc is mounted.
func (d *Dir) Proc() string {
	if d.firm && len(d.Path()) < 108 { // sun_path, unix(7)
		return d.Path()
	}
	folder := "/proc/self/fd/" + strconv.Itoa(d.fd)
	if unix.Access(folder, unix.F_OK) != nil {
		return d.Path()
	}
	return folder + "/" + d.Name
}

// Handle opens Name itself, whatever it is, for owners and modes only (O_PATH). To root a file's
// second name is none where somebody else could have made it.
func (d *Dir) Handle() (*Handle, error) {
	fd, err := unix.Openat(d.fd, d.Name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: d.Path(), Err: err}
	}
	h := &Handle{fd: fd, path: d.Path()}
	st, err := h.Stat()
	if err == nil && os.Geteuid() == 0 && !d.own && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 {
		err = &os.PathError{Op: "open", Path: d.Path(), Err: errSecondName}
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Stat is lstat(2) of Name.
func (d *Dir) Stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, d.Name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, &os.PathError{Op: "stat", Path: d.Path(), Err: err}
	}
	return st, nil
}

// Unlink removes Name.
func (d *Dir) Unlink() error {
	if err := unix.Unlinkat(d.fd, d.Name, 0); err != nil {
		return &os.PathError{Op: "unlink", Path: d.Path(), Err: err}
	}
	return nil
}

// Rmdir removes Name, an empty folder.
func (d *Dir) Rmdir() error {
	if err := unix.Unlinkat(d.fd, d.Name, unix.AT_REMOVEDIR); err != nil {
		return &os.PathError{Op: "rmdir", Path: d.Path(), Err: err}
	}
	return nil
}

// Rename gives what stands at one path another one, both folders being opened first.
func Rename(from, to string) error {
	a, err := OpenAt(from)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := OpenAt(to)
	if err != nil {
		return err
	}
	defer b.Close()
	return a.Rename(b)
}

// Rename gives Name the place of to's, which may be another folder's.
func (d *Dir) Rename(to *Dir) error {
	if err := unix.Renameat(d.fd, d.Name, to.fd, to.Name); err != nil {
		return &os.LinkError{Op: "rename", Old: d.Path(), New: to.Path(), Err: err}
	}
	return nil
}

// Mkdir makes Name a folder.
func (d *Dir) Mkdir(mode uint32) error {
	if err := unix.Mkdirat(d.fd, d.Name, mode); err != nil {
		return &os.PathError{Op: "mkdir", Path: d.Path(), Err: err}
	}
	return nil
}

// Mkfifo makes Name a FIFO.
func (d *Dir) Mkfifo(mode uint32) error {
	if err := unix.Mknodat(d.fd, d.Name, mode|unix.S_IFIFO, 0); err != nil {
		return &os.PathError{Op: "mkfifo", Path: d.Path(), Err: err}
	}
	return nil
}

// Open opens Name itself: a link is an error (ELOOP), and a FIFO is not waited for, now or later
// (O_NONBLOCK).
func (d *Dir) Open(flags int, perm uint32) (*os.File, error) {
	fd, err := unix.Openat(d.fd, d.Name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, perm)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: d.Path(), Err: err}
	}
	return os.NewFile(uintptr(fd), d.Path()), nil
}
