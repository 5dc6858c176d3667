package listen

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/privilege"
)

var (
	errAlive     = errors.New("somebody listens there")
	errNotSocket = errors.New("the path exists and is not a socket")
)

// bindUnix binds a.path; k gets its path and inode. The folder is opened once, and all that follows
// is done in it.
func (b *binder) bindUnix(a address, k *Socket) (int, error) {
	d, err := privilege.OpenDir(a.path)
	if err != nil {
		return -1, call("bind", err)
	}
	defer d.Close()
	if err := clearPath(d); err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if b.modeSet {
		// The kernel makes the path with the socket's own mode, less the umask: never more than
		// asked for.
		if err := unix.Fchmod(fd, uint32(b.mode)); err != nil {
			unix.Close(fd)
			return -1, os.NewSyscallError("fchmod", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: bindName(d, a)}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	k.Path = a.path
	err = b.permit(k, d)
	if err == nil {
		err = b.unixBuffers(fd)
	}
	if err != nil {
		unix.Close(fd)
		_ = d.Unlink()
		k.Path = ""
		return -1, err
	}
	return fd, nil
}

// bindName is the path to bind: as written, which is what tools show of the socket, unless root has
// to go through the open folder or the working directory is not where the path starts.
func bindName(d *privilege.Dir, a address) string {
	if os.Geteuid() != 0 {
		if abs, err := filepath.Abs(a.text); err == nil && abs == a.path {
			return a.text
		}
		if len(a.path) <= maxUnixPath {
			return a.path
		}
	}
	return d.Proc()
}

// call names a failed call after what it was made for.
func call(name string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return os.NewSyscallError(name, path.Err)
	}
	return err
}

func (b *binder) bindAbstract(a address) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + a.path}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	if err := b.unixBuffers(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (b *binder) unixBuffers(fd int) error {
	if n := b.opts.Sndbuf; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n); err != nil {
			return os.NewSyscallError("setsockopt SO_SNDBUF", err)
		}
	}
	if n := b.opts.Rcvbuf; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n); err != nil {
			return os.NewSyscallError("setsockopt SO_RCVBUF", err)
		}
	}
	return nil
}

// permit gives the socket in d its owner and mode and notes its inode. It is opened once, as
// itself, so that nobody can put another file under the name in between.
func (b *binder) permit(k *Socket, d *privilege.Dir) error {
	h, err := d.Handle()
	if err != nil {
		return call("open", err)
	}
	defer h.Close()
	st, err := h.Stat()
	if err != nil {
		return call("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || k.Inode != 0 && (st.Ino != k.Inode || uint64(st.Dev) != k.Dev) {
		return fmt.Errorf("%s was replaced by somebody else", k.Path)
	}
	k.Dev, k.Inode = uint64(st.Dev), st.Ino
	if b.owner.set {
		if err := h.Chown(b.owner.uid, b.owner.gid); err != nil {
			return call("chown", err)
		}
	}
	if b.modeSet {
		if err := h.Chmod(uint32(b.mode)); err != nil {
			return call("chmod", err)
		}
	}
	return nil
}

// permitAgain is permit for a socket that was bound before, whose owner and mode a reload may have
// changed. Who has given root up cannot change what is root's to change.
func (b *binder) permitAgain(k *Socket) error {
	d, err := privilege.OpenDir(k.Path)
	if err != nil {
		return call("open", err)
	}
	defer d.Close()
	if err := b.permit(k, d); !denied(err) || os.Geteuid() == 0 {
		return err
	}
	b.log(k.Path + " keeps the owner and mode that it has: this process is not root, and a restart applies new ones")
	return nil
}

// clearPath makes way for a bind: a socket on which nobody listens is unlinked, anything else is an
// error.
func clearPath(d *privilege.Dir) error {
	st, err := d.Stat()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return call("lstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errNotSocket
	}
	switch err := probe(d.Proc()); {
	case err == nil:
		return errAlive
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		if err := d.Unlink(); err != nil && !errors.Is(err, os.ErrNotExist) {
			return call("unlink", err)
		}
		return nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EPROTOTYPE):
		return errAlive // its queue is full, or it is a socket of another type
	default:
		return os.NewSyscallError("connect", err)
	}
}

// probe connects without waiting.
func probe(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}
