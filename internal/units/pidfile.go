package units

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// RootPidfile is the variable that names, to an instance that never is root, the pidfile that this
// program writes and removes for it: root does in uWSGI, and it lies where only root may. Where
// RootWrites says no, it is the instance's after all.
const RootPidfile = "UWSGI_ROOT_PIDFILE"

// RootWrites reports whether root may write a file of that name: see openFolder. Who asks need not
// be root.
func RootWrites(name string) bool {
	dir, _, err := openFolder(name)
	if err == nil {
		unix.Close(dir)
	}
	return err == nil
}

// maxLinks is how many links one name may lead through.
const maxLinks = 16

// openFolder opens the folder that a name is in, and gives the name's last part. Only root may have
// a say in where that is: all folders above it and all links among them are root's, and where
// others can write they cannot remove what is not theirs (/tmp). A file that is made in the folder
// under a new name, and renamed within it, then touches nothing outside.
func openFolder(name string) (dir int, base string, err error) {
	if !path.IsAbs(name) || path.Base(name) == "/" {
		return -1, "", fmt.Errorf("%s is no absolute name of a file", name)
	}
	const open = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	name, base = path.Split(path.Clean(name))
	dir, err = unix.Open("/", open, 0)
	if err != nil {
		return -1, "", err
	}
	fail := func(err error) (int, string, error) {
		unix.Close(dir)
		return -1, "", err
	}
	parts := split(name)
	for links := 0; len(parts) > 0; {
		var above, st unix.Stat_t
		if err := unix.Fstat(dir, &above); err != nil {
			return fail(err)
		}
		if othersWrite(&above) {
			return fail(fmt.Errorf("somebody other than root can change what %s is", parts[0]))
		}
		next, err := unix.Openat(dir, parts[0], open, 0)
		if err != nil {
			return fail(&fs.PathError{Op: "open", Path: parts[0], Err: err})
		}
		if err = unix.Fstat(next, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			if links++; st.Uid != 0 || links > maxLinks {
				unix.Close(next)
				return fail(fmt.Errorf("%s is a link that is not root's", parts[0]))
			}
			var target string
			target, err = readLink(next)
			unix.Close(next)
			if err == nil && path.IsAbs(target) {
				unix.Close(dir)
				dir, err = unix.Open("/", open, 0)
			}
			parts = append(split(target), parts[1:]...)
		} else {
			unix.Close(dir)
			dir, parts = next, parts[1:]
		}
		if err != nil {
			return fail(err)
		}
	}
	return dir, base, nil
}

func split(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

// readLink gives the target of a link that is open.
func readLink(fd int) (string, error) {
	var target [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", target[:])
	if err != nil {
		return "", fmt.Errorf("readlink: %w", err)
	}
	return string(target[:n]), nil
}

// pidfileSize is how large a file may be that gives way to a pidfile.
const pidfileSize = 32

// writePidfile puts a pidfile of root's into the place of what is there.
func writePidfile(name, pid string) error {
	if n, err := strconv.Atoi(pid); err != nil || n <= 0 {
		return fmt.Errorf("%q is no process id", pid)
	}
	dir, base, err := openFolder(name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	err = unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size > pidfileSize {
		return errors.New("the file that is there is none")
	}
	temporary := fmt.Sprintf(".%s.%d", base, os.Getpid())
	fd, err := unix.Openat(dir, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &fs.PathError{Op: "create", Path: temporary, Err: err}
	}
	f := os.NewFile(uintptr(fd), temporary)
	_, err = io.WriteString(f, pid+"\n")
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = unix.Renameat(dir, temporary, dir, base)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, temporary, 0)
	}
	return err
}

// removePidfile removes what writePidfile wrote.
func removePidfile(name string) error {
	dir, base, err := openFolder(name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) {
		return nil
	} else if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != uint32(os.Geteuid()) || st.Size > pidfileSize {
		return nil // somebody else's
	}
	return unix.Unlinkat(dir, base, 0)
}

// pidfile is --pidfile: NAME PID writes it, NAME alone removes it. An instance whose folder is not
// root's alone writes its own.
func pidfile(args []string, stderr io.Writer) int {
	if !RootWrites(args[0]) {
		return 0
	}
	var err error
	if len(args) == 2 {
		err = writePidfile(args[0], args[1])
	} else {
		err = removePidfile(args[0])
	}
	if err != nil {
		err = fmt.Errorf("pidfile = %s: %w", args[0], err)
	}
	return warn(stderr, err)
}
