package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A stand-in for journald where there is none, so that the cost of logging to it can be measured:
// it reads and forgets. Its own processor time is nobody's, as journald's would be.

const journalSocket = "/run/systemd/journal/socket"

// openJournal makes the socket of the native protocol. It gives what takes it away again, nil where
// a real journal runs or it is not possible.
func openJournal() (func(), error) {
	if _, err := os.Stat(journalSocket); err == nil {
		return nil, fmt.Errorf("a journal runs on this machine")
	}
	if err := os.MkdirAll(filepath.Dir(journalSocket), 0o755); err != nil {
		return nil, err
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: journalSocket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 256<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	return func() {
		c.Close()
		os.Remove(journalSocket)
		os.Remove(filepath.Dir(journalSocket))
		os.Remove(filepath.Dir(filepath.Dir(journalSocket)))
	}, nil
}

// journalStream is what systemd gives a service as its standard error, and the value of
// JOURNAL_STREAM that says so.
func journalStream() (*os.File, string, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if n, err := unix.Read(fds[0], buf); err != nil && err != unix.EINTR || n == 0 {
				unix.Close(fds[0])
				return
			}
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(fds[1], &st); err != nil {
		return nil, "", err
	}
	return os.NewFile(uintptr(fds[1]), "journal"), fmt.Sprintf("%d:%d", st.Dev, st.Ino), nil
}
