package dataplane

import (
	"fmt"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
)

// spool gathers a request body: in memory up to a limit, past that in a temporary file without a
// name.
type spool struct {
	on      bool
	want    int64 // -1: not known
	size    int64 // gathered
	mem     []byte
	fd      int // 0: none
	eng     *Engine
	held    int64   // bytes of fd that are in memory, see Engine.ram
	inRAM   bool    // fd is
	decoder decoder // takes it out of what frames it, nil: nothing does
	chunked bool    // which is chunks
	done    bool
	passes  bool  // it goes on to the application as it comes: nothing is gathered
	limit   int64 // memory
	most    int64 // limit-post
}

func (s *spool) open() bool { return s.on }

// start begins a body of want bytes.
func (s *spool) start(want int64, e *Engine) {
	s.on, s.eng, s.want, s.limit, s.most = true, e, want, e.memoryLimit, e.limits.Body
}

// startFramed begins a body that d takes out of what frames it; want is its length if that is
// known, else -1.
func (s *spool) startFramed(d decoder, want int64, e *Engine) {
	s.start(want, e)
	s.decoder = d
}

// startChunked begins a body that comes in chunks.
func (s *spool) startChunked(e *Engine) {
	s.startFramed(e.chunks(), -1, e)
	s.chunked = true
}

func (s *spool) whole() bool { return s.done || s.decoder == nil && s.want >= 0 && s.size == s.want }

// left is the number of bytes that may be read without reading into the next request, -1 when
// unknown.
func (s *spool) left() int64 {
	if s.decoder != nil {
		return -1
	}
	return s.want - s.size
}

// feed takes bytes from the connection, which it may overwrite, and tells how many of them were the
// body's.
func (s *spool) feed(p []byte) (int, error) {
	if s.decoder == nil {
		n := min(int64(len(p)), s.want-s.size)
		return int(n), s.store(p[:n])
	}
	n, used, done, err := s.decoder.Decode(p, p)
	if err != nil {
		return used, err
	}
	s.done = done
	if s.want >= 0 {
		n = int(min(int64(n), s.want-s.size))
	} else if s.most > 0 && s.size+int64(n) > s.most {
		return used, request.ErrBodySize
	}
	return used, s.store(p[:n])
}

// framed says that what comes on the connection is not the body alone.
func (s *spool) framed() bool { return s.decoder != nil }

// cutShort says that the body has ended before the length that was announced.
func (s *spool) cutShort() bool { return s.decoder != nil && s.done && s.size < s.want }

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
