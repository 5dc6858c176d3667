package dataplane

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slow is what a client has not taken yet of a finished response: bytes of ours, then bytes of the application's, then a file.
type slow struct {
	mem    []byte
	rest   []byte
	pinned unsafe.Pointer // keeps rest alive
	file   int            // 0: none
	off    int64
	left   int64
	keep   bool // the connection goes on afterwards
	linger bool // nothing is left to write: only what the client still sends is thrown away until it closes
	total  int64
}

// write sends what the client takes. EAGAIN: there is more; 0: all is sent.
func (s *slow) write(fd int) syscall.Errno {
	for _, p := range []*[]byte{&s.mem, &s.rest} {
		for len(*p) > 0 {
			n, errno := send(fd, *p, 0)
			if errno != 0 {
				return errno
			}
			*p = (*p)[n:]
		}
	}
	if s.file == 0 {
		return 0
	}
	var errno syscall.Errno
	s.off, s.left, errno = sendfile(fd, s.file, s.off, s.left)
	return errno
}

func (s *slow) reset(e *Engine) {
	if s.file > 0 {
		unix.Close(s.file)
	}
	if s.pinned != nil {
		e.app.Release(s.pinned)
	}
	*s = slow{}
}
