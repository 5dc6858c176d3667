package supervisor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// lockSpace is the size of the file of the locks: room for 262,144 of them, of which those that are
// used take memory.
const lockSpace = 1 << 20

// LockHolders gives the process ids of those who hold the first n locks of uwsgi.lock, 0 = nobody.
// A lock is a byte of the file that the kernel has locked for its holder, which leaves its process
// id as the number-th int32 of the file.
func (s *Supervisor) LockHolders(n int) []int {
	holders := make([]int, n)
	for i := range holders {
		var pid [4]byte
		if _, err := s.locks.ReadAt(pid[:], int64(len(pid)*i)); err == nil && s.isLocked(i) {
			holders[i] = int(int32(binary.NativeEndian.Uint32(pid[:])))
		}
	}
	return holders
}

// isLocked asks the kernel: a holder that was killed could not take its process id back.
func (s *Supervisor) isLocked(number int) bool {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(number), Len: 1}
	conn, err := s.locks.SyscallConn()
	if err != nil {
		return false
	}
	if cerr := conn.Control(func(fd uintptr) { err = unix.FcntlFlock(fd, unix.F_OFD_GETLK, &lock) }); cerr != nil {
		err = cerr
	}
	return err == nil && lock.Type != unix.F_UNLCK
}
