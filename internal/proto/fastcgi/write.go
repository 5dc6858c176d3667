package fastcgi

import "bytes"

// Protocol statuses of END_REQUEST (specification §5.5).
const (
	Complete    = 0
	UnknownRole = 3
)

// MaxContent is the largest content of one record.
const MaxContent = 65535

// HeaderSize is the size of what StdoutHeader gives.
const HeaderSize = headerSize

// StdoutHeader is the header of a STDOUT record of n bytes, at most MaxContent, for content that is
// written from elsewhere: by writev or sendfile.
func StdoutHeader(id uint16, n int) [HeaderSize]byte {
	return [headerSize]byte{version, typeStdout, byte(id >> 8), byte(id), byte(n >> 8), byte(n)}
}

// AppendStdout appends p as STDOUT records. An empty p adds nothing: an empty record would end the
// stream.
func AppendStdout(dst []byte, id uint16, p []byte) []byte {
	for len(p) > 0 {
		n := min(len(p), MaxContent)
		h := StdoutHeader(id, n)
		dst = append(append(dst, h[:]...), p[:n]...)
		p = p[n:]
	}
	return dst
}

// AppendEnd appends what ends a response: the empty STDOUT record and END_REQUEST.
func AppendEnd(dst []byte, id uint16, appStatus uint32, protocolStatus byte) []byte {
	h := StdoutHeader(id, 0)
	dst = append(dst, h[:]...)
	return append(dst, version, typeEnd, byte(id>>8), byte(id), 0, 8, 0, 0,
		byte(appStatus>>24), byte(appStatus>>16), byte(appStatus>>8), byte(appStatus), protocolStatus, 0, 0, 0)
}

// AppendReply appends the answer to a management record (specification §4): to GET_VALUES what of
// it is known, to anything else that its type is not.
func AppendReply(dst, query []byte) []byte {
	rec, content, _, err := next(query)
	if err != nil {
		return dst
	}
	if rec.kind != typeValues {
		return append(dst, version, typeUnknown, 0, 0, 0, 8, 0, 0, rec.kind, 0, 0, 0, 0, 0, 0, 0)
	}
	at := len(dst)
	dst = append(dst, version, typeValuesRes, 0, 0, 0, 0, 0, 0)
	// One request at a time on a connection; the two maxima are the web server's to find out.
	name, value := "FCGI_MPXS_CONNS", "0"
	if bytes.Contains(content, []byte(name)) {
		dst = append(dst, byte(len(name)), byte(len(value)))
		dst = append(append(dst, name...), value...)
	}
	size := len(dst) - at - headerSize
	dst[at+4], dst[at+5] = byte(size>>8), byte(size)
	return dst
}
