package pidfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPidfile(t *testing.T) {
	p := filepath.Join(t.TempDir(), "pid")
	if err := Write(p, 123); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(p); string(b) != "123\n" {
		t.Errorf("%q", b)
	}
	if n, err := Read(p); n != 123 || err != nil {
		t.Error(n, err)
	}
	if Remove(p, 124) {
		t.Error("removed another's pidfile")
	}
	if !Remove(p, 123) || Remove(p, 123) {
		t.Error("not removed once")
	}
	for text, want := range map[string]string{"": "is empty", "\n": "is empty", "x": "not a process id",
		"0": "not a process id", "-5": "not a process id"} {
		if _, err := Read(write(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := Write("/no/such/dir/pid", 1); err == nil {
		t.Error("no error")
	}
}

// A pidfile that is none is not waited for.
func TestPidfileThatIsNone(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, "/dev/zero", t.TempDir()} {
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
