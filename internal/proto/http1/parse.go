package http1

import (
	"bytes"
	"slices"

	"uwsgi/internal/request"
)

// What has been seen of a head, in Request.Scan.Flags.
const (
	seenLine   = 1 << iota // the request line
	seenTarget             // the target named the host
	seenHost
	seenLength
	seenCoding
	seenClose     // Connection: close
	seenKeepAlive // Connection: keep-alive
)

// Parse reads the request head at the start of buf into r, which must have been Reset, and returns
// how many bytes it takes; what follows in buf is body, or the next request. While the head is not
// whole the answer is request.ErrIncomplete: call again with the same bytes and more of them, and
// the same r untouched, and it goes on where it stopped. request.Finish must follow.
func (s *Server) Parse(buf []byte, r *request.Request, lim *request.Limits, peer request.Peer) (n int, err error) {
	off, seen, flags := r.Scan.Off, r.Scan.Seen, r.Scan.Flags
	if flags&seenLine == 0 {
		// Empty lines before a request are ignored (RFC 9112 §2.2): some clients end a body with
		// one too many.
		for off < lim.Head && off+1 < len(buf) && buf[off] == '\r' && buf[off+1] == '\n' {
			off, seen = off+2, 0
		}
		if off >= lim.Head {
			return 0, ErrLineSize
		}
		rest := buf[off:]
		// What begins with no letter of a method, a TLS hello for one, may never send a line's end.
		if len(rest) > 0 && nameByte[rest[0]] == illegalName && (rest[0] != '\r' || len(rest) > 1) {
			return 0, foreign(rest[0])
		}
		end := bytes.IndexByte(rest[seen:], '\n')
		if end >= 0 {
			end += seen
		}
		if end < 0 && len(buf) < lim.Head {
			r.Scan = request.Scan{Off: off, Seen: len(rest)}
			return 0, request.ErrIncomplete
		}
		if end < 0 || off+end+1 > lim.Head {
			return 0, ErrLineSize
		}
		if end == 0 || rest[end-1] != '\r' {
			return 0, ErrLineEnd
		}
		if flags, err = s.requestLine(rest[:end-1], r, peer); err != nil {
			return 0, err
		}
		off, seen = off+end+1, 0
	}
	for {
		rest := buf[off:]
		end := bytes.IndexByte(rest[seen:], '\n')
		if end >= 0 {
			end += seen
		}
		if end < 0 && len(buf) < lim.Head {
			r.Scan = request.Scan{Off: off, Seen: len(rest), Flags: flags}
			return 0, request.ErrIncomplete
		}
		if end < 0 || off+end+1 > lim.Head {
			return 0, request.ErrHeadSize
		}
		if end == 0 || rest[end-1] != '\r' {
			return 0, ErrLineEnd
		}
		off, seen = off+end+1, 0
		if end == 1 {
			if s.HostAsName {
				s.nameByHost(r)
			}
			return off, finishHead(r, flags)
		}
		if flags, err = s.header(rest[:end-1], r, flags); err != nil {
			return 0, err
		}
	}
}

// header takes one header line, without its line end, and returns the flags with what it says.
func (s *Server) header(line []byte, r *request.Request, flags uint32) (uint32, error) {
	const prefix = "HTTP_"
	key := len(r.Arena)
	r.Arena = slices.Grow(r.Arena, len(prefix)+len(line))
	arena := append(r.Arena, prefix...)
	name := arena[len(arena) : len(arena)+len(line)][:len(line)]
	i := 0
	for ; i < len(line); i++ {
		c := nameByte[line[i]]
		if c&special != 0 {
			break
		}
		name[i] = c
	}
	dropped := i < len(line) && line[i] == '_'
	for dropped && i < len(line) && nameByte[line[i]] != illegalName {
		i++
	}
	// Anything but the colon right after the name is refused: a space there, or at the line's start
	// (an obs-fold), is read differently by different parsers (RFC 9112 §5.1, §5.2).
	if i == 0 || i == len(line) || line[i] != ':' {
		return flags, ErrName
	}
	name = name[:i]
	val := trim(line[i+1:])
	if control(val) {
		return flags, ErrValue
	}
	if dropped {
		return flags, nil // X_Y would pass for X-Y
	}
	switch string(name) {
	case "HOST":
		if flags&seenHost != 0 {
			return flags, ErrTwoHosts
		}
		if !validHost(val) {
			return flags, ErrHost
		}
		flags |= seenHost
		if flags&seenTarget != 0 {
			return flags, nil // the target's authority is the host (RFC 9112 §3.2.2)
		}
	case "CONNECTION":
		flags |= connection(val)
	case "CONTENT_LENGTH":
		if flags&seenLength != 0 {
			return flags, ErrTwoLengths // equal ones too, as nginx
		}
		if _, ok := request.Digits(val); !ok {
			return flags, ErrLength
		}
		flags |= seenLength
		key += len(prefix)
	case "CONTENT_TYPE":
		key += len(prefix)
	case "TRANSFER_ENCODING":
		if flags&seenCoding != 0 {
			return flags, ErrCoding
		}
		if r.HTTP10 {
			return flags, ErrCoding10
		}
		if err := coding(val); err != nil {
			return flags, err
		}
		r.Chunked = true
		return flags | seenCoding, nil
	case "EXPECT":
		if !r.HTTP10 { // RFC 9110 §10.1.1
			if !bytes.EqualFold(val, []byte("100-continue")) {
				return flags, ErrExpect
			}
			r.Expect100 = true
		}
	case "PROXY":
		return flags, nil // it would become HTTP_PROXY, which programs take for their outgoing proxy
	}
	arena = arena[:len(arena)+i]
	for _, fixed := range s.tmpl.fixed {
		if fixed == string(arena[key:]) {
			return flags, nil
		}
	}
	at := len(arena)
	r.Arena = append(arena, val...)
	r.Vars = append(r.Vars, request.Var{KeyOff: uint32(key), KeyLen: uint32(at - key), ValOff: uint32(at),
		ValLen: uint32(len(val))})
	return flags, nil
}

// finishHead judges the head as a whole.
func finishHead(r *request.Request, flags uint32) error {
	if flags&(seenCoding|seenLength) == seenCoding|seenLength {
		return ErrCodingLength
	}
	if flags&seenHost == 0 && !r.HTTP10 {
		return ErrNoHost
	}
	// RFC 9112 §9.3; close wins.
	r.KeepAlive = flags&seenClose == 0 && (!r.HTTP10 || flags&seenKeepAlive != 0)
	return nil
}

// connection reads the options of a Connection header that are about the connection's life.
func connection(val []byte) (flags uint32) {
	if string(val) == "keep-alive" { // what nearly all clients say
		return seenKeepAlive
	}
	for len(val) > 0 {
		option := val
		if comma := bytes.IndexByte(val, ','); comma >= 0 {
			option, val = val[:comma], val[comma+1:]
		} else {
			val = nil
		}
		switch option = trim(option); {
		case len(option) == 5 && bytes.EqualFold(option, []byte("close")):
			flags |= seenClose
		case len(option) == 10 && bytes.EqualFold(option, []byte("keep-alive")):
			flags |= seenKeepAlive
		}
	}
	return flags
}

// coding judges a Transfer-Encoding: only chunked, by itself, can be served. A list in which
// chunked is misplaced, or what is no list of tokens, is an attempt to have two parsers disagree
// (400, RFC 9112 §6.3); a coding that is merely unknown gets 501 (§6.1).
func coding(val []byte) error {
	if bytes.EqualFold(val, []byte("chunked")) {
		return nil
	}
	for last := false; !last; {
		one := val
		if comma := bytes.IndexByte(val, ','); comma >= 0 {
			one, val = val[:comma], val[comma+1:]
		} else {
			last = true
		}
		one = trim(one)
		if len(one) == 0 || bytes.EqualFold(one, []byte("chunked")) && !last {
			return ErrCoding
		}
		for _, c := range one {
			if nameByte[c] == illegalName {
				return ErrCoding
			}
		}
	}
	return ErrUnknown
}

// trim takes the optional whitespace off both ends (RFC 9110 §5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// foreign is the refusal of a connection that begins with no letter of a method.
func foreign(first byte) error {
	switch first {
	case 0: // modifier1 of an application in Python
		return ErrPacket
	case 22: // a TLS handshake
		return ErrTLS
	}
	return ErrMethod
}
