package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/proto/websocket/websockettest"
)

// heap is what a worker's interpreter has allocated, once its garbage is collected.
type heap struct {
	Blocks int            // of memory (sys.getallocatedblocks)
	Types  map[string]int // objects that the collector knows, by their type
}

// ways are the ways that a request or WebSocket can come and end.
var ways = []struct {
	name string
	rare bool
	try  func(addr string) error
}{
	{"an answer", false, func(addr string) error { return exchange(addr, head("GET", "/", "Connection: close"), "hello\n") }},
	{"an error", false, func(addr string) error { return exchange(addr, head("GET", "/nothing", "Connection: close"), " 500 ") }},
	{"an upload", false, func(addr string) error {
		return exchange(addr, head("POST", "/upload", "Content-Length: 100000", "Connection: close")+
			strings.Repeat("u", 100000), "100000")
	}},
	{"a stream", false, func(addr string) error {
		return exchange(addr, head("GET", "/stream?n=20&size=100", "Connection: close"), "end\n")
	}},
	{"what goes on in the background", false, func(addr string) error {
		return exchange(addr, head("GET", "/background?s=0.001", "Connection: close"), "answered")
	}},
	{"over its time", true, func(addr string) error {
		return exchange(addr, head("GET", "/patient", "Connection: close"), " 504 ")
	}},
	{"a client that goes while it waits", false, func(addr string) error { return vanish(addr, head("GET", "/wait"), "", 0) }},
	{"a client that goes within a stream", false, func(addr string) error {
		return vanish(addr, head("GET", "/endless"), "tick", 1)
	}},
	{"a client that goes within an upload", false, func(addr string) error {
		return vanish(addr, head("POST", "/upload", "Content-Length: 100000")+"u", "", 1)
	}},
	{"a WebSocket that the client closes", false, func(addr string) error {
		return talk(addr, "/socket", func(k *websockettest.Client) error {
			if err := k.Say(websockettest.Text, "echo"); err != nil {
				return err
			}
			if _, payload, err := k.Hear(); err != nil || payload != "echo" {
				return fmt.Errorf("heard %q, %v", payload, err)
			}
			k.Say(websockettest.Close, websockettest.Code(1000, ""))
			_, _, err := k.Hear()
			return err
		})
	}},
	{"a WebSocket that the application closes", false, func(addr string) error {
		return talk(addr, "/closed-socket", func(k *websockettest.Client) error {
			first, _, err := k.Hear()
			if err == nil && first != websockettest.Close {
				err = fmt.Errorf("heard %#x", first)
			}
			return err
		})
	}},
	{"a WebSocket whose client goes", false, func(addr string) error { return vanish(addr, socketHead, "101 ", 1) }},
	{"a WebSocket that is refused", false, func(addr string) error {
		return exchange(addr, strings.Replace(socketHead, "/socket", "/refused-socket", 1), " 403 ")
	}},
}

// exchange sends a request on a connection of its own, and reads until something comes.
func exchange(addr, request, want string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * harness.Patience))
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	var got []byte
	for block := make([]byte, 4096); !strings.Contains(string(got), want); {
		n, err := c.Read(block)
		if got = append(got, block[:n]...); err != nil && !strings.Contains(string(got), want) {
			return fmt.Errorf("%q: %w", got, err)
		}
	}
	return nil
}

// talk opens a WebSocket for a conversation.
func talk(addr, path string, conversation func(k *websockettest.Client) error) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * harness.Patience))
	k, err := websockettest.Open(c, path)
	if err != nil || k.Answer.StatusCode != 101 {
		return fmt.Errorf("a WebSocket: %+v, %w", k, err)
	}
	return conversation(k)
}

// Of requests and WebSockets nothing is left in a worker's interpreter, however they came and
// ended: not a block of memory for each of a kind.
func TestEventedLeaks(t *testing.T) {
	loops(t, func(t *testing.T, loop string) {
		t.Parallel() // much of it is waiting
		each := scale(200, 1000)
		r := startEvented(t, loop, "-p", "1", "--stats", "stats.sock", "--harakiri", "2")
		r.Tolerate(`HARAKIRI|uwsgi\.Harakiri: |closed the connection|refused a request body|ASGI callable returned|` +
			`without calling start_response|write`)
		r.round(t, each) // what is made once
		before := r.heap(t)
		for n := 1; ; n++ { // what is kept by chance does not grow, round by round
			r.round(t, each)
			after := r.heap(t)
			grown := after.Blocks - before.Blocks
			if grown < n*each*3/4 {
				t.Logf("%d blocks, then %d", before.Blocks, after.Blocks)
				return
			}
			if n == 3 {
				t.Errorf("%d of each kind, and %d more blocks are in use:\n%s", n*each, grown, after.since(before))
				return
			}
		}
	})
}

// round has so many requests come and end in each way, but for those that wait for harakiri: a
// quarter of them, and in a short run, where what they leave in the interpreter's own stores would
// weigh too much, none.
func (r *rig) round(t *testing.T, each int) {
	t.Helper()
	var clients sync.WaitGroup
	gates := make(chan struct{}, 100) // at once
	for i := range each * len(ways) {
		way := ways[i%len(ways)]
		if way.rare && (!full || i/len(ways)%4 != 0) {
			continue
		}
		gates <- struct{}{}
		clients.Go(func() {
			defer func() { <-gates }()
			tally.sent.Add(1)
			tally.onPurpose.Add(1)
			if err := way.try(r.addr); err != nil {
				t.Errorf("%s: %v", way.name, err)
			}
		})
	}
	clients.Wait()
	r.clean()
}

// crowd has more requests wait at once than a worker keeps greenlets for: all that it ever keeps
// are there afterwards.
func (r *rig) crowd(t *testing.T) {
	t.Helper()
	const kept = 512 // SERVE_IDLE in cmd/uwsgi-worker/serve.c
	var clients, here sync.WaitGroup
	here.Add(kept + 1)
	for range kept + 1 {
		tally.sent.Add(1)
		tally.onPurpose.Add(1)
		clients.Go(func() {
			arrive := sync.OnceFunc(here.Done)
			defer arrive()
			if err := talk(r.addr, "/socket", func(k *websockettest.Client) error {
				arrive()
				here.Wait()
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	r.clean()
}

func (r *rig) heap(t *testing.T) (h heap) {
	t.Helper()
	r.crowd(t)
	a := r.expect(200, "/heap", "")
	if err := json.Unmarshal([]byte(a.Body), &h); err != nil {
		t.Fatalf("%v: %q", err, a.Body)
	}
	return h
}

// since tells of which types there are more objects than before.
func (h heap) since(before heap) string {
	var more []string
	for name, n := range h.Types {
		if n > before.Types[name] {
			more = append(more, fmt.Sprintf("%6d more of %s", n-before.Types[name], name))
		}
	}
	slices.Sort(more)
	slices.Reverse(more)
	return strings.Join(more, "\n")
}
