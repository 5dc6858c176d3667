package http1

import (
	"bytes"

	"uwsgi/internal/request"
)

// requestLine takes the request line, without its line end, and fills in r what is the same in
// every request of s.
func (s *Server) requestLine(line []byte, r *request.Request, peer request.Peer) (flags uint32, err error) {
	s.once.Do(s.prepare)
	t := &s.tmpl
	sp := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if sp <= 0 || last == sp {
		return 0, ErrRequestLine
	}
	method, target, version := line[:sp], line[sp+1:last], line[last+1:]
	for _, c := range method {
		if nameByte[c] == illegalName {
			return 0, ErrMethod
		}
	}
	r.Arena = append(r.Arena[:0], t.arena...)
	r.Vars = append(r.Vars[:0], t.vars...)
	protocol := t.http11
	if string(version) != "HTTP/1.1" {
		switch {
		case len(version) != 8 || string(version[:5]) != "HTTP/" || version[6] != '.' ||
			version[5]-'0' > 9 || version[7]-'0' > 9:
			return 0, ErrVersion
		case version[5] != '1':
			return 0, ErrMajor
		case version[7] == '0':
			protocol, r.HTTP10 = t.http10, true
		}
		// A later minor version is served as 1.1 (RFC 9110 §6.2).
	}
	vars := r.Vars[len(t.vars)-varsSet:]
	vars[varProtocol].ValOff, vars[varProtocol].ValLen = protocol.Off, protocol.Len
	put := func(at int, text []byte) {
		vars[at].ValOff, vars[at].ValLen = uint32(len(r.Arena)), uint32(len(text))
		r.Arena = append(r.Arena, text...)
	}
	addr := peer.Addr
	if addr == "" {
		addr = "0.0.0.0"
	}
	vars[varRemoteAddr].ValOff, vars[varRemoteAddr].ValLen = uint32(len(r.Arena)), uint32(len(addr))
	r.Arena = append(r.Arena, addr...)
	vars[varRemotePort].ValOff, vars[varRemotePort].ValLen = uint32(len(r.Arena)), uint32(len(peer.Port))
	r.Arena = append(r.Arena, peer.Port...)
	put(varMethod, method)
	put(varURI, target)

	// The four forms of a target (RFC 9112 §3.2).
	at := int(vars[varURI].ValOff) // where the rest of the target is in the arena
	rest := target
	var host request.Span
	switch {
	case string(method) == "CONNECT":
		return 0, ErrConnect
	case len(target) > 0 && target[0] == '/':
	case string(target) == "*" && string(method) == "OPTIONS":
	default:
		skip := schemeLen(target)
		if skip == 0 {
			return 0, ErrTarget
		}
		authority := target[skip:]
		if end := bytes.IndexAny(authority, "/?#"); end >= 0 {
			authority = authority[:end]
		}
		if len(authority) == 0 || !validHost(authority) {
			return 0, ErrTarget
		}
		host = request.Span{Off: uint32(at + skip), Len: uint32(len(authority))}
		at += skip + len(authority)
		rest = target[skip+len(authority):]
		flags = seenTarget
	}
	path := rest
	if q := bytes.IndexByte(rest, '?'); q >= 0 {
		path = rest[:q]
		query := rest[q+1:]
		for _, c := range query {
			if targetByte[c]&illegal != 0 {
				return 0, ErrTarget
			}
		}
		vars[varQuery].ValOff, vars[varQuery].ValLen = uint32(at+q+1), uint32(len(query))
	}
	where, err := putPath(r, path, at)
	if err != nil {
		return 0, err
	}
	vars[varPath].ValOff, vars[varPath].ValLen = where.Off, where.Len
	if peer.Port == "" {
		r.Vars = r.Vars[:len(r.Vars)-1]
	}
	if flags&seenTarget != 0 {
		r.Vars = append(r.Vars, request.Var{KeyOff: t.host.Off, KeyLen: t.host.Len, ValOff: host.Off, ValLen: host.Len})
	}
	return flags | seenLine, nil
}

// putPath makes PATH_INFO of the path of a target, which stands at at in the arena: up to "#", "."
// and ".." segments taken out as RFC 3986 §5.2.4 says, then the escapes decoded, once. Dots that
// were escaped are therefore left, as in uWSGI, and whoever opens files by this path must reckon
// with them. A bad escape is refused, and so is %00, on which C code would cut the path.
//
// uWSGI makes "/.." the empty string; here it is "/", as in RFC 3986.
func putPath(r *request.Request, path []byte, at int) (request.Span, error) {
	class := byte(plain)
	for _, c := range path {
		class |= targetByte[c]
	}
	if class&illegal != 0 {
		return request.Span{}, ErrTarget
	}
	if class&end != 0 {
		path = path[:bytes.IndexByte(path, '#')]
	}
	if len(path) == 0 { // http://host?query
		r.Arena = append(r.Arena, '/')
		return request.Span{Off: uint32(len(r.Arena) - 1), Len: 1}, nil
	}
	if class&(escape|dot) == 0 || class&escape == 0 && !bytes.Contains(path, []byte("/.")) {
		return request.Span{Off: uint32(at), Len: uint32(len(path))}, nil
	}
	start := len(r.Arena)
	if class&dot != 0 {
		r.Arena = appendWithoutDots(r.Arena, path)
	} else {
		r.Arena = append(r.Arena, path...)
	}
	if class&escape != 0 {
		n, ok := unescape(r.Arena[start:])
		if !ok {
			return request.Span{}, ErrEscape
		}
		r.Arena = r.Arena[:start+n]
	}
	return request.Span{Off: uint32(start), Len: uint32(len(r.Arena) - start)}, nil
}

// appendWithoutDots appends path, which begins with "/", without its "." and ".." segments.
func appendWithoutDots(dst, path []byte) []byte {
	start := len(dst)
	for len(path) > 0 {
		segment := path[1:]
		next := bytes.IndexByte(segment, '/')
		if next >= 0 {
			segment, path = segment[:next], segment[next:]
		} else {
			path = nil
		}
		switch string(segment) {
		case "..":
			if slash := bytes.LastIndexByte(dst[start:], '/'); slash >= 0 {
				dst = dst[:start+slash]
			}
			fallthrough
		case ".":
			if path == nil {
				dst = append(dst, '/')
			}
		default:
			dst = append(append(dst, '/'), segment...)
		}
	}
	return dst
}

// unescape decodes b in place.
func unescape(b []byte) (n int, ok bool) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '%' {
			if len(b)-i < 3 {
				return 0, false
			}
			hi, lo := hexByte[b[i+1]], hexByte[b[i+2]]
			c = hi<<4 | lo
			if hi|lo == noHex || c == 0 {
				return 0, false
			}
			i += 2
		}
		b[n] = c
		n++
	}
	return n, true
}

// schemeLen is the length of "http://" or "https://" at the start of target, 0 if neither is there.
func schemeLen(target []byte) int {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(target) > len(scheme) && bytes.EqualFold(target[:len(scheme)], []byte(scheme)) {
			return len(scheme)
		}
	}
	return 0
}

// validHost reports whether h is uri-host [ ":" port ] (RFC 9110 §7.2), empty included.
func validHost(h []byte) bool {
	class := byte(0)
	for _, c := range h {
		k := hostByte[c]
		if k == 0 {
			return false
		}
		class |= k
	}
	if class&hostBracket != 0 {
		// An IP literal; only a port may follow it.
		end := bytes.IndexByte(h, ']')
		if h[0] != '[' || end < 2 || end+1 < len(h) && h[end+1] != ':' {
			return false
		}
		for _, c := range h[1:end] {
			if hostByte[c] == hostBracket {
				return false
			}
		}
		h = h[end+1:]
	}
	if class&hostColon != 0 {
		if colon := bytes.IndexByte(h, ':'); colon >= 0 {
			for _, c := range h[colon+1:] {
				if c-'0' > 9 {
					return false
				}
			}
		}
	}
	return true
}
