package dataplane

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// client is one connection.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *server) dial(protocol string) *client {
	s.t.Helper()
	network := "tcp"
	if strings.HasPrefix(s.addrs[protocol], "/") {
		network = "unix"
	}
	conn, err := net.Dial(network, s.addrs[protocol])
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &client{s.t, conn, bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// all reads until the server closes. A reset is an error: the client could have lost what it had
// not read yet.
func (c *client) all() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("after %q: %v", tail(b, 200), err)
	}
	return string(b)
}

// cut reads until the server resets the connection.
func (c *client) cut() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if !errors.Is(err, unix.ECONNRESET) {
		c.t.Errorf("after %q: %v, not a reset", tail(b, 200), err)
	}
	return string(b)
}

// response reads one HTTP response; its body is read whole.
func (c *client) response(method string) (*http.Response, string) {
	c.t.Helper()
	req, _ := http.NewRequest(method, "/", nil)
	resp, err := http.ReadResponse(c.r, req)
	if err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s: body: %v after %d bytes", resp.Status, err, len(body))
	}
	return resp, string(body)
}

// get sends a request on a kept connection and returns the body.
func (c *client) get(path string) string {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, body := c.response("GET")
	if resp.StatusCode != 200 {
		c.t.Fatalf("GET %s: %s %s", path, resp.Status, body)
	}
	return body
}

// expectClosed fails unless the server has closed the connection and sent nothing more.
func (c *client) expectClosed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("%q and %v, want the end of the connection", tail(b, 200), err)
	}
}

// exchange sends one raw request on a connection of its own and returns all that comes back.
func (s *server) exchange(protocol, raw string) string {
	s.t.Helper()
	c := s.dial(protocol)
	defer c.Close()
	c.send(raw)
	return c.all()
}

// packet makes a uwsgi packet of "NAME=value" pairs.
func packet(vars ...string) string {
	var b bytes.Buffer
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		b.Write([]byte{byte(len(name)), byte(len(name) >> 8)})
		b.WriteString(name)
		b.Write([]byte{byte(len(value)), byte(len(value) >> 8)})
		b.WriteString(value)
	}
	return string([]byte{0, byte(b.Len()), byte(b.Len() >> 8), 0}) + b.String()
}

// cgi gives the variables of a request as a gateway sends them.
func cgi(method, path string, more ...string) []string {
	return append([]string{"REQUEST_METHOD=" + method, "REQUEST_URI=" + path, "PATH_INFO=" + path,
		"SERVER_PROTOCOL=HTTP/1.1", "REMOTE_ADDR=192.0.2.1"}, more...)
}
