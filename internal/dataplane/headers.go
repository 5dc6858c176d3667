package dataplane

import "bytes"

var (
	contentLength = []byte("Content-Length")
	connection    = []byte("Connection:")
)

// appendHeaders adds the application's headers, less what rem-header names, and those of add-header. Where a body ends, and whether the
// connection does, is said by frame to a client that speaks HTTP with us: not by a header that was taken away, and once.
func (c *Core) appendHeaders(b, head []byte) []byte {
	s := c.eng.settings
	if len(s.RemHeaders) == 0 {
		b = append(b, head...)
	} else {
		for len(head) > 0 {
			end := bytes.Index(head, crlf)
			line := head[:end+2]
			head = head[end+2:]
			name, _, _ := bytes.Cut(line, []byte(":"))
			if removes(s.RemHeaders, name) {
				c.headers--
				if bytes.EqualFold(name, contentLength) {
					c.resp.Length = -1
				}
				continue
			}
			b = append(b, line...)
		}
	}
	for _, h := range s.AddHeaders {
		if c.cn.lis.proto.http() && len(h) > len(connection) && bytes.EqualFold([]byte(h[:len(connection)]), connection) {
			c.resp.Close = c.resp.Close || bytes.Contains(bytes.ToLower([]byte(h)), []byte("close"))
			continue
		}
		b = append(append(b, h...), '\r', '\n')
		c.headers++
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
