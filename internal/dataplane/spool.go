package dataplane

import (
	"fmt"

	"golang.org/x/sys/unix"

	"uwsgi/internal/proto/fastcgi"
	"uwsgi/internal/proto/http1"
)

// spool gathers a request body: in memory up to a limit, past that in a temporary file without a
// name.
type spool struct {
	on      bool
	want    int64 // -1: chunked
	size    int64 // gathered
	mem     []byte
	fd      int // 0: none
	eng     *Engine
	held    int64 // bytes of fd that are in memory, see Engine.ram
	inRAM   bool  // fd is
	chunked *http1.Chunked
	stdin   *fastcgi.Stdin
	done    bool
	passes  bool  // it goes on to the application as it comes: nothing is gathered
	limit   int64 // memory
	most    int64 // limit-post, for STDIN records of a length that is not known
}

func (s *spool) open() bool { return s.on }

// start begins a body of want bytes, -1 for a chunked one.
func (s *spool) start(want int64, e *Engine) {
	s.on, s.eng, s.want, s.limit = true, e, want, e.memoryLimit
	if want < 0 {
		s.chunked = &http1.Chunked{MaxBody: e.limits.Body, MaxChunk: e.settings.ChunkedInputLimit}
	}
}

func (s *spool) whole() bool { return s.done || s.stdin == nil && s.want >= 0 && s.size == s.want }

// left is the number of bytes that may be read without reading into the next request, -1 when
// unknown.
func (s *spool) left() int64 {
	if s.want < 0 || s.stdin != nil {
		return -1
	}
	return s.want - s.size
}

// feed takes bytes from the connection and tells how many of them were the body's.
func (s *spool) feed(p []byte) (int, error) {
	if s.stdin != nil {
		return s.feedRecords(p)
	}
	if s.chunked == nil {
		n := min(int64(len(p)), s.want-s.size)
		return int(n), s.store(p[:n])
	}
	used := 0
	var plain [16 << 10]byte
	for used < len(p) && !s.done {
		nd, ns, done, err := s.chunked.Decode(plain[:], p[used:])
		used += ns
		if err != nil {
			return used, err
		}
		if err := s.store(plain[:nd]); err != nil {
			return used, err
		}
		s.done = done
		if nd == 0 && ns == 0 && !done {
			break
		}
	}
	return used, nil
}

// framed says that what comes on the connection is not the body alone.
func (s *spool) framed() bool { return s.chunked != nil || s.stdin != nil }

// cutShort says that the body has ended before the length that was announced.
func (s *spool) cutShort() bool { return s.stdin != nil && s.done && s.size < s.want }

func (s *spool) store(p []byte) error {
	if s.passes {
		s.keep(p)
		s.size += int64(len(p))
		return nil
	}
	if s.fd == 0 && (s.want > s.limit || s.size+int64(len(p)) > s.limit) {
		fd, inRAM, err := temporary()
		if err != nil {
			return fmt.Errorf("spool a request body: %w", err)
		}
		s.fd, s.inRAM = fd, inRAM
		if err := s.write(s.mem); err != nil {
			return err
		}
		s.mem = nil
	}
	if s.fd != 0 {
		if err := s.write(p); err != nil {
			return err
		}
	} else {
		s.keep(p)
	}
	s.size += int64(len(p))
	return nil
}

// write appends to the temporary file.
func (s *spool) write(p []byte) error {
	if n := int64(len(p)); s.inRAM {
		if !s.eng.ram.take(n) {
			return errNoMemory
		}
		s.held += n
	}
	return writeAll(s.fd, p)
}

// keep appends to mem, which grows with what has come: what a client announces costs it nothing.
func (s *spool) keep(p []byte) {
	if need := len(s.mem) + len(p); need > cap(s.mem) {
		room := max(need, 2*cap(s.mem))
		if s.want >= 0 {
			room = min(room, max(need, int(s.want)))
		}
		s.mem = append(make([]byte, 0, room), s.mem...)
	}
	s.mem = append(s.mem, p...)
}

// take hands the body over: bytes, or a file to be closed by the receiver that stands at its start,
// with the bytes of it that are held in memory and to be freed when it has been closed.
func (s *spool) take() (mem []byte, fd int, held int64, err error) {
	mem, fd, held = s.mem, s.fd, s.held
	s.mem, s.fd, s.held = nil, 0, 0
	e := s.eng
	s.reset()
	if fd == 0 {
		return mem, -1, 0, nil
	}
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		unix.Close(fd)
		e.ram.give(held)
		return nil, -1, 0, fmt.Errorf("rewind a spooled body: %w", err)
	}
	return nil, fd, held, nil
}

func (s *spool) reset() {
	if s.fd > 0 {
		unix.Close(s.fd)
		s.eng.ram.give(s.held)
	}
	*s = spool{}
}

func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write a request body to its temporary file: %w", err)
		}
		p = p[n:]
	}
	return nil
}
