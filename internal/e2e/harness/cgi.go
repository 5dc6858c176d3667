package harness

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
)

// FastCGI is a whole request in that protocol, as nginx sends it: one record of parameters, and the
// body.
func (v Vars) FastCGI(body string) []byte {
	var params []byte
	for _, k := range slices.Sorted(maps.Keys(v)) {
		params = append(append(appendLength(appendLength(params, len(k)), len(v[k])), k...), v[k]...)
	}
	out := appendRecord(nil, 1, []byte{0, 1, 0, 0, 0, 0, 0, 0})
	out = appendRecord(appendRecord(out, 4, params), 4, nil)
	if body != "" {
		out = appendRecord(out, 5, []byte(body))
	}
	return appendRecord(out, 5, nil)
}

func appendLength(b []byte, n int) []byte {
	if n < 128 {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|1<<31)
}

func appendRecord(b []byte, kind byte, data []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, 1, kind, 0, 1), uint16(len(data)))
	return append(append(b, 0, 0), data...)
}

// Stdout takes FastCGI records apart: what was sent as the answer, and whether it was said to end.
func Stdout(raw []byte) (out []byte, ended bool) {
	for len(raw) >= 8 {
		kind, n, pad := raw[1], int(binary.BigEndian.Uint16(raw[4:])), int(raw[6])
		if len(raw) < 8+n+pad {
			break
		}
		switch kind {
		case 6:
			out = append(out, raw[8:8+n]...)
		case 3:
			ended = true
		}
		raw = raw[8+n+pad:]
	}
	return out, ended
}

// SCGI is a whole request in that protocol.
func (v Vars) SCGI(body string) []byte {
	var head bytes.Buffer
	head.WriteString("CONTENT_LENGTH\x00" + strconv.Itoa(len(body)) + "\x00SCGI\x001\x00")
	for _, k := range slices.Sorted(maps.Keys(v)) {
		if k != "CONTENT_LENGTH" {
			head.WriteString(k + "\x00" + v[k] + "\x00")
		}
	}
	return slices.Concat([]byte(strconv.Itoa(head.Len())+":"), head.Bytes(), []byte(","+body))
}
