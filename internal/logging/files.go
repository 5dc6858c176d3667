package logging

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
)

// Owner is a user and a group.
type Owner struct{ UID, GID int }

// Files opens and puts aside log files, with whatever rights there are.
type Files interface {
	// Open opens a file for appending, and makes it if it is not there; mode 0 and owner nil =
	// leave as they are.
	Open(path string, truncate bool, mode os.FileMode, owner *Owner) (*os.File, error)
	// Rotate renames a file.
	Rotate(path, to string) error
}

// OwnFiles are Files with the rights of this thread.
type OwnFiles struct{}

// Open implements Files. Root follows no link that somebody else could have put there.
func (OwnFiles) Open(path string, truncate bool, mode os.FileMode, owner *Owner) (*os.File, error) {
	if fd, ok := inherited(path); ok {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(dup), path), nil
	}
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND
	if truncate {
		flags |= unix.O_TRUNC
	}
	f, err := privilege.OpenFile(path, flags, 0o640)
	if err != nil {
		return nil, err
	}
	if mode != 0 {
		err = f.Chmod(mode)
	}
	if err == nil && owner != nil {
		err = f.Chown(owner.UID, owner.GID)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Rotate implements Files.
func (OwnFiles) Rotate(path, to string) error { return privilege.Rename(path, to) }

// inherited is the descriptor that a path such as /dev/stdout stands for. Where that is a pipe of
// somebody else's, opening the path would take rights that writing does not.
func inherited(path string) (fd int, ok bool) {
	switch path {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, folder := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if number, found := strings.CutPrefix(path, folder); found {
			n, err := strconv.Atoi(number)
			return n, err == nil
		}
	}
	return 0, false
}

// UserFiles are Files with the rights of a user, for a process that is root; nil = with the
// process's own.
type UserFiles struct{ Credential *syscall.Credential }

// Open implements Files.
func (u UserFiles) Open(path string, truncate bool, mode os.FileMode, owner *Owner) (f *os.File, err error) {
	err = privilege.As(u.Credential, func() (err error) {
		f, err = OwnFiles{}.Open(path, truncate, mode, owner)
		return err
	})
	return f, err
}

// Rotate implements Files.
func (u UserFiles) Rotate(path, to string) error {
	return privilege.As(u.Credential, func() error { return OwnFiles{}.Rotate(path, to) })
}

// File is a log file as the settings describe it.
type File struct {
	Path     string // absolute
	Truncate bool
	Mode     os.FileMode // 0 = leave
	Chown    bool        // to the application's user
	Backup   string      // absolute; "" = PATH.TIME
}

// FilesOf lists the log files of a configuration that are opened with the rights that the process
// was started with; relative paths start at dir, and journal is Env.Journal. What cannot be
// understood is left out: New reports it.
func FilesOf(s *option.Settings, dir string, journal bool) []File {
	var out []File
	add := func(path, backup string, truncate bool) {
		mode, err := fileMode(s.LogfileChmod)
		if path == "" || err != nil {
			return
		}
		f := File{Path: below(dir, path), Truncate: truncate, Mode: mode, Chown: s.LogfileChown}
		if backup != "" {
			f.Backup = below(dir, backup)
		}
		out = append(out, f)
	}
	if name, value := target(s, journal); name != "logto2" && !strings.Contains(value, ":") {
		add(value, s.LogBackupName, s.LogTruncate)
	}
	for _, o := range append(append([]option.Logger(nil), s.Loggers...), s.ReqLoggers...) {
		if o.Kind == "file" {
			if path, _, backup, err := fileArgument(o.Arg); err == nil {
				add(path, backup, false)
			}
		}
	}
	return out
}

func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// fileMode reads logfile-chmod, "" = 0.
func fileMode(text string) (os.FileMode, error) {
	if text == "" {
		return 0, nil
	}
	var n uint32
	if _, err := fmt.Sscanf(text, "%o", &n); err != nil || n > 0o777 {
		return 0, option.Wrong("logfile-chmod", text, errors.New("three octal digits are expected"))
	}
	return os.FileMode(n), nil
}
