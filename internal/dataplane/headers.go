package dataplane

import "bytes"

var (
	contentLength = []byte("Content-Length")
	connection    = []byte("Connection:")
)

// appendHeaders adds the application's headers, less what rem-header names, and those of add-header. Where a body ends, and whether the
// connection does, is said by frame to a client that speaks HTTP with us: not by a header that was taken away, and once.
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
		if x.cn.lis.proto.http() && len(h) > len(connection) && bytes.EqualFold([]byte(h[:len(connection)]), connection) {
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
