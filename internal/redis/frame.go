package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// largest is what a frame may have, bytes: a value of Redis has 512 MiB at most.
const largest = 512 << 20

// ReadFrame reads the parts of one frame.
func ReadFrame(r io.Reader) ([]string, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > largest {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	var parts []string
	for len(body) > 0 {
		if len(body) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.LittleEndian.Uint32(body)
		if uint64(n) > uint64(len(body)-4) {
			return nil, io.ErrUnexpectedEOF
		}
		parts, body = append(parts, string(body[4:4+n])), body[4+n:]
	}
	return parts, nil
}

// WriteFrame writes one frame of these parts.
func WriteFrame(w io.Writer, parts ...string) error {
	size := 4
	for _, p := range parts {
		size += 4 + len(p)
	}
	if size > largest {
		return errors.New("the answer is too large")
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(size-4))
	for _, p := range parts {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	_, err := w.Write(b)
	return err
}
