package sys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Memfd makes an anonymous file of size bytes, close-on-exec, for memory that the supervisor shares
// with the application's processes. Nobody can change its size: reading a mapping past the end of a
// file that has been cut short is SIGBUS.
func Memfd(name string, size int64) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("memfd_create %s: %w", name, err)
	}
	if err = unix.Ftruncate(fd, size); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("set the size of %s to %d bytes: %w", name, size, err)
	}
	return fd, nil
}
