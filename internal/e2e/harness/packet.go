package harness

import (
	"encoding/binary"
	"maps"
	"slices"
	"testing"
)

// Vars are the variables of a request of the uwsgi protocol.
type Vars map[string]string

// Request gives the variables that nginx would send for a simple request.
func Request(method, path, query string) Vars {
	uri := path
	if query != "" {
		uri += "?" + query
	}
	return Vars{
		"REQUEST_METHOD": method, "REQUEST_URI": uri, "PATH_INFO": path, "QUERY_STRING": query,
		"SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "test",
		"SERVER_NAME": "test", "SERVER_PORT": "80", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "1234",
		"CONTENT_TYPE": "", "CONTENT_LENGTH": "",
		"DOCUMENT_ROOT": "/usr/share/nginx/html", "REQUEST_SCHEME": "http",
	}
}

// With is a copy with pairs of names and values put in.
func (v Vars) With(pairs ...string) Vars {
	out := maps.Clone(v)
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// Packet is the request's head on the wire.
func (v Vars) Packet() []byte {
	pairs := make([]string, 0, 2*len(v))
	for _, k := range slices.Sorted(maps.Keys(v)) {
		pairs = append(pairs, k, v[k])
	}
	return Packet(pairs...)
}

// Packet is a head with names and values in order, where a name may stand twice.
func Packet(pairs ...string) []byte {
	var body []byte
	for _, s := range pairs {
		body = binary.LittleEndian.AppendUint16(body, uint16(len(s)))
		body = append(body, s...)
	}
	head := []byte{0, 0, 0, 0}
	binary.LittleEndian.PutUint16(head[1:], uint16(len(body)))
	return append(head, body...)
}

// Uwsgi sends one request of the uwsgi protocol, the variables and the body, and gives the answer.
func Uwsgi(t testing.TB, addr string, v Vars, body string) *Answer {
	t.Helper()
	c := Dial(t, addr)
	if _, err := c.Write(append(v.Packet(), body...)); err != nil {
		t.Fatal(err)
	}
	return Parse(t, c, v["REQUEST_METHOD"])
}
