package listen

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/sd"
)

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func settings(addresses ...string) *option.Settings {
	s := &option.Settings{SocketSettings: option.SocketSettings{Protocol: "uwsgi", SkipZero: true},
		PrivilegeSettings: option.PrivilegeSettings{Umask: -1}}
	for _, a := range addresses {
		s.Sockets = append(s.Sockets, option.Socket{Address: a, Option: "socket"})
	}
	return s
}

func mustOpen(t *testing.T, s *option.Settings, in ...sd.Inherited) (*Set, *lines) {
	t.Helper()
	log := &lines{}
	set, err := Open(s, "", in, nil, log.add)
	if err != nil {
		t.Fatalf("Open: %v\n%s", err, log)
	}
	t.Cleanup(func() { set.Close() })
	return set, log
}

// canConnect dials the socket that a Socket names.
func canConnect(t *testing.T, network, address string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatalf("dial %s: %v", address, err)
	}
	c.Close()
}

// passed makes a listening descriptor as systemd would pass it.
func passed(t *testing.T, network, address, name string) sd.Inherited {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	raw, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	t.Cleanup(func() { raw.Close() })
	return sd.Inherited{File: raw, Name: name}
}

func socketPath(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwsgi-listen")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, name)
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}
