// Package pidfile writes, reads and removes files that name a process. Whoever can write one
// decides what it says: nothing in it is believed.
package pidfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"uwsgi/internal/privilege"
)

// Write writes a process id and a newline, mode 0666 less the umask, over what is there.
func Write(path string, pid int) error {
	f, err := privilege.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, werr := fmt.Fprintf(f, "%d\n", pid)
	return errors.Join(werr, f.Close())
}

// maxPidfile is more than a process id ever takes: whoever can change the file may put an endless
// one there.
const maxPidfile = 64

// Read returns the process id in a file. An empty file is an error: taken as 0 it would name
// every process of the caller's group.
func Read(path string) (int, error) {
	pid, _, err := ReadOwned(path)
	return pid, err
}

// ReadOwned gives the file's owner, too. Who writes it is not always who reads it: it is not
// waited for, as for a FIFO's writer, and no more of it is read than a number has.
func ReadOwned(path string) (pid int, owner uint32, err error) {
	f, err := privilege.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("pidfile: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("pidfile %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, 0, fmt.Errorf("pidfile %s is no regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPidfile))
	if err != nil {
		return 0, 0, fmt.Errorf("pidfile: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return 0, 0, fmt.Errorf("pidfile %s is empty", path)
	}
	pid, err = strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return 0, 0, fmt.Errorf("pidfile %s: %.40q is not a process id", path, text)
	}
	return pid, st.Uid, nil
}

// Is reports whether a file holds a process id, or nothing.
func Is(f io.ReaderAt) bool {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxPidfile))
	if err != nil || len(text) == maxPidfile {
		return false
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return true
	}
	pid, err := strconv.Atoi(string(text))
	return err == nil && pid > 0
}

// Remove removes a pidfile that still names pid, and reports whether it did.
func Remove(path string, pid int) bool {
	if have, err := Read(path); err != nil || have != pid {
		return false
	}
	d, err := privilege.OpenAt(path)
	if err != nil {
		return false
	}
	defer d.Close()
	return d.Unlink() == nil
}
