package dataplane

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// files is what one core needs to serve files. Each core has its own descriptors, so that none is
// closed while another uses it.
type files struct {
	roots   []root // in the order of static.places; the last one is the front end's DOCUMENT_ROOT
	name    []byte // the file's name in its root
	path    []byte // for the kernel: name and a NUL
	st      unix.Stat_t
	how     unix.OpenHow
	outside string // what errOutside is about
	head    []byte
	full    []byte
	body    []byte
	date    date
	expires date
}

func (f *files) init(s *static) {
	for i := range s.places {
		f.roots = append(f.roots, newRoot(s.places[i].path))
	}
	f.roots = append(f.roots, newRoot(""))
}

func (f *files) close() {
	for i := range f.roots {
		f.roots[i].close()
	}
}

// root is a folder, or a single file, that an option names.
type root struct {
	path     string
	fd       int // O_PATH; -1: it is not there
	file     bool
	real     string // without links
	dev, ino uint64
	next     int64 // monotonic ns when it is looked at again
}

func newRoot(path string) root { return root{path: path, fd: -1} }

func (r *root) close() {
	if r.fd >= 0 {
		unix.Close(r.fd)
		r.fd = -1
	}
}

// rootAge is how soon we notice that another folder has taken the place of the open one:
// deployments swap links.
const rootAge = time.Second

// ready opens the root if necessary, and reports whether it is there.
func (r *root) ready(now int64) bool {
	if now < r.next {
		return r.fd >= 0
	}
	r.next = now + int64(rootAge)
	var st unix.Stat_t
	if unix.Stat(r.path, &st) != nil {
		r.close()
		return false
	}
	if r.fd >= 0 && st.Dev == r.dev && st.Ino == r.ino {
		return true
	}
	r.close()
	fd, err := unix.Open(r.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	if unix.Fstat(fd, &st) != nil {
		unix.Close(fd)
		return false
	}
	r.fd, r.dev, r.ino, r.file = fd, st.Dev, st.Ino, st.Mode&unix.S_IFMT != unix.S_IFDIR
	if r.real, err = os.Readlink(procFD(fd)); err != nil {
		r.real, _ = filepath.Abs(r.path)
	}
	return true
}

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// openFlags: O_NONBLOCK so that a FIFO in the folder cannot hold a core.
const openFlags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

// openSelf opens the file that an option names, and fills f.st. The path is the administrator's,
// links and all.
func (f *files) openSelf(path string) (int, syscall.Errno) {
	fd, err := unix.Open(path, openFlags, 0)
	if err != nil {
		return -1, err.(syscall.Errno)
	}
	return f.stat(fd)
}

// stat fills f.st.
func (f *files) stat(fd int) (int, syscall.Errno) {
	if err := unix.Fstat(fd, &f.st); err != nil {
		unix.Close(fd)
		return -1, err.(syscall.Errno)
	}
	return fd, 0
}

// errOutside: the file is there, but a link leads out of its folder.
const errOutside = unix.EXDEV

// open opens f.name in root for reading and fills f.st. No path leads out of the folder: the kernel
// resolves it with RESOLVE_BENEATH. A link that leads out, or is absolute, is followed only to
// where static-safe allows, or back into the folder.
func (f *files) open(s *static, root *root) (int, syscall.Errno) {
	f.path = append(append(f.path[:0], f.name...), 0)
	var fd int
	var errno syscall.Errno
	if s.beneath {
		f.how = unix.OpenHow{Flags: openFlags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
		fd, errno = openat2(root.fd, f.path, &f.how)
	} else {
		fd, errno = walk(root.fd, f.name)
	}
	if errno == unix.EXDEV {
		fd, errno = f.openLinked(s, root)
	}
	if errno != 0 {
		return -1, errno
	}
	return f.stat(fd)
}

// openLinked follows the links of f.name wherever they lead, and then looks where that is, before
// anything is opened for reading.
func (f *files) openLinked(s *static, root *root) (int, syscall.Errno) {
	at, err := unix.Openat(root.fd, string(f.name), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err.(syscall.Errno)
	}
	defer unix.Close(at)
	real, err := os.Readlink(procFD(at))
	if err != nil {
		real = "?" // no /proc: it cannot be known
	}
	allowed := under(root.real, real)
	for _, dir := range s.safe {
		if allowed {
			break
		}
		if dir, err = filepath.EvalSymlinks(dir); err == nil {
			if dir, err = filepath.Abs(dir); err == nil {
				allowed = under(dir, real)
			}
		}
	}
	if !allowed {
		f.outside = real
		return -1, errOutside
	}
	fd, err := unix.Open(procFD(at), openFlags, 0)
	if err != nil {
		return -1, err.(syscall.Errno)
	}
	return fd, 0
}

// under reports whether path is dir or lies in it.
func under(dir, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// hasOpenat2 reports whether openat2 works: it is missing before Linux 5.6, and some containers
// forbid what they do not know.
func hasOpenat2() bool {
	fd, errno := openat2(unix.AT_FDCWD, []byte("/\x00"), &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if errno != 0 {
		return false
	}
	unix.Close(fd)
	return true
}

// openat2 opens a path that ends in a NUL. EAGAIN: something was renamed meanwhile (openat2(2)).
func openat2(dir int, path []byte, how *unix.OpenHow) (int, syscall.Errno) {
	for try := 0; ; try++ {
		fd, _, errno := syscall.Syscall6(unix.SYS_OPENAT2, uintptr(dir),
			uintptr(unsafe.Pointer(unsafe.SliceData(path))), uintptr(unsafe.Pointer(how)), unsafe.Sizeof(*how), 0, 0)
		if errno != unix.EINTR && (errno != unix.EAGAIN || try == 32) {
			return int(fd), errno
		}
	}
}

// walk is openat2 with RESOLVE_BENEATH, segment by segment. EXDEV: a link is in the way.
func walk(dir int, name []byte) (int, syscall.Errno) {
	at := dir
	for {
		segment, rest, more := bytes.Cut(name, []byte("/"))
		last := !more || len(bytes.Trim(rest, "/")) == 0
		if len(segment) == 0 && !last {
			name = rest
			continue
		}
		flags := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if last {
			flags = openFlags | unix.O_NOFOLLOW
		}
		next, err := unix.Openat(at, string(segment), flags, 0)
		if at != dir {
			unix.Close(at)
		}
		if err != nil {
			errno := err.(syscall.Errno)
			if errno == unix.ELOOP || errno == unix.ENOTDIR && !last {
				errno = unix.EXDEV
			}
			return -1, errno
		}
		if last {
			return next, 0
		}
		at, name = next, rest
	}
}
