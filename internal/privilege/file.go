package privilege

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNotRegular is a path at which something stands that is no file to read or write.
var ErrNotRegular = errors.New("it is no regular file")

// noGroup is nogroup's number, the kernel's overflowgid: a link's own group is not one that its
// owner must be in, for a folder can give it.
const noGroup = 65534

var errSecondName = errors.New("the file has a second name, and may be somebody else's")

// OpenFile is os.OpenFile for a process that may be root. Root follows no link that another user
// can change, except with the rights of that very user: where his link leads, he could write
// himself. What stands there must be a regular file, without a second name where somebody else
// could have made it, or a character device in a folder of root's, such as /dev/null; nothing is
// emptied before that is known. Who is not root opens the path as it is, and a FIFO, too, if it has
// a reader. Neither waits for one.
func OpenFile(path string, flags int, perm uint32) (*os.File, error) {
	if os.Geteuid() != 0 {
		return openOwn(path, flags, perm)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d, err := Follow(abs)
	var link *LinkError
	if errors.As(err, &link) && link.Owner != 0 {
		var f *os.File
		asOwner := As(&syscall.Credential{Uid: link.Owner, Gid: noGroup}, func() (err error) {
			f, err = openOwn(path, flags, perm)
			return err
		})
		if asOwner != nil {
			return nil, errors.Join(err, asOwner)
		}
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	f, err := d.Open(flags&^unix.O_TRUNC, perm)
	if err != nil {
		return nil, err
	}
	return admit(f, flags, d.admits)
}

// admits says why root does not open what stands in the folder.
func (d *Dir) admits(st *unix.Stat_t) error {
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFCHR && d.own:
	case kind != unix.S_IFREG:
		return ErrNotRegular
	case st.Nlink > 1 && !d.own:
		return errSecondName
	}
	return nil
}

// A Find is a file that root has opened for somebody else.
type Find struct {
	*os.File
	Stat  unix.Stat_t // when it was opened
	Made  bool        // it was not there before
	Firm  bool        // whom it is for cannot put another file in its place
	Roots bool        // nor can anybody else but root
}

// OpenFor is OpenFile for root who acts for somebody: he follows no links but root's own, and says
// what the path is worth. Nothing is emptied.
func OpenFor(cred *syscall.Credential, path string, flags int, perm uint32) (*Find, error) {
	d, err := Follow(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	f := &Find{}
	if flags &^= unix.O_TRUNC; flags&unix.O_CREAT != 0 {
		f.File, err = d.Open(flags|unix.O_EXCL, perm)
		f.Made = err == nil
	}
	if flags &^= unix.O_CREAT; f.File == nil && (err == nil || errors.Is(err, unix.EEXIST)) {
		f.File, err = d.Open(flags, perm)
	}
	if err != nil {
		return nil, err
	}
	if f.File, err = admit(f.File, flags, func(st *unix.Stat_t) error {
		f.Stat = *st
		return d.admits(st)
	}); err != nil {
		return nil, err
	}
	f.Firm, f.Roots = d.FirmFor(cred, &f.Stat), d.firm && d.holds(&f.Stat)
	return f, nil
}

// openOwn opens a path with the rights that this thread has.
func openOwn(path string, flags int, perm uint32) (*os.File, error) {
	fd, err := unix.Open(path, flags&^unix.O_TRUNC|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, perm)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return admit(os.NewFile(uintptr(fd), path), flags, func(st *unix.Stat_t) error {
		if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFDIR || kind == unix.S_IFBLK {
			return ErrNotRegular
		}
		return nil
	})
}

// admit closes what check refuses, and empties the rest where O_TRUNC asks for that.
func admit(f *os.File, flags int, check func(*unix.Stat_t) error) (*os.File, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st) // Fd lets it wait again
	if err == nil {
		err = check(&st)
	}
	if err == nil && flags&unix.O_TRUNC != 0 && st.Mode&unix.S_IFMT == unix.S_IFREG {
		err = unix.Ftruncate(int(f.Fd()), 0)
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return f, nil
}
