package dataplane

import (
	"bytes"
	"strconv"
	"time"
)

const dateLayout = "Mon, 02 Jan 2006 15:04:05 GMT"

// lastSecond is the last one whose year has four digits.
const lastSecond = 253402300799

// date is the Date header's value, made once a second for each core.
type date struct {
	second int64
	set    bool
	text   [len(dateLayout)]byte
}

func (d *date) at(second int64) []byte {
	if !d.set || d.second != second {
		d.second, d.set = second, true
		second = max(0, min(second, lastSecond))
		time.Unix(second, 0).UTC().AppendFormat(d.text[:0], dateLayout)
	}
	return d.text[:]
}

// head puts the response's head into x.out. known: the body's length where it is known before it is
// sent, else -1.
func (x *Exchange) head(known int64) {
	r, p, proto := &x.req, &x.resp, x.cn.lis.proto
	x.headDone = true
	x.status = p.Status
	x.headers = p.Headers
	b := x.out[:0]
	if proto.start != "" {
		b = append(b, proto.start...)
	} else if v := r.Bytes(r.Protocol); isVersion(v) {
		b = append(append(b, v...), ' ')
	} else {
		b = append(b, "HTTP/1.0 "...)
	}
	b = append(append(b, p.Reason...), '\r', '\n')
	b = x.appendHeaders(b, p.Head)
	if p.Length >= 0 {
		x.remaining = p.Length
	}
	// RFC 9110 §6.4.1; a front end would complain.
	x.noBody = p.Status == 204 || p.Status == 304 || p.Status < 200 && !p.Upgrade
	if proto.delimits {
		b = x.frame(b, known)
	}
	x.out = append(b, '\r', '\n')
	x.headBytes = int64(len(x.out))
}

// isVersion reports whether a front end's SERVER_PROTOCOL may begin a status line.
func isVersion(v []byte) bool {
	number, ok := bytes.CutPrefix(v, []byte("HTTP/"))
	return ok && len(number) > 0 && len(number) <= 3 && len(bytes.Trim(number, "0123456789.")) == 0
}

// frame adds what a client that speaks HTTP with us needs to find the end of the body (RFC 9112
// §6.3).
func (x *Exchange) frame(b []byte, known int64) []byte {
	r, p := &x.req, &x.resp
	x.noBody = x.noBody || r.Head
	switch {
	case p.Upgrade || p.TE:
		x.keep = false // the application frames by itself; where it ends is its secret
	case p.Length >= 0 || x.noBody:
	case known >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, known, 10)
		b = append(b, '\r', '\n')
		x.headers++
		x.remaining = known
	case !r.HTTP10:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		x.headers++
		x.chunked = true
	default:
		x.keep = false
	}
	if !p.HasDate {
		b = append(b, "Date: "...)
		b = append(b, x.core.date.at(x.wall/int64(time.Second))...)
		b = append(b, '\r', '\n')
		x.headers++
	}
	if p.Close || x.unread { // who has its answer early may not read the rest, which ends the connection
		x.keep = false
	}
	switch {
	case p.Upgrade:
	case !x.keep:
		b = append(b, "Connection: close\r\n"...)
		x.headers++
	case r.HTTP10:
		b = append(b, "Connection: keep-alive\r\n"...)
		x.headers++
	}
	return b
}

var (
	contentLength = []byte("Content-Length")
	connection    = []byte("Connection:")
)

// appendHeaders adds the application's headers, without those that rem-header names, and those of
// add-header. For a client that speaks HTTP with us only frame says where the body ends and whether
// the connection does, so that each is said once and cannot be removed.
func (x *Exchange) appendHeaders(b, head []byte) []byte {
	s := x.eng.settings
	if len(s.RemHeaders) == 0 {
		b = append(b, head...)
	} else {
		for len(head) > 0 {
			end := bytes.Index(head, crlf)
			line := head[:end+2]
			head = head[end+2:]
			name, _, _ := bytes.Cut(line, []byte(":"))
			if removes(s.RemHeaders, name) {
				x.headers--
				if bytes.EqualFold(name, contentLength) {
					x.resp.Length = -1
				}
				continue
			}
			b = append(b, line...)
		}
	}
	for _, h := range s.AddHeaders {
		if x.cn.lis.proto.delimits && len(h) > len(connection) &&
			bytes.EqualFold([]byte(h[:len(connection)]), connection) {
			x.resp.Close = x.resp.Close || bytes.Contains(bytes.ToLower([]byte(h)), []byte("close"))
			continue
		}
		b = append(append(b, h...), '\r', '\n')
		x.headers++
	}
	return b
}

func removes(names []string, name []byte) bool {
	for _, n := range names {
		if len(n) == len(name) && bytes.EqualFold([]byte(n), name) {
			return true
		}
	}
	return false
}
