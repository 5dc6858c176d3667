package harness

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Answer is a whole response.
type Answer struct {
	Status int
	Line   string // "200 OK"
	Proto  string // "HTTP/1.1"
	Header http.Header
	Body   string
}

// Client speaks HTTP to one address.
type Client struct {
	t    testing.TB
	base string
	http *http.Client
}

// network tells a path from a host and port.
func network(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp"
}

// HTTP is a client for the server at addr, "host:port" or the path of a unix socket.
func HTTP(t testing.TB, addr string) *Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network(addr), addr)
		},
		DisableCompression: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	base := "http://" + addr
	if network(addr) == "unix" {
		base = "http://localhost"
	}
	return &Client{t: t, base: base, http: &http.Client{
		Transport: tr, Timeout: 3 * Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Get asks for a path; anything but an answer is fatal.
func (c *Client) Get(path string, headers ...string) *Answer {
	c.t.Helper()
	return c.Do("GET", path, nil, headers...)
}

// Do sends a request with "Name: value" headers.
func (c *Client) Do(method, path string, body io.Reader, headers ...string) *Answer {
	c.t.Helper()
	a, err := c.Try(method, path, body, headers...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// Try is Do for a request that may fail.
func (c *Client) Try(method, path string, body io.Reader, headers ...string) (*Answer, error) {
	req, err := http.NewRequest(method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		switch k {
		case "Host":
			req.Host = v
		case "Content-Length":
			if req.ContentLength, err = strconv.ParseInt(v, 10, 64); err != nil {
				return nil, err
			}
		default:
			req.Header.Add(k, v)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	return answer(resp)
}

func answer(resp *http.Response) (*Answer, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return &Answer{Status: resp.StatusCode, Line: resp.Status, Proto: resp.Proto, Header: resp.Header, Body: string(b)},
		err
}

// Dial opens a connection that the test ends with.
func Dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network(addr), addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(Patience))
	t.Cleanup(func() { c.Close() })
	return c
}

// Raw sends bytes and gives all that comes back until the other side closes.
func Raw(t testing.TB, addr, request string) string {
	t.Helper()
	b, err := io.ReadAll(Send(t, addr, request))
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// Parse reads one response to a request with that method.
func Parse(t testing.TB, r io.Reader, method string) *Answer {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(r), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	a, err := answer(resp)
	if err != nil {
		t.Fatalf("the response's body: %v", err)
	}
	return a
}

// Ask sends a request on a connection that may go on, and reads its answer. What the server sends
// behind it is lost.
func Ask(t testing.TB, c net.Conn, request string) *Answer {
	t.Helper()
	c.SetDeadline(time.Now().Add(Patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	return Parse(t, c, method)
}

// Send opens a connection, sends bytes and leaves the answer to be read.
func Send(t testing.TB, addr, request string) net.Conn {
	t.Helper()
	c := Dial(t, addr)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

// RawEnd is Raw for a connection that may end with an error, such as a reset.
func RawEnd(t testing.TB, addr, request string) string {
	t.Helper()
	b, _ := io.ReadAll(Send(t, addr, request))
	return string(b)
}

// ReadUntil reads until what came ends with a text.
func ReadUntil(t testing.TB, c net.Conn, end string) string {
	t.Helper()
	var got []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(got), end); {
		n, err := c.Read(one)
		got = append(got, one[:n]...)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
	}
	return string(got)
}
