// Package uwsgi parses the packets of the uwsgi protocol, as nginx's uwsgi_pass sends them: four
// bytes (modifier1, the size of the variables as a little-endian 16-bit number, modifier2), then
// each variable as length, name, length, value. The body follows, CONTENT_LENGTH bytes of it.
// https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
package uwsgi

import "uwsgi/internal/request"

// headerSize is the size of what precedes the variables.
const headerSize = 4

// The modifiers that mean "run the application". 30 also asked for SCRIPT_NAME to be taken off
// PATH_INFO, which uWSGI does not do for Python 3; old nginx configurations still send it.
const (
	modifierWSGI   = 0
	modifierManage = 30
)

// What other protocols begin with: the letter of a method, the handshake of TLS. uWSGI has no
// plugin of such a modifier1.
const (
	firstLetter, lastLetter = 'A', 'Z'
	handshake               = 22
)

// Refusals. uWSGI closes the connection without a word in all these cases.
var (
	ErrModifier = &request.Error{Status: 501, Reason: "uwsgi packet is for another plugin " +
		"(modifier1 is neither 0 nor 30)"}
	ErrHTTP = &request.Error{Status: 501, Reason: "HTTP on a socket that speaks uwsgi: write http = in place of " +
		"socket =, or uwsgi_pass in place of proxy_pass in nginx"}
	ErrTLS   = &request.Error{Status: 501, Reason: "TLS on a socket that speaks uwsgi"}
	ErrEmpty = &request.Error{Status: 400, Reason: "uwsgi packet has no variables"}
	ErrKey   = &request.Error{Status: 400, Reason: "uwsgi packet has a variable without a name"}
	ErrSize  = &request.Error{Status: 400, Reason: "uwsgi packet has a variable that runs past its end"}
)

// Parse reads the packet at the start of buf into r and returns how many bytes it takes; what
// follows in buf is body. Nothing is copied: r's arena is the packet, so buf must stay as it is
// until r is Reset (or r.Keep is called). While buf holds less than the packet the answer is
// request.ErrIncomplete; a packet that will be refused for its modifier or size is refused at its
// first four bytes. request.Finish must follow.
func Parse(buf []byte, r *request.Request, lim *request.Limits) (n int, err error) {
	if len(buf) == 0 {
		return 0, request.ErrIncomplete
	}
	if buf[0] != modifierWSGI && buf[0] != modifierManage {
		return 0, foreign(buf[0])
	}
	if len(buf) < headerSize {
		return 0, request.ErrIncomplete
	}
	size := int(buf[1]) | int(buf[2])<<8
	if size == 0 {
		return 0, ErrEmpty
	}
	if size > lim.Head {
		return 0, request.ErrHeadSize
	}
	n = headerSize + size
	if len(buf) < n {
		return 0, request.ErrIncomplete
	}
	buf = buf[:n]
	vars := r.Vars[:0]
	for at := headerSize; at < n; {
		if n-at < 2 {
			return 0, ErrSize
		}
		keyLen := int(buf[at]) | int(buf[at+1])<<8
		key := at + 2
		if keyLen == 0 {
			return 0, ErrKey
		}
		if n-key < keyLen+2 {
			return 0, ErrSize
		}
		at = key + keyLen
		valLen := int(buf[at]) | int(buf[at+1])<<8
		val := at + 2
		if n-val < valLen {
			return 0, ErrSize
		}
		at = val + valLen
		vars = append(vars, request.Var{KeyOff: uint32(key), KeyLen: uint32(keyLen), ValOff: uint32(val),
			ValLen: uint32(valLen)})
	}
	r.Borrow(buf)
	r.Vars = vars
	r.Modifier1, r.Modifier2 = buf[0], buf[3]
	return n, nil
}

// foreign is the refusal of what begins with first.
func foreign(first byte) error {
	switch {
	case first >= firstLetter && first <= lastLetter:
		return ErrHTTP
	case first == handshake:
		return ErrTLS
	}
	return ErrModifier
}
