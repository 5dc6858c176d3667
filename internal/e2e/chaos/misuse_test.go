package chaos

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// misuser is a server with the application of testdata/misuse.py.
func misuser(t *testing.T, args ...string) *rig {
	t.Helper()
	r := newRig(t)
	r.Copy("testdata/misuse.py", "app.py")
	r.begin(args...)
	return r
}

// What start_response, write and wsgi.file_wrapper are given against their rules is an exception in
// the application, or is put right. It is never a crash, a response that promises what it does not
// hold, or one that another request's client could take for its own.
func TestMisuseOfTheBridge(t *testing.T) {
	r := misuser(t, "-p", "1")
	r.Allow(`Traceback[^$]*ValueError: invalid http header name`, `Traceback[^$]*SystemExit`)
	before := r.expect(200, "/pid", "").Body
	for _, c := range []struct {
		how, body string
		status    int
	}{
		{"late-none", "xTypeError", 200}, {"late-int", "xTypeError", 200}, {"late-text", "xTypeError", 200}, {"late-pair", "xTypeError", 200},
		{"late-traceback", "xTypeError", 200}, {"late-real", "xKeyError", 200},
		{"made", "TypeError", 200}, {"copied", "TypeError", 200}, {"changing", "Internal Server Error\n", 500},
		{"elsewhere", strings.Repeat("M", 70000) + "8", 200}, {"keep", "kept", 200}, {"use-kept", "RuntimeError", 200},
		{"before", "read", 200}, {"beyond", "read", 200}, {"nowhere", "read", 200}, {"proc", "uwsgi\n", 200},
		{"no-content", "", 204}, {"exits", "body", 200},
		{"late-write", "body", 200}, {"late-large", "body", 200}, {"late-file", ")\n", 200}, {"seen", "RuntimeError RuntimeError RuntimeError", 200},
		{"evicted", "lived", 200},
	} {
		tally.sent.Add(1)
		a, err := r.http().Try("GET", "/case?"+c.how, nil)
		if err != nil {
			t.Errorf("%s: %v", c.how, err)
			continue
		}
		if a.Status != c.status || a.Body != c.body || a.Status == 204 && a.Header.Get("Content-Length") != "" {
			t.Errorf("%s: %s %.100q, want %d %.100q", c.how, a.Line, a.Body, c.status, c.body)
		}
		note(c.status)
	}
	if after := r.expect(200, "/pid", "").Body; after != before {
		t.Errorf("worker %s served before, %s does now", before, after)
	}
}

// The bridge under calls of every kind with what a seed chooses: each gets a response that is one,
// or a closed connection, and the worker is the same one at the end. UWSGI_BRIDGE_SEEDS=FIRST,COUNT
// tries others: packaging/sanitize.sh has the bridge built with the address sanitizer.
func TestBridgeAtRandom(t *testing.T) {
	first, n := 1, scale(1500, 30000)
	if text := os.Getenv("UWSGI_BRIDGE_SEEDS"); text != "" {
		if k, err := fmt.Sscanf(text, "%d,%d", &first, &n); k != 2 {
			t.Fatalf("UWSGI_BRIDGE_SEEDS=%s: %v", text, err)
		}
	}
	r := misuser(t, "-p", "1", "--threads", "2", "--ignore-sigpipe", "--ignore-write-errors", "--socket-timeout", "30")
	r.Tolerate(`^Traceback`)
	r.Tolerate(`^[\w.]*(Error|Exception|Interrupt|Exit)(:|$)`)
	before := r.expect(200, "/pid", "").Body
	var next atomic.Int64
	next.Store(int64(first) - 1)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for seed := next.Add(1); seed < int64(first+n) && !t.Failed(); seed = next.Add(1) {
				if err := r.seeded(seed); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				tally.onPurpose.Add(1)
			}
		})
	}
	all.Wait()
	if after := r.expect(200, "/pid", "").Body; after != before {
		t.Errorf("worker %s served before, %s does now", before, after)
	}
}

// seeded has one seed tried, by each protocol and form of a request in turn.
func (r *rig) seeded(seed int64) error {
	addr, method, raw := r.addr, "GET", ""
	switch seed % 4 {
	case 0:
		method = "HEAD"
		fallthrough
	case 1:
		raw = fmt.Sprintf("%s /seeded?%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", method, seed)
	case 2:
		raw = fmt.Sprintf("GET /seeded?%d HTTP/1.0\r\n\r\n", seed)
	case 3:
		addr, raw = r.sock, string(harness.Request("POST", "/seeded",
			strconv.FormatInt(seed, 10)).With("CONTENT_LENGTH", "2").Packet())+"ab"
	}
	b, err := conversation(r.t, addr, raw)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if err != nil || len(b) == 0 {
		return nil // closed, by uwsgi.disconnect() for one
	}
	in := bufio.NewReader(bytes.NewReader(b))
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil && strings.Contains(err.Error(), "transfer encoding") {
		return nil // the application frames by itself then, and the connection ends
	}
	if err != nil {
		return fmt.Errorf("%.200q: %w", b, err)
	}
	if resp.StatusCode < 200 {
		return fmt.Errorf("%.200q is not final", b)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil // cut off, and the client can tell
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 && addr == r.addr && len(resp.TransferEncoding) > 0 {
		return fmt.Errorf("%.100q behind the response %.200q", rest, b)
	}
	return nil
}
