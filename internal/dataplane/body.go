package dataplane

import (
	"fmt"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
)

// requestBody gathers a request body: in memory up to a limit, past that in a temporary file
// without a name.
type requestBody struct {
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
	max     int64 // limit-post
}

func (b *requestBody) open() bool { return b.on }

// start begins a body of want bytes.
func (b *requestBody) start(want int64, e *Engine) {
	b.on, b.eng, b.want, b.limit, b.max = true, e, want, e.memoryLimit, e.limits.Body
}

// startFramed begins a body that d unwraps from its framing; want is its length if that is known,
// else -1.
func (b *requestBody) startFramed(d decoder, want int64, e *Engine) {
	b.start(want, e)
	b.decoder = d
}

// startChunked begins a body that comes in chunks.
func (b *requestBody) startChunked(e *Engine, most int64) {
	b.startFramed(e.chunks(most), -1, e)
	b.chunked = true
}

func (b *requestBody) whole() bool {
	return b.done || b.decoder == nil && b.want >= 0 && b.size == b.want
}

// left is the number of bytes that may be read without reading into the next request, -1 when
// unknown.
func (b *requestBody) left() int64 {
	if b.decoder != nil {
		return -1
	}
	return b.want - b.size
}

// feed takes bytes from the connection, which it may overwrite, and returns how many of them
// belonged to the body.
func (b *requestBody) feed(p []byte) (int, error) {
	if b.decoder == nil {
		n := min(int64(len(p)), b.want-b.size)
		return int(n), b.store(p[:n])
	}
	n, used, done, err := b.decoder.Decode(p, p)
	if err != nil {
		return used, err
	}
	b.done = done
	if b.want >= 0 {
		n = int(min(int64(n), b.want-b.size))
	} else if b.max > 0 && b.size+int64(n) > b.max {
		return used, request.ErrBodySize
	}
	return used, b.store(p[:n])
}

// framed reports whether the connection carries more than the bare body: the framing of chunks or
// records.
func (b *requestBody) framed() bool { return b.decoder != nil }

// cutShort reports whether the body ended before the announced length.
func (b *requestBody) cutShort() bool { return b.decoder != nil && b.done && b.size < b.want }

func (b *requestBody) store(p []byte) error {
	if b.passes {
		b.keep(p)
		b.size += int64(len(p))
		return nil
	}
	if b.fd == 0 && (b.want > b.limit || b.size+int64(len(p)) > b.limit) {
		fd, inRAM, err := temporary()
		if err != nil {
			return fmt.Errorf("spool a request body: %w", err)
		}
		b.fd, b.inRAM = fd, inRAM
		if err := b.write(b.mem); err != nil {
			return err
		}
		b.mem = nil
	}
	if b.fd != 0 {
		if err := b.write(p); err != nil {
			return err
		}
	} else {
		b.keep(p)
	}
	b.size += int64(len(p))
	return nil
}

// write appends to the temporary file.
func (b *requestBody) write(p []byte) error {
	if n := int64(len(p)); b.inRAM {
		if !b.eng.ram.take(n) {
			return errNoMemory
		}
		b.held += n
	}
	return writeAll(b.fd, p)
}

// keep appends to mem, which grows with what has come: what a client announces costs it nothing.
func (b *requestBody) keep(p []byte) {
	if need := len(b.mem) + len(p); need > cap(b.mem) {
		room := max(need, 2*cap(b.mem))
		if b.want >= 0 {
			room = min(room, max(need, int(b.want)))
		}
		b.mem = append(make([]byte, 0, room), b.mem...)
	}
	b.mem = append(b.mem, p...)
}

// take hands the body over: as bytes, or as a file positioned at its start, which the receiver
// closes. held of its bytes are in memory, and are given back to Engine.ram after that.
func (b *requestBody) take() (mem []byte, fd int, held int64, err error) {
	mem, fd, held = b.mem, b.fd, b.held
	b.mem, b.fd, b.held = nil, 0, 0
	e := b.eng
	b.reset()
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

func (b *requestBody) reset() {
	if b.fd > 0 {
		unix.Close(b.fd)
		b.eng.ram.give(b.held)
	}
	*b = requestBody{}
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
