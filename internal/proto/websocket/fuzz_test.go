package websocket

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"

	"uwsgi/internal/request"
)

// reference is what raw means, read whole, in the order of RFC 6455 and with no thought of speed:
// the words of hear. limit counts every message. What does not end is left out.
func reference(raw []byte, limit uint64) (heard []string) {
	failed := func(code int) []string { return append(heard, fmt.Sprintf("failed %d", code)) }
	var message []byte
	kind := -1
	for len(raw) >= 2 {
		fin, rsv, op, masked, n := raw[0]>>7 == 1, raw[0]>>4&7, int(raw[0]&15), raw[1]>>7 == 1, uint64(raw[1]&127)
		switch {
		case rsv != 0, !masked, op > 10, op > 2 && op < 8, op >= 8 && (!fin || n > 125), op == 0 && kind < 0,
			(op == 1 || op == 2) && kind >= 0:
			return failed(1002)
		}
		size := 2
		switch n {
		case 126:
			if size = 4; len(raw) < size+4 {
				return heard
			}
			if n = uint64(binary.BigEndian.Uint16(raw[2:])); n < 126 {
				return failed(1002)
			}
		case 127:
			if size = 10; len(raw) < size+4 {
				return heard
			}
			if n = binary.BigEndian.Uint64(raw[2:]); n < 65536 || n>>63 != 0 {
				return failed(1002)
			}
		}
		if len(raw) < size+4 {
			return heard
		}
		if op < 8 && uint64(len(message))+n > limit {
			return failed(1009)
		}
		var p []byte
		there := min(uint64(len(raw)-size-4), n)
		for i := range there {
			p = append(p, raw[size+4+int(i)]^raw[size+int(i%4)])
		}
		if op == 1 || op == 2 {
			kind = op
		}
		if op < 8 {
			message = append(message, p...)
			if kind == 1 && !mayBecome(message) {
				return failed(1007)
			}
		}
		if there < n {
			return heard
		}
		raw = raw[size+4+int(n):]
		switch {
		case op == 9:
			heard = append(heard, "ping "+string(p))
		case op == 10:
			heard = append(heard, "pong "+string(p))
		case op == 8 && len(p) == 0:
			return append(heard, "close 1005 ")
		case op == 8:
			if len(p) == 1 || !slices.Contains([]int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
				1011, 1012, 1013, 1014},
				int(binary.BigEndian.Uint16(p))) && binary.BigEndian.Uint16(p)/1000 != 3 &&
				binary.BigEndian.Uint16(p)/1000 != 4 {
				return failed(1002)
			}
			if !utf8.Valid(p[2:]) {
				return failed(1007)
			}
			return append(heard, fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(p), p[2:]))
		case fin && kind == 1 && !utf8.Valid(message):
			return failed(1007)
		case fin:
			heard = append(heard, map[int]string{1: "text ", 2: "binary "}[kind]+string(message))
			message, kind = nil, -1
		}
	}
	return heard
}

// mayBecome says that p is the beginning of some UTF-8 text: all of it is, up to a character's
// first bytes that some last ones make whole.
func mayBecome(p []byte) bool {
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r != utf8.RuneError || n != 1 {
			p = p[n:]
			continue
		}
		if len(p) > 3 || utf8.FullRune(p) {
			return false
		}
		for _, second := range []string{"\x80", "\x90", "\xa0", "\xbf"} { // each is right behind some first byte
			q := append(bytes.Clone(p), second+"\x80\x80"...)
			if len(p) > 1 {
				q = append(bytes.Clone(p), "\x80\x80\x80"...)
			}
			if r, n := utf8.DecodeRune(q); r != utf8.RuneError || n > 1 {
				return true
			}
		}
		return false
	}
	return true
}

// FuzzNext: however what comes is cut, it means what a reader says that has all of it at once.
func FuzzNext(f *testing.F) {
	for _, c := range frames {
		f.Add(c.raw, uint8(3), uint16(limit))
	}
	f.Fuzz(func(t *testing.T, raw []byte, step uint8, limit uint16) {
		limit = max(limit, 1)
		want := reference(raw, uint64(limit))
		for _, step := range []int{max(len(raw), 1), max(int(step), 1)} {
			var c Conn
			c.Init(int64(limit), Deflate{})
			if heard, _ := hear(&c, raw, step); !slices.Equal(heard, want) {
				t.Fatalf("%q, %d at a time: %q, expected %q", raw, step, heard, want)
			}
		}
	})
}

// FuzzDeflate: whatever is inflated is no larger than the limit, and what was compressed comes
// back.
func FuzzDeflate(f *testing.F) {
	for _, c := range frames {
		if c.deflate {
			f.Add(c.raw[6:], uint16(limit))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, limit uint16) {
		if out, err := inflate(bytes.Clone(raw), int64(limit)); err == nil && len(out) > int(limit) {
			t.Fatalf("%d bytes came to %d, limit %d", len(raw), len(out), limit)
		}
		if frame, ok := appendDeflated(nil, Binary, raw); ok {
			header := 2
			switch frame[1] {
			case 126:
				header = 4
			case 127:
				header = 10
			}
			if out, err := inflate(frame[header:], int64(len(raw))); err != nil || !bytes.Equal(out, raw) {
				t.Fatalf("%d bytes came back as %d, %v", len(raw), len(out), err)
			}
		}
	})
}

// FuzzNegotiate: a header of extensions is never more than refused.
func FuzzNegotiate(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits, x; a=\"b\"")
	f.Add("permessage-deflate; server_max_window_bits=\"9")
	f.Fuzz(func(t *testing.T, offer string) {
		r := &request.Request{}
		r.AddVarString("HTTP_SEC_WEBSOCKET_EXTENSIONS", offer)
		if d := Negotiate(r); d.bits != 0 && (d.bits < 8 || d.bits > 14) || !d.On && d.bits != 0 {
			t.Fatalf("%q came to %+v", offer, d)
		}
	})
}
