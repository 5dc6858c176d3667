package sys

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMonotonic(t *testing.T) {
	var before, after unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &before)
	now := Monotonic()
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &after)
	if off := int64(time.Millisecond); now < before.Nano()-off || now > after.Nano()+off {
		t.Errorf("%d is not between %d and %d", now, before.Nano(), after.Nano())
	}
}

func TestMemory(t *testing.T) {
	for _, pid := range []int{0, os.Getpid()} {
		if rss, vsz, err := Memory(pid); err != nil || rss <= 0 || vsz < rss {
			t.Errorf("of %d: %d resident, %d in all, %v", pid, rss, vsz, err)
		}
	}
	if _, _, err := Memory(1 << 30); err == nil {
		t.Error("a process that is not there has a size")
	}
	for line, want := range map[string]bool{"12 3 4 0\n": true, "12 3": true, "12 3\n": false, "": false, "12 ": false,
		" 12 3 ": false, "x": false} {
		if pages, ok := statm([]byte(line)); ok != want || ok && pages != [2]int64{12, 3} {
			t.Errorf("%q: %v, %t", line, pages, ok)
		}
	}
}

// TestMainThread: of all that a process does, what its first thread did, whatever its name is.
func TestMainThread(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a) b (c")
	if err := os.Symlink("/bin/sh", name); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for late := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) { // why: the kernel counts late
		ran, err := MainThread(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if ran >= 20*time.Millisecond {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("a process that always runs has run %s", ran)
		}
	}
	if _, err := MainThread(1 << 30); err == nil {
		t.Error("a process that is not there has run")
	}
}

func TestDescriptors(t *testing.T) {
	if got := Descriptors(unix.UnixRights(3, 4)); len(got) != 2 || got[0] != 3 || got[1] != 4 {
		t.Errorf("%v", got)
	}
	if got := Descriptors([]byte("nonsense")); got != nil {
		t.Errorf("%v", got)
	}
}
