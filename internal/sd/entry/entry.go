// Package entry encodes journal entries in the native protocol ("Native Journal Protocol",
// systemd.io). It stands apart from internal/sd so that a worker, which writes its own request
// entries, does not carry D-Bus.
package entry

import "encoding/binary"

// AppendField appends one field in the native protocol ("Native Journal Protocol", systemd.io):
// NAME=value and a newline, or, when the value holds a newline, NAME, newline, its length as 64
// bits little-endian, the value, newline. A name the journal would not take is left out.
func AppendField(dst []byte, name, value string) []byte {
	if !ValidFieldName(name) {
		return dst
	}
	plain := true
	for i := 0; i < len(value); i++ {
		if value[i] == '\n' {
			plain = false
			break
		}
	}
	dst = append(dst, name...)
	if plain {
		dst = append(dst, '=')
		dst = append(dst, value...)
		return append(dst, '\n')
	}
	dst = append(dst, '\n')
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(value)))
	dst = append(dst, value...)
	return append(dst, '\n')
}

// ValidFieldName reports whether a client may use the name: capitals, digits and underscores, at
// most 64, not starting with a digit or an underscore (those are journald's own).
func ValidFieldName(name string) bool {
	if name == "" || len(name) > 64 || name[0] < 'A' || name[0] > 'Z' {
		return false
	}
	for i := 1; i < len(name); i++ {
		c := name[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
