package dataplane

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pendingOutput is what a client has not yet taken of a finished response: bytes of ours, then
// bytes of the application, then a file. Everything after mem goes out as records, if the protocol
// has them.
type pendingOutput struct {
	mem    []byte
	rest   []byte
	tail   []byte         // behind the file
	pinned unsafe.Pointer // keeps rest alive
	file   int            // 0: none
	off    int64
	left   int64

	copying bool // the file is read and written: disable-sendfile, or sendfile is refused
	buf     []byte
	fault   syscall.Errno // why no more of the file could be read, 0: it is too short

	records *records // nil: it is not framed
	id      uint16   // of the request
	piece   int      // bytes of the record begun that are still to come
	ended   bool     // what ends the response is in mem, or out
	frame   [32]byte // memory for what stands before a record, or ends the response

	keep         bool          // the connection goes on afterwards
	sending      bool          // the client still sends the request's body, which nobody reads
	endedByClose bool          // nothing but the end of the connection marks the end of the response
	subject      string        // for the log, as Exchange.logSubject gives it
	writeErrs    *atomic.Int64 // of the core whose response it is
	// nothing is left to write: only what the client still sends is thrown away until it closes
	linger    bool
	lingerEnd int64 // monotonic ns; then it is closed, whatever the client does
}

// maxBurst is how many bytes one client gets in a row while others may wait.
const maxBurst = 4 << 20

// write sends what the client takes, maxBurst at most. EAGAIN: more is left; 0: all is sent;
// ENODATA: the file ended early.
func (s *pendingOutput) write(cn *conn) syscall.Errno {
	for sent := 0; ; {
		flag := 0
		if len(s.rest) > 0 || s.left > 0 {
			flag = unix.MSG_MORE // leave together
		}
		for len(s.mem) > 0 {
			n, errno := cn.send(s.mem, flag)
			if errno != 0 {
				return errno
			}
			if s.mem = s.mem[n:]; len(s.mem) > 0 {
				return unix.EAGAIN // as the next call would say
			}
		}
		if s.records != nil && s.piece == 0 {
			if s.ended {
				return 0
			}
			s.record()
			continue
		}
		if len(s.rest) == 0 && s.left == 0 {
			if len(s.tail) == 0 {
				return 0
			}
			s.mem, s.tail = s.tail, nil
			continue
		}
		n, errno := s.writeBody(cn)
		s.piece -= n
		if errno != 0 {
			return errno
		}
		if sent += n; sent >= maxBurst && (len(s.rest) > 0 || s.left > 0) {
			return unix.EAGAIN
		}
	}
}

// unsent reports whether something is still to be written.
func (s *pendingOutput) unsent() bool {
	return len(s.mem) > 0 || len(s.rest) > 0 || s.left > 0 || len(s.tail) > 0
}

// queue adds p behind mem; where mem is empty p itself is kept, not a copy.
func (s *pendingOutput) queue(p []byte) {
	if len(s.mem) == 0 {
		s.mem = p
		return
	}
	s.mem = append(s.mem, p...)
}

// append adds a copy of p behind everything else.
func (s *pendingOutput) append(p []byte) {
	if len(s.rest) > 0 || s.left > 0 {
		s.tail = append(s.tail, p...)
		return
	}
	s.mem = append(s.mem, p...)
}

// record begins the next record, or ends the response.
func (s *pendingOutput) record() {
	if s.piece = min(len(s.rest), s.records.max); s.piece == 0 {
		s.piece = int(min(s.left, int64(s.records.max)))
	}
	if s.piece == 0 {
		s.ended = true
		s.mem = s.records.end(s.frame[:0], s.id)
		return
	}
	s.mem = s.records.begin(s.frame[:0], s.id, s.piece)
}

// writeBody sends a part of what follows mem and returns how many bytes went out.
func (s *pendingOutput) writeBody(cn *conn) (int, syscall.Errno) {
	if p := s.rest; len(p) > 0 {
		if s.records != nil {
			p = p[:s.piece]
		}
		n, errno := cn.send(p, 0)
		if errno != 0 {
			return 0, errno
		}
		s.rest = s.rest[n:]
		if n < len(p) {
			errno = unix.EAGAIN // as the next call would say
		}
		return n, errno
	}
	want := s.left
	if s.records != nil {
		want = int64(s.piece)
	}
	var n int
	var errno syscall.Errno
	if !s.copying {
		n, errno = cn.sendfile(s.file, s.off, want)
		s.copying = refused(errno)
	}
	if s.copying {
		n, errno = s.copy(cn, want)
	}
	switch {
	case errno != 0:
		return 0, errno
	case n == 0:
		errno = unix.ENODATA
	case int64(n) < min(want, maxBurst) && !s.copying:
		errno = unix.EAGAIN // as the next call would say
	}
	s.off += int64(n)
	s.left -= int64(n)
	return n, errno
}

// refused reports whether sendfile is not available here: the file system lacks it, or a filter of
// system calls does. An error of the disk is told from one of the client by reading.
func refused(errno syscall.Errno) bool {
	switch errno {
	case unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EACCES, unix.EOPNOTSUPP, unix.EIO:
		return true
	}
	return false
}

// cutShort says why less of the file was sent than was promised (ENODATA).
func (s *pendingOutput) cutShort() string {
	if s.fault != 0 {
		return "a file could not be read while it was sent: " + s.fault.Error()
	}
	return "a file became shorter while it was sent"
}

// copy is sendfile by reading and writing.
func (s *pendingOutput) copy(cn *conn, want int64) (int, syscall.Errno) {
	if s.buf == nil {
		s.buf = make([]byte, 64<<10)
	}
	n, err := unix.Pread(s.file, s.buf[:min(want, int64(len(s.buf)))], s.off)
	switch {
	case err == unix.EINTR:
		return 0, unix.EAGAIN
	case err != nil:
		s.fault = err.(syscall.Errno)
		return 0, 0
	case n == 0:
		return 0, 0
	}
	k, errno := cn.send(s.buf[:n], 0)
	return max(k, 0), errno // -1 with an error
}

func (s *pendingOutput) reset(e *Engine) {
	if s.file > 0 {
		unix.Close(s.file)
	}
	if s.pinned != nil {
		e.app.Release(s.pinned)
	}
	*s = pendingOutput{}
}
