package spool

import (
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/needs"
)

// small gives a folder a disk of 64 KiB of its own.
func small(t *testing.T, dir string) {
	t.Helper()
	needs.Root(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }
