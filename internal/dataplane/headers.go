package dataplane

import "bytes"

// appendHeaders adds the application's headers, less what rem-header names, and those of add-header.
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
				continue
			}
			b = append(b, line...)
		}
	}
	for _, h := range s.AddHeaders {
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
