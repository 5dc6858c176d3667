package spool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const modifier = 17 // of the uwsgi protocol: a job

// parse takes a job's file apart: a packet of the uwsgi protocol, then the body.
func parse(data []byte) (variables [][2]string, body []byte, err error) {
	if len(data) < 4 {
		return nil, nil, errors.New("the header is cut off")
	}
	if data[0] != modifier {
		return nil, nil, fmt.Errorf("its header is not a job's: modifier1 is %d, not %d", data[0], modifier)
	}
	size := int(binary.LittleEndian.Uint16(data[1:]))
	data = data[4:]
	if size > len(data) {
		return nil, nil, fmt.Errorf("%d bytes of variables are announced, %d are there", size, len(data))
	}
	var parts []string
	for packet := data[:size]; len(packet) > 0; {
		if len(packet) < 2 || len(packet) < 2+int(binary.LittleEndian.Uint16(packet)) {
			return nil, nil, errors.New("a string is cut off")
		}
		end := 2 + int(binary.LittleEndian.Uint16(packet))
		parts, packet = append(parts, string(packet[2:end])), packet[end:]
	}
	if len(parts)%2 != 0 {
		return nil, nil, errors.New("a name has no value")
	}
	for i := 0; i < len(parts); i += 2 {
		variables = append(variables, [2]string{parts[i], parts[i+1]})
	}
	return variables, data[size:], nil
}

// whole reports whether a file of so many bytes has what its header announces.
func whole(file *os.File, size int64) bool {
	var head [4]byte
	if _, err := file.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return true // nobody can say
	}
	return size >= 4 && head[0] == modifier && size >= 4+int64(binary.LittleEndian.Uint16(head[1:]))
}

// byNumber compares names as versionsort(3): 9 before 10.
func byNumber(a, b string) int {
	for a != "" && b != "" {
		x, y := leading(a), leading(b)
		if x != "" && y != "" {
			n, m := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Or(cmp.Compare(len(n), len(m)), strings.Compare(n, m)); c != 0 {
				return c
			}
			a, b = a[len(x):], b[len(y):]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// leading is the number that s begins with.
func leading(s string) string { return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))] }
