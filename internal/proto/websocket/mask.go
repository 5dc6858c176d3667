package websocket

import (
	"encoding/binary"
	"math/bits"
)

// unmask applies a masking key (RFC 6455 §5.3), its first byte the lowest, to p in place. It
// returns the key as the bytes that follow p need it.
func unmask(key uint32, p []byte) uint32 {
	wide := uint64(key)<<32 | uint64(key)
	for ; len(p) >= 32; p = p[32:] {
		q := p[:32]
		binary.LittleEndian.PutUint64(q, binary.LittleEndian.Uint64(q)^wide)
		binary.LittleEndian.PutUint64(q[8:], binary.LittleEndian.Uint64(q[8:])^wide)
		binary.LittleEndian.PutUint64(q[16:], binary.LittleEndian.Uint64(q[16:])^wide)
		binary.LittleEndian.PutUint64(q[24:], binary.LittleEndian.Uint64(q[24:])^wide)
	}
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
	}
	for i := range p {
		p[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}
