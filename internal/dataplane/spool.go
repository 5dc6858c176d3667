package dataplane

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"uwsgi/internal/proto/fastcgi"
	"uwsgi/internal/proto/http1"
)

// spool gathers a request body: in memory up to a limit, past that in a temporary file without a name.
type spool struct {
	on      bool
	want    int64 // -1: chunked
	size    int64 // gathered
	mem     []byte
	fd      int // 0: none
	chunked *http1.Chunked
	stdin   *fastcgi.Stdin
	done    bool
	limit   int64 // memory
	most    int64 // limit-post, for STDIN records of a length that is not known
}

func (s *spool) open() bool { return s.on }

// start begins a body of want bytes, -1 for a chunked one.
func (s *spool) start(want int64, e *Engine) {
	s.on, s.want, s.limit = true, want, e.memoryLimit
	if want < 0 {
		s.chunked = &http1.Chunked{MaxBody: e.limits.Body, MaxChunk: e.settings.ChunkedInputLimit}
	}
}

func (s *spool) whole() bool { return s.done || s.stdin == nil && s.want >= 0 && s.size == s.want }

// left is the number of bytes that may be read without reading into the next request, -1 when unknown.
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

func (s *spool) store(p []byte) error {
	if s.fd == 0 && (s.want > s.limit || s.size+int64(len(p)) > s.limit) {
		fd, err := temporary()
		if err != nil {
			return fmt.Errorf("spool a request body: %w", err)
		}
		s.fd = fd
		if err := writeAll(fd, s.mem); err != nil {
			return err
		}
		s.mem = nil
	}
	if s.fd != 0 {
		if err := writeAll(s.fd, p); err != nil {
			return err
		}
	} else {
		s.keep(p)
	}
	s.size += int64(len(p))
	return nil
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

// take hands the body over: bytes, or a file to be closed by the receiver that stands at its start.
func (s *spool) take() ([]byte, int, error) {
	mem, fd := s.mem, s.fd
	s.mem, s.fd = nil, 0
	s.reset()
	if fd == 0 {
		return mem, -1, nil
	}
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("rewind a spooled body: %w", err)
	}
	return nil, fd, nil
}

func (s *spool) reset() {
	if s.fd > 0 {
		unix.Close(s.fd)
	}
	*s = spool{}
}

// temporary makes a file without a name in $TMPDIR or /tmp.
func temporary() (int, error) {
	dir := os.TempDir()
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return fd, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return -1, &os.PathError{Op: "open a temporary file in", Path: dir, Err: err}
	}
	f, err := os.CreateTemp(dir, "uwsgi-body-")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	os.Remove(f.Name())
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
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
