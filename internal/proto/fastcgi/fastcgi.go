// Package fastcgi takes FastCGI's records apart and puts them together
// (https://fastcgi-archives.github.io/FastCGI_Specification.html): Parse reads a request's head,
// Stdin its body, the Append functions write the response. One request at a time is served on a
// connection; a web server that asks is told so. Better than uWSGI: PARAMS may be split anywhere,
// and the request starts when its parameters are complete.
package fastcgi

import "uwsgi/internal/request"

// Record types (specification §8).
const (
	typeBegin     = 1
	typeAbort     = 2
	typeEnd       = 3
	typeParams    = 4
	typeStdin     = 5
	typeStdout    = 6
	typeValues    = 9
	typeValuesRes = 10
	typeUnknown   = 11
)

const (
	version       = 1
	headerSize    = 8
	beginSize     = 8
	roleResponder = 1
	flagKeepConn  = 1
)

// Refusals.
var (
	ErrVersion  = &request.Error{Status: 400, Reason: "FastCGI record of an unknown version"}
	ErrBegin    = &request.Error{Status: 400, Reason: "FastCGI request does not begin with BEGIN_REQUEST"}
	ErrRole     = &request.Error{Status: 501, Reason: "FastCGI role is not responder"}
	ErrParams   = &request.Error{Status: 400, Reason: "FastCGI parameter runs past the end"}
	ErrName     = &request.Error{Status: 400, Reason: "FastCGI parameter without a name"}
	ErrEmpty    = &request.Error{Status: 400, Reason: "FastCGI request has no parameters"}
	ErrAborted  = &request.Error{Status: 400, Reason: "FastCGI request was aborted by the web server"}
	ErrMultiple = &request.Error{Status: 400, Reason: "FastCGI request begins while another is " +
		"served on its connection"}

	// ErrManagement: before a request came a record that asks about this program. AppendReply
	// answers it.
	ErrManagement = &request.Error{Status: 400, Reason: "FastCGI management record"}
)

// Begin is what a BEGIN_REQUEST says.
type Begin struct {
	ID       uint16 // to be echoed in every record of the response
	KeepConn bool   // the web server wants to use the connection again
}

// record is one record's header, decoded.
type record struct {
	kind             byte
	id               uint16
	content, padding int
}

// readHeader decodes the header at the start of buf, which holds headerSize bytes at least.
func readHeader(buf []byte) (rec record, err error) {
	_ = buf[headerSize-1]
	if buf[0] != version {
		return rec, ErrVersion
	}
	return record{
		kind:    buf[1],
		id:      uint16(buf[2])<<8 | uint16(buf[3]),
		content: int(buf[4])<<8 | int(buf[5]),
		padding: int(buf[6]),
	}, nil
}

// next cuts the record at the start of buf off: its content and how many bytes it takes.
func next(buf []byte) (rec record, content []byte, n int, err error) {
	if len(buf) > 0 && buf[0] != version {
		return rec, nil, 0, ErrVersion
	}
	if len(buf) < headerSize {
		return rec, nil, 0, request.ErrIncomplete
	}
	if rec, err = readHeader(buf); err != nil {
		return rec, nil, 0, err
	}
	n = headerSize + rec.content + rec.padding
	if len(buf) < n {
		return rec, nil, 0, request.ErrIncomplete
	}
	return rec, buf[headerSize : headerSize+rec.content], n, nil
}

// Parse reads the head of the request at the start of buf, BEGIN_REQUEST and all PARAMS, into r,
// which must have been Reset, and returns how many bytes it takes; what follows in buf is for
// Stdin. The parameters are copied, so buf may be used again. While the head is not whole the
// answer is request.ErrIncomplete: call again with the same bytes and more of them, and the same r
// untouched, and it goes on where it stopped. begin is filled in as soon as it is known, with an
// error too, so that a refusal can be answered. After ErrManagement, buf[:n] is the record that
// AppendReply answers, and buf[n:] to be parsed next. request.Finish must follow.
func Parse(buf []byte, r *request.Request, lim *request.Limits) (n int, begin Begin, err error) {
	if n, begin = r.Scan.Off, beginOf(r.Scan); n == 0 {
		var rec record
		var content []byte
		if rec, content, n, err = next(buf); err != nil {
			return 0, begin, err
		}
		if rec.id == 0 {
			return n, begin, ErrManagement
		}
		if rec.kind != typeBegin || len(content) != beginSize {
			return 0, begin, ErrBegin
		}
		begin = Begin{ID: rec.id, KeepConn: content[2]&flagKeepConn != 0}
		if int(content[0])<<8|int(content[1]) != roleResponder {
			return 0, begin, ErrRole
		}
	}
	for {
		rec, content, size, err := next(buf[n:])
		if err != nil {
			r.Scan = request.Scan{Off: n, Flags: begin.flags()}
			return 0, begin, err
		}
		switch {
		case rec.id != begin.ID && rec.kind == typeBegin:
			return 0, begin, ErrMultiple
		case rec.id != begin.ID: // of a request that was refused, or a question that came too late
		case rec.kind == typeAbort:
			return 0, begin, ErrAborted
		case rec.kind == typeBegin:
			return 0, begin, ErrMultiple
		case rec.kind == typeStdin:
			// The empty PARAMS that should have come before was left out; uWSGI starts only here.
			return n, begin, params(r)
		case rec.kind != typeParams:
		case len(content) == 0:
			return n + size, begin, params(r)
		case len(r.Arena)+len(content) > lim.Head:
			return 0, begin, request.ErrHeadSize
		default:
			r.Arena = append(r.Arena, content...)
		}
		n += size
	}
}

// flags is b as Request.Scan keeps it.
func (b Begin) flags() uint32 {
	f := uint32(b.ID) << 1
	if b.KeepConn {
		f |= 1
	}
	return f
}

func beginOf(s request.Scan) Begin { return Begin{ID: uint16(s.Flags >> 1), KeepConn: s.Flags&1 != 0} }

// params finds the pairs in the arena (specification §3.4).
func params(r *request.Request) error {
	buf := r.Arena
	if len(buf) == 0 {
		return ErrEmpty
	}
	vars := r.Vars[:0]
	for at := 0; at < len(buf); {
		keyLen, n := pairLength(buf[at:])
		at += n
		valLen, m := pairLength(buf[at:])
		at += m
		if n == 0 || m == 0 || keyLen > len(buf)-at || valLen > len(buf)-at-keyLen {
			return ErrParams
		}
		if keyLen == 0 {
			return ErrName
		}
		vars = append(vars, request.Var{KeyOff: uint32(at), KeyLen: uint32(keyLen), ValOff: uint32(at + keyLen),
			ValLen: uint32(valLen)})
		at += keyLen + valLen
	}
	r.Vars = vars
	return nil
}

// pairLength reads a length of one or four bytes; n is 0 when it is not whole.
func pairLength(buf []byte) (length, n int) {
	switch {
	case len(buf) == 0:
		return 0, 0
	case buf[0] < 0x80:
		return int(buf[0]), 1
	case len(buf) < 4:
		return 0, 0
	}
	return int(buf[0]&0x7f)<<24 | int(buf[1])<<16 | int(buf[2])<<8 | int(buf[3]), 4
}
