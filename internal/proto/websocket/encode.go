package websocket

import (
	"encoding/binary"
	"math"
)

const (
	// copyLimit: a message up to here is copied behind its header; past it, it may be written from
	// where it lies.
	copyLimit = 8 << 10
	// deflateFrom is how long a message has to be for compression to be worth its time: what is
	// shorter goes in one packet anyway.
	deflateFrom = 512
)

// Encode adds the frame of a Text or Binary message to dst. Where the message is long and is not
// compressed only the header is added, and the message itself, rest, is to be written behind it.
// Text must be UTF-8. After a close frame nothing may be sent: see Closing.
func (c *Conn) Encode(dst []byte, op Opcode, p []byte) (out, rest []byte) {
	if c.deflate.On && len(p) >= deflateFrom && (c.deflate.bits == 0 || len(p) <= 1<<c.deflate.bits) {
		if out, ok := appendDeflated(dst, op, p); ok {
			return out, nil
		}
	}
	dst = appendHeader(dst, 0x80|byte(op), len(p))
	if len(p) > copyLimit {
		return dst, p
	}
	return append(dst, p...), nil
}

// Closing says that a close frame was sent.
func (c *Conn) Closing() bool { return c.closing }

// AppendPing adds a ping with some bytes of the caller's, at most 125, which come back in the pong;
// nothing once a close frame was sent.
func (c *Conn) AppendPing(dst, p []byte) []byte {
	if c.closing {
		return dst
	}
	return appendControl(dst, Ping, p)
}

// AppendReply adds what the protocol wants as an answer to m: a pong for a ping (RFC 6455 §5.5.2),
// a close frame for one (§5.5.1) and for a fault; for all else nothing.
func (c *Conn) AppendReply(dst []byte, m Message) []byte {
	switch {
	case m.Op == Ping && !c.closing:
		return appendControl(dst, Pong, m.Data)
	case m.Op != Close:
		return dst
	case m.Err != nil:
		return c.AppendClose(dst, m.Err.Code, m.Err.Reason)
	}
	return c.AppendClose(dst, m.Code, "")
}

// AppendClose adds a close frame; nothing if one was sent before. A reason of more than 123 bytes
// is cut between two characters; a code that may not be sent, NoStatus for one, is left out and the
// reason with it.
func (c *Conn) AppendClose(dst []byte, code int, reason string) []byte {
	if c.closing {
		return dst
	}
	c.closing = true
	if !ValidCode(code) {
		return appendControl(dst, Close, nil)
	}
	var p [maxControl]byte
	binary.BigEndian.PutUint16(p[:], uint16(code))
	n := min(len(reason), maxControl-2)
	for n < len(reason) && n > 0 && reason[n]&0xc0 == 0x80 {
		n--
	}
	copy(p[2:], reason[:n])
	return appendControl(dst, Close, p[:2+n])
}

func appendControl(dst []byte, op Opcode, p []byte) []byte {
	return append(appendHeader(dst, 0x80|byte(op), len(p)), p...)
}

// appendHeader adds the header of a frame of n bytes; a server's are not masked.
func appendHeader(dst []byte, first byte, n int) []byte {
	switch {
	case n < 126:
		return append(dst, first, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(n))
}
