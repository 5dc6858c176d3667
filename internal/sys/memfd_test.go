package sys

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestSealed(t *testing.T) {
	fd, err := Memfd("test", 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, size := range []int64{0, 4095, 8192} {
		if err := unix.Ftruncate(fd, size); err != unix.EPERM {
			t.Errorf("size %d: %v", size, err)
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); err != unix.EPERM {
		t.Errorf("another seal: %v", err)
	}
	if _, err := unix.Pwrite(fd, []byte("x"), 4095); err != nil {
		t.Error(err)
	}
}
