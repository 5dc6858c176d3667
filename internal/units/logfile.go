package units

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"uwsgi/internal/listen"
)

// debianLogs is the folder of the package's own, whose files may change hands with the instance
// that writes them.
const debianLogs = "/var/log/uwsgi"

// logfileMode is that of a log file: uWSGI's.
const logfileMode = 0o640

// rootLogs are the files that root opens in uWSGI: the instance, which never is root, finds them
// made and its own.
func (i Instance) rootLogs() []string {
	s := i.Settings
	out := []string{s.LogTo}
	for _, l := range append(slices.Clone(s.Loggers), s.ReqLoggers...) {
		if l.Kind == "file" {
			out = append(out, l.Arg)
		}
	}
	return slices.DeleteFunc(out, func(p string) bool { return !path.IsAbs(p) })
}

// makeLogfile makes a log file for an account where only root may: see openFolder. What is there
// already stays as it is, unless it is root's and below debianLogs: uWSGI's, of the time before.
func makeLogfile(name string, uid, gid int) error {
	dir, base, err := openFolder(name)
	if err != nil {
		return nil // the instance's own, or none
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC,
		logfileMode)
	switch {
	case err == nil:
		f := os.NewFile(uintptr(fd), name)
		return errors.Join(f.Chown(uid, gid), f.Chmod(logfileMode), f.Close())
	case !errors.Is(err, unix.EEXIST) || !below(name, debianLogs):
		return ignore(err, unix.EEXIST)
	}
	fd, err = unix.Openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 || st.Nlink != 1 {
		return err
	}
	return unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH)
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// logfile is --logfile: FILE USER [GROUP].
func logfile(args []string, stderr io.Writer) int {
	group := ""
	if len(args) == 3 {
		group = args[2]
	}
	id, err := listen.Lookup(args[1], group, nil, true)
	if err == nil && id.Credential != nil {
		err = makeLogfile(args[0], int(id.Credential.Uid), int(id.Credential.Gid))
	}
	if err != nil {
		err = fmt.Errorf("log file %s: %w", args[0], err)
	}
	return warn(stderr, err)
}
