package websocket

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"
)

// A compressor takes 650 KiB, an inflater 40: connections share them, since no context is kept
// between two messages.
var (
	deflaters = sync.Pool{New: func() any {
		d := &deflater{}
		d.w, _ = flate.NewWriter(d, flate.BestSpeed)
		return d
	}}
	inflaters = sync.Pool{New: func() any {
		i := &inflater{}
		i.r = flate.NewReader(&i.in).(flateReader)
		return i
	}}
)

// tail is the end of a sync flush, which is left out of a message (RFC 7692 §7.2.1); the final
// block behind it lets the inflater see an end.
const (
	tail      = "\x00\x00\xff\xff"
	finalTail = tail + "\x01\x00\x00\xff\xff"
)

type deflater struct {
	w   *flate.Writer
	out []byte
}

func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// appendDeflated adds the frame of a message, compressed. False: it would be no shorter.
func appendDeflated(dst []byte, op Opcode, p []byte) ([]byte, bool) {
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out = d.out[:0]
	d.w.Reset(d)
	d.w.Write(p)
	d.w.Flush()
	packed := bytes.TrimSuffix(d.out, []byte(tail))
	if cap(d.out) > 1<<20 {
		d.out = nil
	}
	if len(packed) >= len(p) {
		return dst, false
	}
	return append(appendHeader(dst, 0x80|0x40|byte(op), len(packed)), packed...), true
}

type flateReader interface {
	io.Reader
	flate.Resetter
}

type inflater struct {
	in bytes.Reader
	r  flateReader
}

// maxFinal is how many final blocks a message may hold besides the last: compressors make at most
// one, and each costs a window.
const maxFinal = 8

// inflate gives a message as it was before compression, in new memory. It stops where the message
// has become larger than limit: a small one may claim to be any size.
func inflate(p []byte, limit int64) ([]byte, *Error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	i.in.Reset(append(p, finalTail...))
	defer i.in.Reset(nil)
	i.r.Reset(&i.in, nil)
	out := make([]byte, 0, min(4*int64(len(p))+512, limit, 1<<20))
	for finals := 0; ; {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := i.r.Read(out[len(out):cap(out)])
		if out = out[:len(out)+n]; int64(len(out)) > limit {
			return nil, errMessageLimit
		}
		switch {
		case err == nil:
		case err != io.EOF || finals > maxFinal:
			return nil, errDeflated
		case i.in.Len() == 0 || i.in.Len() == len(finalTail):
			return out, nil
		default: // a final block within the message (RFC 7692 §7.2.3.4): more may follow
			finals++
			i.r.Reset(&i.in, out[max(0, len(out)-1<<maxBits):])
		}
	}
}
