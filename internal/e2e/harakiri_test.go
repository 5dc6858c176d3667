package e2e

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const stuck = `
import threading, time, uwsgi
from uwsgidecorators import harakiri
release = threading.Event()

def deep_in_the_application(seconds):
    time.sleep(seconds)

def a_background_thread():
    while True:
        time.sleep(1000)

@harakiri(1)
def bounded():
    deep_in_the_application(1000)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/background":
        threading.Thread(target=a_background_thread, daemon=True).start()
    if path == "/begun":
        start_response("200 OK", [("Content-Length", "1000")])(b"begun\n")
        deep_in_the_application(1000)
    if path == "/stuck":
        deep_in_the_application(1000)
    if path == "/bounded":
        bounded()
    if path.startswith("/nap"):
        time.sleep(float(path[4:]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
`

// TestHarakiri: a request that runs too long gets 504, the stacks of every thread are in the log
// with the request, the answers of the other threads arrive, and the worker is replaced.
func TestHarakiri(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", stuck)
	s.Start("--http", addr, "--module", "app", "--harakiri", "4", "--harakiri-verbose", "-p", "1", "--threads", "3")
	s.Allow(`HARAKIRI ON WORKER 1 \(pid: \d+, try: 1\)`, "HARAKIRI", `DAMN ! worker 1 \(pid: \d+\) died, killed by signal 9`)
	site := harness.HTTP(t, addr)
	site.Get("/background")
	stuck := harness.Send(t, addr, "GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
	site.Get("/nap2")
	// longer than the stuck one may take, and far from its own end
	other := harness.Send(t, addr, "GET /nap2.1 HTTP/1.1\r\nHost: x\r\n\r\n")
	if a := harness.Parse(t, stuck, "GET"); a.Status != 504 {
		t.Errorf("the stuck request got %s %q", a.Line, a.Body)
	}
	if a := harness.Parse(t, other, "GET"); a.Body != "fine" {
		t.Errorf("the request of another thread got %s %q", a.Line, a.Body)
	}
	if a := site.Get("/"); a.Body != "fine" {
		t.Errorf("afterwards: %s %q", a.Line, a.Body)
	}
	s.Log.Wait(t, `DAMN ! worker 1 .* killed by signal 9`)
	s.Log.Wait(t, `Respawned uWSGI worker 1`)
	log := s.Log.String()
	for _, want := range []string{"in deep_in_the_application", "in a_background_thread", "HARAKIRI [core ",
		" - GET /stuck since ", "HARAKIRI: -- syscall> ", "HARAKIRI: -- wchan> "} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not hold %q", want)
		}
	}
}

// What a client calls itself and asks for stays within its line, in harakiri's lines and in those
// of SIGUSR2.
func TestForgedLines(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", stuck)
	s.Start("--socket", addr, "--module", "app", "--harakiri", "4")
	s.Allow("HARAKIRI", `DAMN ! worker 1 \(pid: \d+\) died, killed by signal 9`)
	forged := harness.Request("GET", "/begun", "").With("REQUEST_METHOD", "GET\x1b[2J", "REQUEST_URI",
		"/x\nforged line\u202e\u009b31m", "REMOTE_ADDR", "1\x1b")
	c := harness.Dial(t, addr)
	if _, err := c.Write(forged.Packet()); err != nil {
		t.Fatal(err)
	}
	const method, uri = `GET\\x1b\[2J`, `/x\\x0aforged line\\xe2\\x80\\xae\\xc2\\x9b31m`
	harness.ReadUntil(t, c, "begun")
	harness.Signal(t, atoi(t, s.Log.Wait(t, `spawned uWSGI worker 1 \(pid: (\d+)`)[1]), syscall.SIGUSR2)
	s.Log.Wait(t, `SIGUSR2: --- uWSGI worker 1 .* is managing request `+uri+" since")
	s.Log.Wait(t, `HARAKIRI \[core 0\] 1\\x1b - `+method+" "+uri+" since")
}

// A response that has begun cannot become a 504: it is cut off, so that nobody takes it for whole.
func TestHarakiriAfterTheHead(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", stuck)
	s.Start("--http", addr, "--module", "app", "--harakiri", "1")
	s.Allow("HARAKIRI", "DAMN ! worker 1 .* killed by signal 9")
	a := harness.RawEnd(t, addr, "GET /begun HTTP/1.1\r\nHost: x\r\n\r\n")
	if !strings.HasSuffix(a, "begun\n") || strings.Contains(a, "504") {
		t.Errorf("%q", a)
	}
	s.Log.Wait(t, `Respawned uWSGI worker 1`)
}

// harakiri-graceful-signal comes after the stacks and the 504: one that nobody handles takes
// neither away, and a handler has its time.
func TestHarakiriGracefulSignal(t *testing.T) {
	for name, c := range map[string]struct{ handler, ends string }{
		"handled":   {"import signal\nsignal.signal(signal.SIGALRM, lambda *a: print('the handler ran', flush=True))\n", "9"},
		"unhandled": {"", "14"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", c.handler+stuck)
			s.Start("--http", addr, "--module", "app", "--harakiri", "1", "--harakiri-graceful-signal", "14",
				"--harakiri-graceful-timeout", "2")
			s.Allow("HARAKIRI", `graceful: yes`, "DAMN ! worker 1 .* killed by signal "+c.ends+" ")
			if a := harness.HTTP(t, addr).Get("/stuck"); a.Status != 504 {
				t.Errorf("%s %q", a.Line, a.Body)
			}
			s.Log.Wait(t, "in deep_in_the_application")
			if c.handler != "" {
				s.Log.Wait(t, "^the handler ran")
			}
			s.Log.Wait(t, "DAMN ! worker 1")
			s.Log.Wait(t, "Respawned uWSGI worker 1")
		})
	}
}

// Behind nginx, over the uwsgi protocol, the client sees the 504 too; and a deadline of the
// application's own is one.
func TestHarakiriBehindNginx(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("app.py", stuck)
	s.Start("--socket", s.Path("s.sock"), "--chmod-socket=666", "--module", "app", "--harakiri", "60")
	s.Allow("HARAKIRI", "DAMN ! worker 1 .* killed by signal 9")
	n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+s.Path("s.sock")+"; }")
	if a := harness.HTTP(t, n.Addr).Get("/bounded"); a.Status != 504 {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// With harakiri-graceful-timeout alone the signal is SIGTERM, and a worker that has answered for
// what is stuck ends with its exit handlers, as uWSGI's do, once no other request is left.
func TestHarakiriGracefulByDefault(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `import atexit, os, time, uwsgi
atexit.register(lambda: print("the exit handler ran", flush=True))

def application(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        uwsgi.set_user_harakiri(1)
        time.sleep(1000)
    while environ["PATH_INFO"] == "/other" and not os.path.exists("done"):
        time.sleep(0.01)
    start_response("200 OK", [])
    return [b"fine"]
`)
	s.Start("--http", addr, "--module", "app", "--harakiri", "60", "--harakiri-graceful-timeout", "60", "--threads",
		"2")
	s.Allow("HARAKIRI", `graceful: yes`)
	for _, other := range []bool{false, true} {
		mark := s.Log.Mark()
		var c net.Conn
		if other {
			c = harness.Send(t, addr, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		if a := harness.HTTP(t, addr).Get("/stuck"); a.Status != 504 {
			t.Errorf("%s %q", a.Line, a.Body)
		}
		if other {
			s.Log.WaitFrom(t, mark, "^Gracefully killing worker 1")
			s.Write("done", "")
			if a := harness.Parse(t, c, "GET"); a.Body != "fine" {
				t.Errorf("the other request got %s %q", a.Line, a.Body)
			}
		}
		s.Log.WaitFrom(t, mark, "^the exit handler ran")
		s.Log.WaitFrom(t, mark, "worker 1 killed successfully")
	}
}
