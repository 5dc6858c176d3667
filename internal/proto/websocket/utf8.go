package websocket

import "encoding/binary"

// utf8Check judges text that comes in pieces. It knows of a fault at the first byte that cannot be
// right (RFC 3629 §4), which need not wait for the end of the message.
type utf8Check struct {
	more   uint8 // bytes of the character under way that are to come
	lo, hi byte  // what the next of them may be
}

// feed takes some more text. False: it is not UTF-8.
func (u *utf8Check) feed(p []byte) bool {
	for i := 0; i < len(p); i++ {
		b := p[i]
		if u.more > 0 {
			if b < u.lo || b > u.hi {
				return false
			}
			u.more--
			u.lo, u.hi = 0x80, 0xbf
			continue
		}
		switch {
		case b < 0x80:
			for len(p)-i > 8 && binary.LittleEndian.Uint64(p[i+1:])&0x8080808080808080 == 0 {
				i += 8
			}
		case b >= 0xc2 && b <= 0xdf:
			*u = utf8Check{1, 0x80, 0xbf}
		case b == 0xe0: // no longer than need be
			*u = utf8Check{2, 0xa0, 0xbf}
		case b == 0xed: // no surrogates
			*u = utf8Check{2, 0x80, 0x9f}
		case b >= 0xe1 && b <= 0xef:
			*u = utf8Check{2, 0x80, 0xbf}
		case b == 0xf0:
			*u = utf8Check{3, 0x90, 0xbf}
		case b >= 0xf1 && b <= 0xf3:
			*u = utf8Check{3, 0x80, 0xbf}
		case b == 0xf4: // no more than U+10FFFF
			*u = utf8Check{3, 0x80, 0x8f}
		default:
			return false
		}
	}
	return true
}

// whole says that the text may end here.
func (u *utf8Check) whole() bool { return u.more == 0 }
