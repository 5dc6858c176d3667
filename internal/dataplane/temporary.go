package dataplane

import (
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
)

// temporary makes a file without a name in $TMPDIR or /tmp. Where none can be made there (a
// read-only root, no such folder, no right to it) it is in memory, and counts in Engine.ram.
func temporary() (fd int, inRAM bool, err error) {
	if fd, err = temporaryFile(os.TempDir()); err == nil || !closed(err) {
		return fd, false, err
	}
	if memfd, memErr := unix.MemfdCreate("uwsgi-temporary", unix.MFD_CLOEXEC); memErr == nil {
		return memfd, true, nil
	}
	return -1, false, err
}

// closed reports whether a folder cannot take files at all. (A full one may take some again soon.)
func closed(err error) bool {
	for _, no := range []error{unix.EROFS, unix.EACCES, unix.EPERM, unix.ENOENT, unix.ENOTDIR, unix.ELOOP} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

func temporaryFile(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return fd, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return -1, &os.PathError{Op: "open a temporary file in", Path: dir, Err: err}
	}
	f, err := os.CreateTemp(dir, "uwsgi-body-")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	os.Remove(f.Name())
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
}

var errNoMemory = &request.Error{Status: 507, Reason: "no temporary file can be made, and the memory for what would " +
	"be in them is used up", Option: "post-buffering-memory"}

// budget bounds the memory of the temporary files that are kept there.
type budget struct {
	used atomic.Int64
	max  int64
}

// take reserves n bytes. False: that would be too many.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.max {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// tellTemporary says where temporary files are kept where no folder takes them.
func (e *Engine) tellTemporary() {
	fd, err := temporaryFile(os.TempDir())
	if err == nil {
		unix.Close(fd)
		return
	}
	if closed(err) {
		e.house.note("%v: request bodies above %d bytes (post-buffering), and what slow clients have not read yet, "+
			"are kept in memory, up to %d MiB in each worker "+
			"(post-buffering-memory); TMPDIR names another folder", err, e.memoryLimit, e.ram.max>>20)
	}
}
