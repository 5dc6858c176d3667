package http1

import "encoding/binary"

// nameByte maps each byte that a token, a header name for one, may hold (RFC 9110 §5.6.2) to what
// it becomes in a CGI variable: upper case, "-" as "_". The other bytes are illegalName; "_" itself
// is underscore, since it would make two header names fall on one variable. Both have the bit
// special.
var nameByte = makeNameByte()

const (
	special     = 0x80
	illegalName = special
	underscore  = special | '_'
)

func makeNameByte() (t [256]byte) {
	for c := range t {
		t[c] = illegalName
	}
	for _, c := range []byte("!#$%&'*+.^`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = c
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = byte(c - 'a' + 'A')
	}
	t['-'] = '_'
	t['_'] = underscore
	return t
}

// targetByte classes the bytes of a path in a request target.
var targetByte = makeTargetByte()

const (
	plain   = 0
	escape  = 1 << iota // "%"
	dot                 // "."
	end                 // "#": what follows is no part of the path
	illegal             // control bytes and space
)

func makeTargetByte() (t [256]byte) {
	for c := range t {
		if c <= ' ' || c == 0x7f {
			t[c] = illegal
		}
	}
	t['%'], t['.'], t['#'] = escape, dot, end
	return t
}

// hostByte classes the bytes that a Host may hold (RFC 3986 §3.2.2): unreserved, sub-delims,
// escapes, and those of ports and IP literals. 0 is for the bytes that it may not.
var hostByte = makeHostByte()

const (
	hostName = 1 << iota
	hostColon
	hostBracket
)

func makeHostByte() (t [256]byte) {
	for _, c := range []byte("-._~!$&'()*+,;=%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = hostName
	}
	t[':'], t['['], t[']'] = hostColon, hostBracket, hostBracket
	return t
}

// hexByte is the value of a hexadecimal digit, noHex for all else.
var hexByte = makeHexByte()

const noHex = 0xff

func makeHexByte() (t [256]byte) {
	for c := range t {
		t[c] = noHex
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		t[c] = byte(10 + i)
	}
	return t
}

// control reports whether b holds a control byte other than TAB: NUL, CR and LF among them, none of
// which a field value may hold (RFC 9110 §5.5). Eight bytes at a time; only a hit is looked at
// closely.
func control(b []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&highs != 0 && controlByte(b[:8]) {
			return true
		}
		b = b[8:]
	}
	return controlByte(b)
}

func controlByte(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}
