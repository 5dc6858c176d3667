package chaos

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// Applications that misuse what they are given: each gets what it deserves, its client an answer,
// and nobody else anything. Afterwards nothing is left.
func TestEventedMisuse(t *testing.T) {
	asgiLoops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "1", "--stats", "stats.sock")
		r.Tolerate(`on purpose|Traceback|ASGI callable|which cannot be awaited|a child forked by the application|Task was destroyed|was never retrieved`)
		before := r.clean()
		for _, c := range []struct {
			path   string
			status int
			body   string
		}{
			{"/after", 200, "once"},
			{"/nothing", 500, ""},
			{"/no-coroutine", 500, ""},
			{"/at-once", 500, ""},
			{"/odd", 200, "odd"},
			{"/raises?what=interrupt", 500, ""},
			{"/raises?what=generator", 500, ""},
			{"/raises?what=stop", 500, ""},
			{"/raises?what=cancelled", 500, ""},
			{"/raises?what=memory", 500, ""},
			{"/raises?what=os", 500, ""},
			{"/raises?what=base", 500, ""},
			{"/raises?what=generator&when=late", 500, ""},
			{"/raises?what=interrupt&when=late", 500, ""},
			{"/raises?what=base&started=1", 500, ""}, // nothing had gone out
			{"/cancels", 500, ""},
			{"/cancels-last", 200, "answered"},
			{"/closes", 500, ""},
			{"/steps", 200, "stood"},
			{"/loop-stop", 200, "goes on"},
			{"/loop-close", 200, "refused"},
			{"/forks", 200, "parent"},
			{"/forks-and-awaits", 200, "parent"},
			{"/from-thread", 200, "from a thread"},
			{"/reenters", 200, "outer"},
			{"/twice", 200, "['RuntimeError']"},
			{"/headers?n=1000", 200, "many"},
			{"/wrong-body?what=str", 200, "refused"},
			{"/wrong-body?what=number", 200, "refused"},
			{"/wrong-body?what=none", 200, ""},
			{"/wrong-body?what=view", 200, "view"},
			{"/wrong-body?what=array", 200, "array"},
			{"/wrong-file?what=negative", 200, "refused"},
			{"/wrong-file?what=count", 200, "refused"},
			{"/wrong-file?what=closed", 200, "refused"},
			{"/wrong-file?what=dir", 200, "refused"},
			{"/wrong-file?what=text", 200, "refused"},
			{"/wrong-file?what=past", 200, ""},
			{"/wrong-file?what=overflow", 200, "refused"},
		} {
			t.Run(c.path, func(t *testing.T) { r.wants(t, c.path, c.status, c.body) })
		}
		for what, kind := range map[string]string{
			"type": "TypeError", "none": "TypeError", "list": "TypeError", "name": "RuntimeError",
			"bytes": "TypeError", "status": "TypeError",
			"str": "TypeError", "negative": "ValueError", "huge": "OverflowError", "informal": "ValueError",
			"crlf": "ValueError", "name crlf": "ValueError", "nul": "ValueError", "text": "TypeError", "one": "TypeError", "three": "TypeError",
			"headers": "TypeError", "length": "ValueError", "lengths": "ValueError", "order": "RuntimeError", "socket": "RuntimeError", "file": "RuntimeError",
		} {
			t.Run(what, func(t *testing.T) { r.wants(t, "/wrong?what="+url.QueryEscape(what), 200, kind+": ") })
		}
		r.breaks("/half")
		tally.sent.Add(1)
		raw := harness.RawEnd(t, r.addr, head("GET", "/last-words"))
		if !strings.Contains(raw, "last") || strings.HasSuffix(raw, "0\r\n\r\n") {
			t.Errorf("the end of a stream before an exception: %q", raw)
		}
		tally.onPurpose.Add(1)
		if after := r.clean(); after.PID != before.PID {
			t.Errorf("the worker has ended")
		}
		r.serves()
	})
}

// wants asks once and expects that status, and a body that begins so.
func (r *rig) wants(t *testing.T, path string, status int, body string) {
	t.Helper()
	tally.sent.Add(1)
	a, err := r.http().Try("GET", path, nil, "Connection: close")
	if err != nil || a.Status != status || status == 200 && !strings.HasPrefix(a.Body, body) ||
		strings.Contains(fmt.Sprint(a.Header), "Stray") {
		tally.lost.Add(1)
		t.Errorf("%s: %+v %v, want %d %q", path, a, err, status, body)
		return
	}
	note(status)
}

// What a request was given is of no use once it is over: no byte of what is sent by it reaches the
// client of another request that has its number by now, whatever sends it.
func TestEventedStrays(t *testing.T) {
	asgiLoops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "1", "--stats", "stats.sock")
		var all sync.WaitGroup
		stop := make(chan struct{})
		for path, body := range map[string]string{
			"/stream?n=3&s=0.002": "xxxxxxxxx\nxxxxxxxxx\nxxxxxxxxx\nend\n", "/parts": "parts",
			"/stream?n=2&s=0.01": "xxxxxxxxx\nxxxxxxxxx\nend\n", "/parts?s=0.05": "parts",
		} {
			all.Go(func() { // takes every number that is free, and looks at each byte that comes
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := exact(r.addr, path, body); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range scale(20, 300) {
			for path, want := range map[string]string{"/keeps": "kept", "/outlives": "first", "/threads?s=0.03": "loop",
				"/late": "mine alone"} {
				status := 200
				if strings.HasPrefix(path, "/threads") { // it never started its response
					r.ends(path)
					continue
				}
				r.wants(t, path, status, want)
			}
		}
		close(stop)
		all.Wait()
	})
}

// ends asks, and expects some answer.
func (r *rig) ends(path string) {
	tally.sent.Add(1)
	if _, err := r.http().Try("GET", path, nil); err != nil {
		tally.lost.Add(1)
		r.t.Errorf("%s: %v", path, err)
		return
	}
	tally.onPurpose.Add(1)
}

// exact asks on a connection of its own, and expects those bytes for a body, in a head of ours and
// nothing else.
func exact(addr, path, body string) error {
	tally.sent.Add(1)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(harness.Patience))
	io.WriteString(c, head("GET", path, "Connection: close"))
	raw, err := io.ReadAll(bufio.NewReader(c))
	a := string(raw)
	if err != nil || !strings.HasPrefix(a, "HTTP/1.1 200 OK\r\n") ||
		strings.Contains(strings.ToLower(a), "stray") {
		tally.lost.Add(1)
		return fmt.Errorf("%s: %q, %v", path, a, err)
	}
	for chunk := range strings.Lines(body) {
		if !strings.Contains(a, chunk) {
			tally.lost.Add(1)
			return fmt.Errorf("%s: %q", path, a)
		}
	}
	tally.right.Add(1)
	return nil
}

// A worker that the application ends in the middle of others' requests is replaced.
func TestEventedEnds(t *testing.T) {
	asgiLoops(t, func(t *testing.T, loop string) {
		r := startEvented(t, loop, "-p", "2")
		r.fds = 0
		r.Tolerate(`DAMN !|on purpose|SystemExit|descriptors that are not its own|Bad file descriptor|netpoll failed|Aborted`)
		for path, status := range map[string]int{"/_exit": 0, "/closerange": 0, "/raises?what=exit": 500} {
			for range scale(2, 20) {
				tally.sent.Add(1)
				a, err := r.http().Try("GET", path, nil)
				if status != 0 && (err != nil || a.Status != status) {
					t.Errorf("%s: %+v %v", path, a, err)
				}
				tally.onPurpose.Add(1)
				r.serving(2)
				r.serves()
			}
		}
	})
}
