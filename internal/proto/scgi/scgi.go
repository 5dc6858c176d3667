// Package scgi parses the heads of SCGI requests (https://python.ca/scgi/protocol.txt): a netstring
// of names and values, each ended by a NUL, then the body, CONTENT_LENGTH bytes of it. The protocol
// has CONTENT_LENGTH come first and SCGI be 1; this package, like uWSGI, insists on neither.
package scgi

import (
	"bytes"

	"uwsgi/internal/request"
)

// Refusals. uWSGI closes the connection without a word in all these cases.
var (
	ErrLength = &request.Error{Status: 400, Reason: "SCGI head does not begin with its length"}
	ErrEmpty  = &request.Error{Status: 400, Reason: "SCGI head is empty"}
	ErrEnd    = &request.Error{Status: 400, Reason: "SCGI head does not end where its length says"}
	ErrName   = &request.Error{Status: 400, Reason: "SCGI head has a variable without a name"}
	ErrPairs  = &request.Error{Status: 400, Reason: "SCGI head has a variable that is not ended"}
)

// maxDigits is more than any length within the limits needs, and small enough not to overflow.
const maxDigits = 9

// Parse reads the head at the start of buf into r and returns how many bytes it takes; what follows
// in buf is body. Nothing is copied: r's arena is the head, so buf must stay as it is until r is
// Reset (or r.Keep is called). While buf holds less than the head the answer is
// request.ErrIncomplete. request.Finish must follow.
func Parse(buf []byte, r *request.Request, lim *request.Limits) (n int, err error) {
	size, at := 0, 0
	for ; at < len(buf) && buf[at]-'0' <= 9; at++ {
		if at == maxDigits {
			return 0, ErrLength
		}
		size = size*10 + int(buf[at]-'0')
	}
	if at == len(buf) {
		return 0, request.ErrIncomplete
	}
	if at == 0 || buf[at] != ':' {
		return 0, ErrLength
	}
	if size == 0 {
		return 0, ErrEmpty
	}
	if size > lim.Head {
		return 0, request.ErrHeadSize
	}
	at++
	end := at + size
	if len(buf) <= end {
		return 0, request.ErrIncomplete
	}
	if buf[end] != ',' || buf[end-1] != 0 {
		return 0, ErrEnd
	}
	vars := r.Vars[:0]
	for at < end {
		keyLen := bytes.IndexByte(buf[at:end], 0)
		if keyLen == 0 {
			return 0, ErrName
		}
		val := at + keyLen + 1
		valLen := -1
		if val < end {
			valLen = bytes.IndexByte(buf[val:end], 0)
		}
		if valLen < 0 {
			return 0, ErrPairs
		}
		vars = append(vars, request.Var{KeyOff: uint32(at), KeyLen: uint32(keyLen), ValOff: uint32(val),
			ValLen: uint32(valLen)})
		at = val + valLen + 1
	}
	r.Borrow(buf[:end])
	r.Vars = vars
	return end + 1, nil
}
