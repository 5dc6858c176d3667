package http1

import "uwsgi/internal/request"

// Chunked decodes a chunked body (RFC 9112 §7.1) piece by piece. The zero value is ready, without
// limits. Chunk extensions are skipped and trailers dropped, but both must be well-formed and
// short.
type Chunked struct {
	MaxBody  int64 // decoded bytes in all; 0 = no limit (limit-post)
	MaxChunk int64 // bytes of one chunk; 0 = no limit (chunked-input-limit)

	state    chunkState
	digits   uint8 // of the size that is being read
	left     int64 // bytes to come of this chunk; while its size is read, the size so far
	body     int64 // sizes of all chunks so far
	overhead int   // bytes of extensions, later of trailers, so far
}

type chunkState uint8

const (
	chunkSize    chunkState = iota // the digits of a size
	chunkSpace                     // whitespace between size and extension
	chunkExtName                   // the first byte of an extension's name must come
	chunkExt
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart // the first byte of a trailer, or the CR of the last line
	trailerName
	trailerValue
	trailerLF
	trailerEndLF
	chunkDone
)

// Extensions are read by nobody; that much of them and of trailers is skipped in one body.
const (
	maxExtensions = 16 << 10
	maxTrailers   = 16 << 10
)

// Reset makes c ready for another body. Its limits stay.
func (c *Chunked) Reset() { *c = Chunked{MaxBody: c.MaxBody, MaxChunk: c.MaxChunk} }

// Decode reads from src and writes decoded bytes to dst until src is used up, dst is full or the
// body has ended. It never writes more than it has read, so dst may be src itself, decoded in
// place. With done, what follows nSrc is the next request. After an error nothing may be served on
// the connection.
func (c *Chunked) Decode(dst, src []byte) (nDst, nSrc int, done bool, err error) {
	for nSrc < len(src) && c.state != chunkDone {
		if c.state == chunkData {
			n := copy(dst[nDst:], src[nSrc:nSrc+int(min(c.left, int64(len(src)-nSrc)))])
			if n == 0 {
				return nDst, nSrc, false, nil // dst is full
			}
			nDst, nSrc, c.left = nDst+n, nSrc+n, c.left-int64(n)
			if c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		if err := c.step(src[nSrc]); err != nil {
			return nDst, nSrc, false, err
		}
		nSrc++
	}
	return nDst, nSrc, c.state == chunkDone, nil
}

// step takes one byte that is not chunk data.
func (c *Chunked) step(b byte) error {
	switch c.state {
	case chunkSize:
		if d := hexByte[b]; d != noHex {
			if c.digits++; c.digits > 16 || c.left > (1<<63-1)>>4 {
				return ErrChunkSize
			}
			c.left = c.left<<4 | int64(d)
			return nil
		}
		if c.digits == 0 {
			return ErrChunkSize
		}
		return c.afterSize(b)
	case chunkSpace:
		if b == ' ' || b == '\t' {
			return c.skipped(maxExtensions, ErrChunkExt)
		}
		if b != ';' {
			return ErrChunkLine
		}
		c.state = chunkExtName
	case chunkExtName:
		if b == ' ' || b == '\t' {
			return c.skipped(maxExtensions, ErrChunkExt)
		}
		if nameByte[b] == illegalName {
			return ErrChunkLine
		}
		c.state = chunkExt
	case chunkExt:
		if b == '\r' {
			c.state = chunkSizeLF
			return nil
		}
		if b < ' ' && b != '\t' || b == 0x7f {
			return ErrChunkLine
		}
		return c.skipped(maxExtensions, ErrChunkExt)
	case chunkSizeLF:
		if b != '\n' {
			return ErrChunkLine
		}
		return c.startData()
	case chunkDataCR:
		if b != '\r' {
			return ErrChunkEnd
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return ErrChunkEnd
		}
		c.state, c.digits = chunkSize, 0
	default:
		return c.trailer(b)
	}
	return nil
}

// afterSize takes the byte after a chunk's size.
func (c *Chunked) afterSize(b byte) error {
	switch b {
	case '\r':
		c.state = chunkSizeLF
	case ';':
		c.state = chunkExtName
	case ' ', '\t':
		c.state = chunkSpace // only before an extension (RFC 9112 §7.1.1)
	default:
		return ErrChunkSize
	}
	return nil
}

// startData judges a size once its line is whole.
func (c *Chunked) startData() error {
	switch {
	case c.left == 0:
		c.state, c.overhead = trailerStart, 0
		return nil
	case c.MaxChunk > 0 && c.left > c.MaxChunk:
		return ErrChunkLimit
	case c.left > 1<<63-1-c.body:
		return ErrChunkSize
	}
	c.body += c.left
	if c.MaxBody > 0 && c.body > c.MaxBody {
		return request.ErrBodySize
	}
	c.state = chunkData
	return nil
}

// trailer takes one byte after the last chunk's line (RFC 9112 §7.1.2).
func (c *Chunked) trailer(b byte) error {
	switch c.state {
	case trailerStart:
		if b == '\r' {
			c.state = trailerEndLF
			return nil
		}
		if nameByte[b] == illegalName {
			return ErrTrailer
		}
		c.state = trailerName
	case trailerName:
		if b == ':' {
			c.state = trailerValue
		} else if nameByte[b] == illegalName {
			return ErrTrailer
		}
	case trailerValue:
		if b == '\r' {
			c.state = trailerLF
		} else if b < ' ' && b != '\t' || b == 0x7f {
			return ErrTrailer
		}
	case trailerLF:
		if b != '\n' {
			return ErrTrailer
		}
		c.state = trailerStart
	case trailerEndLF:
		if b != '\n' {
			return ErrTrailer
		}
		c.state = chunkDone
		return nil
	}
	return c.skipped(maxTrailers, ErrTrailSize)
}

// skipped counts a byte that carries nothing for us.
func (c *Chunked) skipped(limit int, err *request.Error) error {
	if c.overhead++; c.overhead > limit {
		return err
	}
	return nil
}
