package privilege

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Handle is a file, folder or socket that was opened as itself: what is set on it is set on that
// and on nothing else.
type Handle struct {
	fd   int
	path string // for messages
}

// Close lets go of it.
func (h *Handle) Close() error { return unix.Close(h.fd) }

// Stat is fstat(2).
func (h *Handle) Stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(h.fd, &st); err != nil {
		return st, &os.PathError{Op: "stat", Path: h.path, Err: err}
	}
	return st, nil
}

// Chown sets owner and group, -1 = leave. What is right already is left alone, so that it takes no
// rights.
func (h *Handle) Chown(uid, gid int) error {
	st, err := h.Stat()
	if err != nil {
		return err
	}
	if (uid < 0 || uint32(uid) == st.Uid) && (gid < 0 || uint32(gid) == st.Gid) {
		return nil
	}
	if err := unix.Fchownat(h.fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "chown", Path: h.path, Err: err}
	}
	return nil
}

// Chmod sets the permissions. A link has none (EOPNOTSUPP).
func (h *Handle) Chmod(mode uint32) error {
	st, err := h.Stat()
	if err != nil {
		return err
	}
	if st.Mode&0o7777 == mode {
		return nil
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return &os.PathError{Op: "chmod", Path: h.path, Err: unix.EOPNOTSUPP}
	}
	// fchmod(2) does not take O_PATH descriptors, and fchmodat2(2) is of Linux 6.6.
	err = unix.Chmod("/proc/self/fd/"+strconv.Itoa(h.fd), mode)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Fchmodat(unix.AT_FDCWD, h.path, mode, 0) // no /proc is mounted
	}
	if err != nil {
		return &os.PathError{Op: "chmod", Path: h.path, Err: err}
	}
	return nil
}
