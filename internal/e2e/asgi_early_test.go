package e2e

import (
	"bytes"
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
