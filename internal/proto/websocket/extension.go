package websocket

import (
	"bytes"
	"strconv"

	"uwsgi/internal/request"
)

// Deflate is what was agreed of permessage-deflate (RFC 7692): no context is kept from message to
// message, in either direction. The zero value: messages go as they are.
type Deflate struct {
	On   bool
	bits uint8 // of the window that the client keeps for us, 0: all that there is
}

// Negotiate takes the first offer of permessage-deflate in r that can be agreed to; what is not
// well-formed is none.
func Negotiate(r *request.Request) Deflate {
	offers := list{header(r, "HTTP_SEC_WEBSOCKET_EXTENSIONS")}
	for len(offers.rest) > 0 {
		name := offers.token()
		d, ok := offers.parameters()
		switch {
		case !offers.end():
			return Deflate{}
		case ok && string(name) == "permessage-deflate":
			return d
		}
	}
	return Deflate{}
}

func (d Deflate) appendHeader(dst []byte) []byte {
	if !d.On {
		return dst
	}
	dst = append(dst, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "+
		"client_no_context_takeover"...)
	if d.bits > 0 {
		dst = strconv.AppendUint(append(dst, "; server_max_window_bits="...), uint64(d.bits), 10)
	}
	return append(dst, '\r', '\n')
}

// list reads a header of extensions and their parameters (RFC 6455 §9.1).
type list struct{ rest []byte }

func (l *list) space() { l.rest = bytes.TrimLeft(l.rest, " \t") }

// token takes one; it is empty where there is none.
func (l *list) token() []byte {
	l.space()
	n := 0
	for n < len(l.rest) && isToken(l.rest[n]) {
		n++
	}
	t := l.rest[:n]
	l.rest = l.rest[n:]
	l.space()
	return t
}

// take takes that byte, if it comes next.
func (l *list) take(b byte) bool {
	if len(l.rest) == 0 || l.rest[0] != b {
		return false
	}
	l.rest = l.rest[1:]
	return true
}

// end takes what separates two extensions. False: something else stands there.
func (l *list) end() bool {
	l.space()
	return len(l.rest) == 0 || l.take(',')
}

// value takes what stands behind a parameter's name: a token, quoted or not.
func (l *list) value() (v []byte, given bool) {
	if !l.take('=') {
		return nil, false
	}
	l.space()
	if !l.take('"') {
		return l.token(), true
	}
	n := max(bytes.IndexByte(l.rest, '"'), 0)
	v = l.rest[:n]
	l.rest = l.rest[n:]
	l.take('"')
	l.space()
	return v, true
}

// parameters takes those of one extension and says what they come to; ok: as an offer of
// permessage-deflate it can be agreed to (RFC 7692 §7.1).
func (l *list) parameters() (d Deflate, ok bool) {
	const (
		serverTakeover = 1 << iota
		clientTakeover
		serverBits
		clientBits
	)
	d.On, ok = true, true
	seen := 0
	for l.take(';') {
		name := l.token()
		v, given := l.value()
		var which int
		bits, valid := windowBits(v)
		switch string(name) {
		case "server_no_context_takeover":
			which, valid = serverTakeover, !given
		case "client_no_context_takeover":
			which, valid = clientTakeover, !given
		case "server_max_window_bits":
			which = serverBits
			if d.bits = bits; bits == maxBits {
				d.bits = 0 // that is what there is without a word
			}
		case "client_max_window_bits": // it may use all of its window: we can inflate any
			which, valid = clientBits, valid || !given
		default:
			valid = false
		}
		if !valid || seen&which != 0 {
			ok = false
		}
		seen |= which
	}
	return d, ok
}

// maxBits is what deflate's window takes at most.
const maxBits = 15

func windowBits(v []byte) (bits uint8, ok bool) {
	n, err := strconv.ParseUint(string(v), 10, 8)
	return uint8(n), err == nil && n >= 8 && n <= maxBits && v[0] != '0'
}

// isToken says that b may stand in a token (RFC 9110 §5.6.2).
func isToken(b byte) bool {
	return b > ' ' && b < 0x7f && bytes.IndexByte([]byte(`"(),/:;<=>?@[\]{}`), b) < 0
}
