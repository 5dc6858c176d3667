package chaos

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/proto/websocket/websockettest"
)

// newEvented makes a server with the ASGI application of testdata/evented.py on that loop, or under
// gevent with the WSGI one of testdata/greenlets.py, which has the same paths.
func newEvented(t *testing.T, loop string) *rig {
	t.Helper()
	r := newRig(t)
	r.file, r.app = "evented.py", []string{"--asgi", "evented", "--asgi-loop", loop}
	if loop == "gevent" {
		r.file, r.app = "greenlets.py", []string{"--module", "greenlets", "--gevent", "1000", "--gevent-monkey-patch"}
	}
	r.app = append(r.app, "--home", harness.Async(t))
	r.Copy("testdata/"+r.file, r.file)
	return r
}

// inFlight is the option for how many requests a worker may have in flight.
func inFlight(loop string) string {
	if loop == "gevent" {
		return "--gevent"
	}
	return "--asgi-concurrency"
}

func startEvented(t *testing.T, loop string, args ...string) *rig {
	t.Helper()
	r := newEvented(t, loop)
	r.beginEvented(args...)
	return r
}

func (r *rig) beginEvented(args ...string) {
	r.t.Helper()
	r.begin(args...)
	r.expect(200, "/", "hello") // the loop makes some descriptors when it begins to run
	r.fds = descriptors(r.workers()[0])
}

// asgiLoops has a test run on each loop that ASGI applications have, loops under gevent too.
func asgiLoops(t *testing.T, test func(t *testing.T, loop string)) {
	t.Helper()
	on(t, []string{"asyncio", "uvloop"}, test)
}

func loops(t *testing.T, test func(t *testing.T, loop string)) {
	t.Helper()
	all := []string{"asyncio", "uvloop", "gevent"}
	if os.Getenv("UWSGI_CHAOS_ENV") != "" { // greenlets copy stacks: to the address sanitizer, a fault
		all = all[:2]
	}
	on(t, all, test)
}

func on(t *testing.T, loops []string, test func(t *testing.T, loop string)) {
	t.Helper()
	for _, loop := range loops {
		t.Run(loop, func(t *testing.T) { test(t, loop) })
	}
}

// left is what a worker still holds of its requests.
type left struct {
	PID, Exchanges, Drivers, Threads, Signals, Cancelled, Disconnected, Sent, Code int
	Tasks                                                                          []string
	RSS                                                                            int
}

func (r *rig) left() (l left) {
	r.t.Helper()
	a := r.expect(200, "/live", "")
	if err := json.Unmarshal([]byte(a.Body), &l); err != nil {
		r.t.Fatalf("%v: %q", err, a.Body)
	}
	return l
}

// clean waits until a single worker holds nothing of its requests any more: no object, no task, no
// connection but the one that asks.
func (r *rig) clean() (l left) {
	r.t.Helper()
	var w map[string]any
	if !soon(func() bool {
		l = r.left()
		w = r.worker()
		return l.Exchanges == 0 && l.Drivers == 0 && len(l.Tasks) == 0 && w["in_flight"] == 0.0 &&
			w["websockets"] == 0.0 && w["connections"] == 0.0
	}) {
		r.t.Errorf("it is left with %+v, in flight %v, websockets %v, connections %v", l, w["in_flight"],
			w["websockets"], w["connections"])
	}
	return l
}

// worker is what the statistics say of the first worker; the server has --stats stats.sock.
func (r *rig) worker() map[string]any {
	r.t.Helper()
	c, err := net.Dial("unix", r.Path("stats.sock"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	var doc struct{ Workers []map[string]any }
	if err := json.NewDecoder(c).Decode(&doc); err != nil || len(doc.Workers) == 0 {
		r.t.Fatalf("statistics: %v, %v", doc, err)
	}
	return doc.Workers[0]
}

// signals has a process get a thousand signals a second until the test ends them.
func signals(t *testing.T, pid int, sigs ...syscall.Signal) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			case <-tick.C:
				syscall.Kill(pid, sigs[i%len(sigs)])
			}
		}
	}()
	return func() { close(over); <-ended }
}

// request is a request's head, with a body of a length that is promised.
func head(method, path string, headers ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, path, strings.Join(append(headers, ""), "\r\n"))
}

// openSocket opens the WebSocket of the application's echo.
func openSocket(t *testing.T, addr, path string) *websockettest.Client {
	t.Helper()
	k, err := websockettest.Open(harness.Dial(t, addr), path)
	if err != nil || k.Answer.StatusCode != 101 {
		t.Fatalf("a WebSocket: %+v, %v", k, err)
	}
	return k
}

// echoes has a WebSocket echo a text.
func echoes(t *testing.T, k *websockettest.Client, text string) {
	t.Helper()
	if err := k.Say(0x81, text); err != nil {
		t.Fatal(err)
	}
	if first, payload := hears(t, k); first != 0x81 || payload != text {
		t.Fatalf("heard %#x %q", first, payload)
	}
}

// hears gives the next frame that is no ping.
func hears(t *testing.T, k *websockettest.Client) (first byte, payload string) {
	t.Helper()
	for {
		first, payload, err := k.Hear()
		if err != nil {
			t.Fatalf("a WebSocket is cut off: %v", err)
		}
		if first != websockettest.Ping {
			return first, payload
		}
	}
}
