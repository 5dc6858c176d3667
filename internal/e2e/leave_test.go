package e2e

import (
	"testing"

	"uwsgi/internal/e2e/harness"
)

const writer = `
import time
log = []

class Endless:
    def __iter__(self):
        return self
    def __next__(self):
        return b"x" * 100000
    def close(self):
        print("close() ran", flush=True)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    write = start_response("200 OK", [])
    if path == "/iterate":
        return Endless()
    if path == "/write":
        try:
            while True:
                write(b"x" * 100000)
        except OSError as exc:
            print("write() raised", type(exc).__name__, exc, flush=True)
            raise
    if path == "/quiet":
        for _ in range(1000):
            write(b"x" * 100000)
        print("the loop ran to its end", flush=True)
    return [b"fine"]
`

// A client that leaves while it is sent to: close() runs, write() tells it, no traceback is
// written, and the worker serves on.
func TestClientLeavesWhileReading(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", writer)
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--module", "app")
	for _, way := range []struct{ addr, request string }{
		{addr, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n"}, {s.Path("s.sock"), ""},
	} {
		for path, line := range map[string]string{"/iterate": `^close\(\) ran`, "/write": `^write\(\) raised OSError write error`} {
			mark := s.Log.Mark()
			request := "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"
			if way.request == "" {
				request = string(harness.Request("GET", path, "").Packet())
			}
			c := harness.Send(t, way.addr, request)
			c.Read(make([]byte, 1000))
			c.Close()
			s.Log.WaitFrom(t, mark, `did not take the response to GET `+path)
			s.Log.WaitFrom(t, mark, line)
			s.Log.WaitFrom(t, mark, `GET `+path+` => generated`)
		}
	}
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "fine" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// The usual set of options for silence: nothing is logged, and write() does not raise.
func TestClientLeavesQuietly(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", writer)
	s.Start("--http", addr, "--module", "app", "--ignore-sigpipe", "--ignore-write-errors",
		"--disable-write-exception", "--disable-logging")
	c := harness.Send(t, addr, "GET /quiet HTTP/1.1\r\nHost: x\r\n\r\n")
	c.Read(make([]byte, 1000))
	c.Close()
	s.Log.Wait(t, `^the loop ran to its end`)
	if n := s.Log.Count(`did not take`); n != 0 {
		t.Errorf("%d lines about the client", n)
	}
}

// A client that takes nothing for socket-timeout is given up.
func TestClientTakesNothing(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", writer)
	s.Start("--http", addr, "--module", "app", "--socket-timeout", "1")
	harness.Send(t, addr, "GET /iterate HTTP/1.1\r\nHost: x\r\n\r\n")
	s.Log.Wait(t, `did not take the response to GET /iterate: it took nothing for 1s`)
	s.Log.Wait(t, `^close\(\) ran`)
}
