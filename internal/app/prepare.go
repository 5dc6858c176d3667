package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
)

// prepare does what the configuration wants done before anything is opened: waits for files and
// sockets of others, takes locks, writes files. The locks last as long as the process.
func prepare(s *option.Settings, print func(string)) error {
	exists := func(p string) bool { _, err := os.Stat(p); return err == nil }
	regular := func(p string) bool { st, err := os.Stat(p); return err == nil && st.Mode().IsRegular() }
	folder := func(p string) bool { st, err := os.Stat(p); return err == nil && st.IsDir() }
	iface := func(name string) bool { _, err := net.InterfaceByName(name); return err == nil }
	for _, w := range []struct {
		option  string
		what    []string
		there   func(string) bool
		timeout time.Duration
	}{
		{"wait-for-interface", s.WaitForIface, iface, s.WaitForIfaceTimeout},
		{"wait-for-fs", s.WaitForFS, exists, s.WaitForFSTimeout},
		{"wait-for-file", s.WaitForFile, regular, s.WaitForFSTimeout},
		{"wait-for-dir", s.WaitForDir, folder, s.WaitForFSTimeout},
		{"wait-for-mountpoint", s.WaitForMount, mounted, s.WaitForFSTimeout},
		{"wait-for-socket", s.WaitForSocket, accepts, s.WaitForSocketTimeout},
	} {
		for _, what := range w.what {
			if err := waitFor(what, w.there, w.timeout, print); err != nil {
				return option.Wrong(w.option, what, err)
			}
		}
	}
	for _, path := range s.Flock {
		if err := lock(path, unix.LOCK_NB); err != nil {
			return option.Wrong("flock", path, err)
		}
	}
	for _, path := range s.FlockWait {
		if err := lock(path, 0); err != nil {
			return option.Wrong("flock-wait", path, err)
		}
	}
	for _, w := range s.FileWrites {
		if err := write(w.Name, w.Value); err != nil {
			return option.Wrong("file-write", w.Name+"="+w.Value, err)
		}
	}
	return nil
}

const (
	waitPoll    = 100 * time.Millisecond
	waitDefault = 60 * time.Second // uWSGI's
)

func waitFor(what string, there func(string) bool, timeout time.Duration, print func(string)) error {
	if timeout <= 0 {
		timeout = waitDefault
	}
	said := false
	for deadline := time.Now().Add(timeout); !there(what); time.Sleep(waitPoll) {
		if time.Now().After(deadline) {
			return fmt.Errorf("it is not there after %s", timeout)
		}
		if !said {
			said = true
			print(fmt.Sprintf("waiting for %s (max %d seconds) ...", what, int(timeout.Seconds())))
		}
	}
	if said {
		print(what + " ready")
	}
	return nil
}

// mounted reports whether path is on another file system than the folder above it.
func mounted(path string) bool {
	var at, above unix.Stat_t
	return unix.Stat(path, &at) == nil && unix.Stat(filepath.Dir(filepath.Clean(path)), &above) == nil &&
		at.Dev != above.Dev
}

// accepts reports whether somebody listens at an address, a path or host:port.
func accepts(address string) bool {
	network := "unix"
	if strings.Contains(address, ":") {
		network = "tcp"
	}
	c, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// write is file-write.
func write(path, text string) error {
	f, err := privilege.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, werr := f.WriteString(text)
	return errors.Join(werr, f.Close())
}

// locks are held as long as the process lives.
var locks []*os.File

// lock takes an exclusive lock on an existing file and leaves it open.
func lock(path string, flags int) error {
	f, err := privilege.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	locks = append(locks, f)
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|flags); err {
	case nil:
		return nil
	case unix.EWOULDBLOCK:
		return fmt.Errorf("uWSGI ERROR: %s is locked by another instance", path)
	default:
		return &os.PathError{Op: "flock", Path: path, Err: err}
	}
}

// fallBack starts this program again with fallback-config, after it ended with status 1. It returns
// only when that fails.
func fallBack(s *option.Settings, args []string, std Streams) {
	exe, err := os.Executable()
	if err == nil {
		fmt.Fprintf(std.Err, "!!! %s (pid: %d) exited with status %d !!!\n!!! Fallback config to %s !!!\n", args[0],
			os.Getpid(), exitError, s.FallbackConfig)
		err = syscall.Exec(exe, []string{args[0], s.FallbackConfig}, os.Environ())
	}
	fmt.Fprintln(std.Err, "uwsgi: fallback-config:", err)
}
