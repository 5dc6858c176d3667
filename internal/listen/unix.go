package listen

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var (
	errAlive     = errors.New("somebody listens there")
	errNotSocket = errors.New("the path exists and is not a socket")
)

// bindUnix binds a.path; k gets its path and inode.
func (b *binder) bindUnix(a address, k *Socket) (int, error) {
	if err := ClearPath(a.text); err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if b.modeSet {
		// The kernel makes the path with the socket's own mode, less the umask: never more than asked for.
		if err := unix.Fchmod(fd, uint32(b.mode)); err != nil {
			unix.Close(fd)
			return -1, os.NewSyscallError("fchmod", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: a.text}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	k.Path = a.path
	if err := b.permit(k); err != nil {
		unix.Close(fd)
		os.Remove(a.path)
		return -1, err
	}
	if err := b.unixBuffers(fd); err != nil {
		unix.Close(fd)
		os.Remove(a.path)
		return -1, err
	}
	return fd, nil
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
	return fd, b.unixBuffers(fd)
}

func (b *binder) unixBuffers(fd int) error {
	if n := b.set.SoSndbuf; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n); err != nil {
			return os.NewSyscallError("setsockopt SO_SNDBUF", err)
		}
	}
	if n := b.set.SoRcvbuf; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n); err != nil {
			return os.NewSyscallError("setsockopt SO_RCVBUF", err)
		}
	}
	return nil
}

// permit gives k.Path its owner and mode and notes its inode. The path is opened once, as itself, so that nobody can put another file
// under the name in between.
func (b *binder) permit(k *Socket) error {
	fd, err := unix.Open(k.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || k.Inode != 0 && (st.Ino != k.Inode || uint64(st.Dev) != k.Dev) {
		return fmt.Errorf("%s was replaced by somebody else", k.Path)
	}
	k.Dev, k.Inode = uint64(st.Dev), st.Ino
	if b.owner.set {
		if err := unix.Fchownat(fd, "", b.owner.uid, b.owner.gid, unix.AT_EMPTY_PATH); err != nil {
			return os.NewSyscallError("chown", err)
		}
	}
	if b.modeSet {
		proc := fmt.Sprintf("/proc/self/fd/%d", fd)
		err := unix.Chmod(proc, uint32(b.mode))
		if errors.Is(err, syscall.ENOENT) { // no /proc here
			err = unix.Chmod(k.Path, uint32(b.mode))
		}
		if err != nil {
			return os.NewSyscallError("chmod", err)
		}
	}
	return nil
}

// ClearPath makes way for a bind: a socket on which nobody listens is unlinked, anything else is an error. path is as written: it fits
// sun_path where its absolute form may not.
func ClearPath(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("lstat", err.(*os.PathError).Err)
	}
	if st.Mode()&os.ModeType != os.ModeSocket {
		return errNotSocket
	}
	switch err := probe(path); {
	case err == nil:
		return errAlive
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return os.NewSyscallError("unlink", err.(*os.PathError).Err)
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
