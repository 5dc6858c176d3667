package websocket

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// Conn is one WebSocket, the server's end, from the 101 on. It is for one goroutine at a time. Init
// must come first.
type Conn struct {
	limit   int64 // bytes of one message
	deflate Deflate

	// The frame that is being read.

	head    [14]byte // as much of its header as came
	headLen uint8
	within  bool // its payload is being read
	fin     bool
	op      Opcode
	key     uint32 // the mask, as the next byte needs it
	left    int64  // bytes of the payload to come

	// The control frame that is being read, between the frames of a message perhaps.

	control    [maxControl]byte
	controlLen uint8

	// The message that is being read.

	kind       Opcode // 0: none
	compressed bool
	size       int64 // the lengths of its frames
	text       utf8Check
	message    []byte // what came of it, where it is not all in one piece

	closing bool // a close frame was sent
	over    bool // one has come, or the client was failed
}

const (
	maxControl = 125     // RFC 6455 §5.5
	keepMemory = 4 << 10 // of an idle connection
)

// Init makes c ready for a connection. limit is how many bytes a message of the client's may have,
// inflated; 0 = no limit.
func (c *Conn) Init(limit int64, d Deflate) {
	if limit <= 0 {
		limit = math.MaxInt64
	}
	*c = Conn{limit: limit, deflate: d}
}

// Next reads p up to the end of one message or control frame, and says how many bytes it has used:
// all of them if it gives no message. It unmasks p in place. The message's data is valid until the
// next call, and as long as p is left alone: it lies there, or in memory of c's.
//
// After a Close all further bytes are swallowed. After a close frame of our own so are messages,
// until the client's.
func (c *Conn) Next(p []byte) (m Message, used int) {
	if c.kind == 0 {
		if c.message = c.message[:0]; cap(c.message) > keepMemory {
			c.message = nil
		}
	}
	for !c.over {
		if !c.within {
			n, err := c.header(p[used:])
			used += n
			if err != nil {
				return c.fail(err), used
			}
			if !c.within {
				return Message{}, used
			}
		}
		n := int(min(c.left, int64(len(p)-used)))
		piece := p[used : used+n : used+n]
		used += n
		c.left -= int64(n)
		c.key = unmask(c.key, piece)
		c.within = c.left > 0
		var err *Error
		if c.op.control() {
			m, err = c.controlPiece(piece)
		} else {
			m, err = c.dataPiece(piece)
		}
		switch {
		case err != nil:
			return c.fail(err), used
		case m.Op == 0 && used < len(p):
		case c.closing && (m.Op == Text || m.Op == Binary):
			m = Message{}
		default:
			return m, used
		}
	}
	return Message{}, len(p)
}

// Over says that the client has closed, or was failed: nothing more comes of it.
func (c *Conn) Over() bool { return c.over }

// fail ends the connection because of the client.
func (c *Conn) fail(err *Error) Message {
	c.over, c.message = true, nil
	return Message{Op: Close, Code: Lost, Err: err}
}

// header takes bytes of a frame's header, and with the last of them begins its payload.
func (c *Conn) header(p []byte) (used int, err *Error) {
	for {
		want := 2
		if c.headLen >= 2 {
			want = c.headerSize()
		}
		n := copy(c.head[c.headLen:want], p[used:])
		used += n
		c.headLen += uint8(n)
		switch {
		case int(c.headLen) < want:
			return used, nil
		case want == 2: // always followed by the mask
			if err := c.judge(); err != nil {
				return used, err
			}
		default:
			return used, c.begin()
		}
	}
}

// headerSize is the length of the header whose first two bytes are there.
func (c *Conn) headerSize() int {
	switch c.head[1] & 0x7f {
	case 126:
		return 2 + 2 + 4
	case 127:
		return 2 + 8 + 4
	}
	return 2 + 4
}

// judge looks at a header's first two bytes.
func (c *Conn) judge() *Error {
	first, second := c.head[0], c.head[1]
	c.fin, c.op = first&0x80 != 0, Opcode(first&0x0f)
	compressed := first&0x40 != 0
	switch {
	case first&0x30 != 0, compressed && (!c.deflate.On || c.op != Text && c.op != Binary):
		return errReserved
	case second&0x80 == 0:
		return errUnmasked
	}
	switch c.op {
	case continuation:
		if c.kind == 0 {
			return errContinues
		}
	case Text, Binary:
		if c.kind != 0 {
			return errInterrupted
		}
		c.kind, c.compressed, c.size, c.text = c.op, compressed, 0, utf8Check{}
		c.message = c.message[:0]
	case Close, Ping, Pong:
		if !c.fin {
			return errFragmented
		}
		if second&0x7f > maxControl {
			return errControlSize
		}
		c.controlLen = 0
	default:
		return errOpcode
	}
	return nil
}

// begin takes a whole header. Nothing is set aside for the length that it claims.
func (c *Conn) begin() *Error {
	h := c.head[:c.headLen]
	n := uint64(h[1] & 0x7f)
	switch n {
	case 126:
		if n = uint64(binary.BigEndian.Uint16(h[2:])); n < 126 {
			return errLength
		}
	case 127:
		if n = binary.BigEndian.Uint64(h[2:]); n <= math.MaxUint16 || n > math.MaxInt64 {
			return errLength
		}
	}
	if !c.op.control() {
		limit := c.limit
		if c.compressed {
			limit = limit + limit>>8 + 64 // what cannot be compressed takes a little more
			if limit < c.limit {
				limit = math.MaxInt64
			}
		}
		if int64(n) > limit-c.size {
			return errMessageLimit
		}
		c.size += int64(n)
	}
	c.key = binary.LittleEndian.Uint32(h[len(h)-4:])
	c.left, c.within, c.headLen = int64(n), true, 0
	return nil
}

// controlPiece takes a part of a control frame.
func (c *Conn) controlPiece(p []byte) (Message, *Error) {
	c.controlLen += uint8(copy(c.control[c.controlLen:], p))
	if c.within {
		return Message{}, nil
	}
	m := Message{Op: c.op, Data: c.control[:c.controlLen]}
	if c.op != Close {
		return m, nil
	}
	m.Code = NoStatus
	if len(m.Data) == 1 {
		return m, errCloseLength
	}
	if len(m.Data) > 0 {
		m.Code = int(binary.BigEndian.Uint16(m.Data))
		if m.Data = m.Data[2:]; !ValidCode(m.Code) {
			return m, errCloseCode
		}
		if !utf8.Valid(m.Data) {
			return m, errCloseReason
		}
	}
	c.over = true
	return m, nil
}

// ValidCode says that a close frame may have that code (RFC 6455 §7.4 and IANA's registry).
func ValidCode(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// dataPiece takes a part of a message.
func (c *Conn) dataPiece(p []byte) (Message, *Error) {
	last := !c.within && c.fin
	alone := last && len(c.message) == 0 && !c.compressed // it need not be kept
	if c.kind == Text && !c.compressed {
		if alone && c.text.whole() {
			if !utf8.Valid(p) {
				return Message{}, errUTF8
			}
		} else if !c.text.feed(p) || last && !c.text.whole() {
			return Message{}, errUTF8
		}
	}
	if !alone {
		c.message = append(c.message, p...)
	}
	if !last {
		return Message{}, nil
	}
	m := Message{Op: c.kind, Data: c.message}
	if alone {
		m.Data = p
	}
	c.kind = 0
	if !c.compressed {
		return m, nil
	}
	var err *Error
	if c.message, err = inflate(c.message, c.limit); err != nil {
		return m, err
	}
	if m.Data = c.message; m.Op == Text && !utf8.Valid(m.Data) {
		return m, errUTF8
	}
	return m, nil
}
