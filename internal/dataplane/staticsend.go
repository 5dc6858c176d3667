package dataplane

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
)

// readLimit: a file up to here is read behind the head and leaves in one write; past it, sendfile
// is cheaper than the copy.
const readLimit = 16 << 10

// The status lines of files.
var (
	reasonOK          = []byte("200 OK")
	reasonPartial     = []byte("206 Partial Content")
	reasonNotModified = []byte("304 Not Modified")
	reasonRange       = []byte("416 Range Not Satisfiable")
)

// conditions are the request's headers that decide what of a file is sent.
type conditions struct {
	since, noneMatch, ranges, ifRange, encoding []byte
}

func conditionsOf(r *request.Request) (c conditions) {
	for i := range r.Vars {
		switch string(r.Key(i)) {
		case "HTTP_IF_MODIFIED_SINCE":
			c.since = r.Val(i)
		case "HTTP_IF_NONE_MATCH":
			c.noneMatch = r.Val(i)
		case "HTTP_RANGE":
			c.ranges = r.Val(i)
		case "HTTP_IF_RANGE":
			c.ifRange = r.Val(i)
		case "HTTP_ACCEPT_ENCODING":
			c.encoding = r.Val(i)
		}
	}
	return c
}

// staticHead collects the headers of a file.
type staticHead struct {
	b []byte
	n int
}

func (h *staticHead) add(name string, value []byte) {
	h.b = append(append(append(h.b, name...), value...), '\r', '\n')
	h.n++
}

func (h *staticHead) addText(name, value string) {
	h.b = append(append(append(h.b, name...), value...), '\r', '\n')
	h.n++
}

func (h *staticHead) addNumber(name string, n int64) {
	h.b = append(strconv.AppendInt(append(h.b, name...), n, 10), '\r', '\n')
	h.n++
}

// sendStatic answers with the open file rel of root, whose Stat_t is in files.st; rel is nil where
// root is the file.
func (x *Exchange) sendStatic(root *root, rel []byte, fd int) {
	s, f := x.eng.static, &x.core.files
	if !x.claimAnswer() {
		unix.Close(fd)
		x.broken = true
		return
	}
	x.ended = true
	cond := conditionsOf(&x.req)
	h := staticHead{b: f.head[:0]}
	f.full = append(f.full[:0], root.real...)
	if rel != nil {
		f.full = append(append(f.full, '/'), rel...)
	}
	mime := s.mime.of(f.full)
	if mime != "" {
		h.addText("Content-Type: ", mime)
	}
	if s.gzip.applies(f.full) {
		h.addText("Vary: ", "Accept-Encoding")
		if encoding, packed := f.openPacked(s, root, rel, cond.encoding); encoding != "" {
			unix.Close(fd)
			fd = packed
			h.addText("Content-Encoding: ", encoding)
		}
	}
	modified := f.st.Mtim.Sec
	text := f.date.at(modified)
	h.add("Last-Modified: ", text)
	if at, ok := s.expiry(&x.req, f.full, mime, x.wall/int64(time.Second), modified); ok {
		h.add("Expires: ", f.expires.at(at))
	}
	x.resp = Response{HasHead: true, Status: 200, Reason: reasonOK, Length: -1}
	off, n := int64(0), f.st.Size
	switch {
	case cond.noneMatch == nil && notModified(cond.since, text, modified): // RFC 9110 §13.1.3
		x.resp.Status, x.resp.Reason = 304, reasonNotModified
		x.sendStaticHead(&h, fd)
		return
	case s.serve != "":
		real, err := os.Readlink(procFD(fd))
		if err == nil && bytes.IndexFunc([]byte(real), func(r rune) bool { return r < 32 || r == 127 }) < 0 {
			h.addText(s.serve, real)
			x.sendStaticHead(&h, fd)
			return
		}
		// Such a name could hold headers of its own: sent from here.
	case s.ranges:
		if x.req.Head {
			cond.ranges = nil // RFC 9110 §14.2: for GET alone
		}
		var status int
		off, n, status = rangeOf(&cond, text, n)
		switch status {
		case 206:
			x.resp.Status, x.resp.Reason = 206, reasonPartial
			h.b = strconv.AppendInt(append(h.b, "Content-Range: bytes "...), off, 10)
			h.b = strconv.AppendInt(append(h.b, '-'), off+n-1, 10)
			h.addNumber("/", f.st.Size)
		case 416:
			x.resp.Status, x.resp.Reason = 416, reasonRange
			h.addNumber("Content-Range: bytes */", f.st.Size)
			x.sendStaticHead(&h, fd)
			return
		default:
			h.addText("Accept-Ranges: ", "bytes")
		}
	}
	x.sendStaticBody(&h, fd, off, n)
}

// sendStaticHead answers with a head alone.
func (x *Exchange) sendStaticHead(h *staticHead, fd int) {
	unix.Close(fd)
	x.core.files.head, x.resp.Head, x.resp.Headers = h.b, h.b, h.n
	x.head(0)
	x.sendLast(nil)
}

// sendStaticBody answers with n bytes of fd from off.
func (x *Exchange) sendStaticBody(h *staticHead, fd int, off, n int64) {
	f := &x.core.files
	small := n <= readLimit && !x.req.Head
	var body []byte
	if small {
		// Read before the length is promised: the file may have changed since fstat.
		if cap(f.body) < readLimit {
			f.body = make([]byte, readLimit)
		}
		got, err := 0, error(nil)
		for int64(got) < n {
			k := 0
			if k, err = unix.Pread(fd, f.body[got:n], off+int64(got)); k <= 0 || err != nil {
				break
			}
			got += k
		}
		unix.Close(fd)
		if err != nil {
			x.log("cannot read %s: %s", f.full, err)
			x.plain(500, statusText(500), "")
			return
		}
		body, n = f.body[:got], int64(got)
	}
	h.addNumber("Content-Length: ", n)
	f.head, x.resp.Head, x.resp.Headers, x.resp.Length = h.b, h.b, h.n, n
	x.via = "sendfile" // the request log's word for files, and what log-sendfile goes by
	x.head(n)
	switch {
	case x.req.Head:
		unix.Close(fd)
		x.sendLast(nil)
	case small:
		x.bodyBytes = n
		x.sendLast(body)
	default:
		x.sendFile(fd, off, n)
	}
}

// notModified reports whether the client's copy is as new as the file (RFC 9110 §13.1.3). Nearly
// always it sends back what it was given.
func notModified(since, text []byte, modified int64) bool {
	if len(since) == 0 {
		return false
	}
	if bytes.Equal(since, text) {
		return true
	}
	at, ok := parseDate(string(since))
	return ok && modified <= at
}

// parseDate reads the three forms of a date (RFC 9110 §5.6.7).
func parseDate(s string) (int64, bool) {
	for _, layout := range []string{dateLayout, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}

// rangeOf gives the part of a file of that size that the request asks for, and 206; all of it and
// 200 where it asks for nothing that can be given as one part; or 416 (RFC 9110 §14.2).
func rangeOf(c *conditions, modified []byte, size int64) (off, n int64, status int) {
	spec, ok := bytes.CutPrefix(c.ranges, []byte("bytes="))
	if !ok || c.ifRange != nil && !bytes.Equal(c.ifRange, modified) { // RFC 9110 §13.1.5
		return 0, size, 200
	}
	first, last, ok := bytes.Cut(bytes.TrimSpace(spec), []byte("-"))
	if !ok || bytes.IndexByte(last, ',') >= 0 {
		return 0, size, 200
	}
	if len(first) == 0 { // the last so many bytes
		k, ok := request.Digits(last)
		switch {
		case !ok:
			return 0, size, 200
		case k == 0 || size == 0:
			return 0, 0, 416
		}
		k = min(k, size)
		return size - k, k, 206
	}
	from, ok := request.Digits(first)
	to := size - 1
	if ok && len(last) > 0 {
		if to, ok = request.Digits(last); ok && to < from {
			ok = false
		}
	}
	switch {
	case !ok:
		return 0, size, 200
	case from >= size:
		return 0, 0, 416
	}
	to = min(to, size-1)
	return from, to - from + 1, 206
}
