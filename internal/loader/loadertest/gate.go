package loadertest

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Gate is what a role waits for: a file that is locked until Open.
type Gate struct {
	Path string
	file *os.File
}

// NewGate makes a gate that is shut.
func NewGate(t testing.TB) *Gate {
	t.Helper()
	g := &Gate{Path: filepath.Join(t.TempDir(), "gate")}
	var err error
	if g.file, err = os.Create(g.Path); err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(g.file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Open)
	return g
}

// Open lets all who wait go on, and all who come later.
func (g *Gate) Open() { g.file.Close() }

// pass returns once the gate is open.
func pass(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // the test is over
	}
	for unix.Flock(fd, unix.LOCK_SH) == unix.EINTR {
	}
	unix.Close(fd)
}
