package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// TestEarlyAnswerOnASocket: a front end that sends a body nobody reads can send all of it, and has
// the answer: nginx takes a pipe that breaks for a failed server.
func TestEarlyAnswerOnASocket(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("app.py", `
async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})
`)
	s.Start("--socket", s.Path("s.sock"), "--module", "app", "--lifespan", "off")
	const size = 1 << 20
	c, err := net.Dial("unix", s.Path("s.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(harness.Patience))
	c.Write(harness.Packet("REQUEST_METHOD", "POST", "PATH_INFO", "/", "REQUEST_URI", "/", "SERVER_NAME", "x",
		"SERVER_PORT", "80", "SERVER_PROTOCOL", "HTTP/1.1", "CONTENT_LENGTH", strconv.Itoa(size), "HTTP_HOST", "x"))
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 404 ") || !bytes.HasSuffix(answer, []byte("no")) {
		t.Fatalf("%q %v", answer, err)
	}
	if n, err := c.Write(make([]byte, size)); err != nil {
		t.Errorf("after %d bytes of the body: %v", n, err)
	}
}

// TestEarlyAnswerEndsTheConnection: a client whose body nobody has read is told that its connection
// ends with the answer, and does not send its next request there; one whose body was read, or is
// whole, keeps it.
func TestEarlyAnswerEndsTheConnection(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
async def application(scope, receive, send):
    while scope["path"] == "/read" and (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})
`)
	s.Start("--http", addr, "--module", "app", "--lifespan", "off")
	body := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		path, sent string
		ends       bool
	}{
		{"/early", body[1:], true},
		{"/read", body, false},
		{"/early", "", false},
	} {
		length := len(body)
		if c.sent == "" {
			length = 0
		}
		head := harness.ReadUntil(t, harness.Send(t, addr, fmt.Sprintf(
			"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", c.path, length, c.sent)), "\r\n\r\nno")
		if ends := strings.Contains(head, "\r\nConnection: close\r\n"); ends != c.ends ||
			!strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Errorf("%s: %q", c.path, head)
		}
	}
}

// TestASGIHalfClosed: a client that has said all that it will is gone for the application. A whole
// answer gets there all the same; one that is streamed is refused with OSError, as by uvicorn, and
// that is neither a 500 nor an exception of the application's.
func TestASGIHalfClosed(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
async def application(scope, receive, send):
    while (await receive())["type"] != "http.disconnect":
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/whole":
        await send({"type": "http.response.body", "body": b"it has gone"})
        return
    for piece in b"it has", b" gone":
        await send({"type": "http.response.body", "body": piece, "more_body": True})
`)
	s.Start("--http", addr, "--asgi", "app", "--lifespan", "off", "--stats", s.Path("stats"))
	for path, want := range map[string]string{"/whole": "\r\n\r\nit has gone", "/streamed": ""} {
		c := harness.Send(t, addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !strings.HasSuffix(string(got), want) || want == "" && len(got) > 0 {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	s.Log.Wait(t, `GET /streamed => generated 0 bytes`)
	s.Log.Wait(t, `GET /whole => generated`)
	w := statsOf(t, s.Path("stats"))["workers"].([]any)[0].(map[string]any)
	if w["requests"] != 2.0 || w["exceptions"] != 0.0 {
		t.Errorf("%v requests, %v exceptions", w["requests"], w["exceptions"])
	}
}
