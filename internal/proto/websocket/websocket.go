// Package websocket is the server's side of WebSockets (RFC 6455) and of permessage-deflate without
// context takeover (RFC 7692). It does no I/O: a Conn is given the bytes that came and gives
// messages and the frames that answer them, so that a thread that blocks and an event loop use the
// same. It is as strict as the standard: a client that breaks it is told why, and not read any
// more.
//
//	for {
//		m, n := conn.Next(in)             // in: what was read and not used yet
//		in = in[n:]
//		out = conn.AppendReply(out, m)    // the pong for a ping, the close frame for one
//		switch m.Op {
//		case 0:                           // read more
//		case websocket.Text, websocket.Binary:
//		case websocket.Close:             // send out, then end the connection
//		}
//	}
package websocket

import "fmt"

// Opcode is what a frame is (RFC 6455 §5.2).
type Opcode byte

// Opcodes.
const (
	continuation Opcode = 0
	Text         Opcode = 1
	Binary       Opcode = 2
	Close        Opcode = 8
	Ping         Opcode = 9
	Pong         Opcode = 10
)

func (o Opcode) control() bool { return o >= Close }

// Status codes of a close frame (RFC 6455 §7.4.1) that are used here.
const (
	Normal        = 1000
	ProtocolError = 1002
	NoStatus      = 1005 // the close frame had none; never sent
	Lost          = 1006 // the connection ended without a close frame; never sent
	InvalidData   = 1007
	TooBig        = 1009
	Unexpected    = 1011 // the server cannot go on
	Restart       = 1012 // the service restarts: come again
)

// Message is what Conn.Next has found: a message of the client's, or a control frame. The zero
// value is none.
type Message struct {
	Op   Opcode
	Data []byte // the message, checked to be UTF-8 in Text; what a Ping or Pong holds; the reason of a Close
	Code int    // of a Close: NoStatus where it had none, Lost where Err is set
	Err  *Error // of a Close: there was no close frame, the client has broken the protocol
}

// Error is why a connection was failed (RFC 6455 §7.1.7).
type Error struct {
	Code   int    // what the client is told
	Reason string // in words, at most 123 bytes
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Reason, e.Code) }

func violation(reason string) *Error { return &Error{ProtocolError, reason} }

// What a client may do wrong.
var (
	errReserved     = violation("reserved bits are set")
	errOpcode       = violation("unknown opcode")
	errUnmasked     = violation("frame is not masked")
	errFragmented   = violation("control frame is fragmented")
	errControlSize  = violation("control frame is larger than 125 bytes")
	errContinues    = violation("continuation frame without a message")
	errInterrupted  = violation("new message before the end of the last one")
	errLength       = violation("length is not encoded as it should be")
	errCloseLength  = violation("close frame of one byte")
	errCloseCode    = violation("invalid code in a close frame")
	errCloseReason  = &Error{InvalidData, "reason of the close frame is not UTF-8"}
	errUTF8         = &Error{InvalidData, "text message is not UTF-8"}
	errDeflated     = &Error{InvalidData, "compressed message cannot be inflated"}
	errMessageLimit = &Error{TooBig, "message is too large"}
)
