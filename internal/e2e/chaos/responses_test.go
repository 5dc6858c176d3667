package chaos

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// badHeads are the cases of testdata/app.py whose head cannot be sent.
func badHeads(t *testing.T) (names []string) {
	t.Helper()
	b, err := os.ReadFile("testdata/app.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^    "([a-z-]+)": lambda`).FindAllSubmatch(b, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) < 30 {
		t.Fatalf("only %q", names)
	}
	return names
}

// A head that would split the response, or that is none, is a 500 and a traceback; the worker
// lives, and so does the connection's order.
func TestResponsesWithBadHeads(t *testing.T) {
	r := start(t, "-p", "1")
	r.Allow(`Traceback`, `^AssertionError: write`)
	before := r.expect(200, "/pid", "").Body
	for _, way := range []string{r.addr, r.sock} {
		for _, name := range badHeads(t) {
			mark := r.Log.Mark()
			request := "GET /bad?how=" + name + " HTTP/1.1\r\nHost: a\r\n\r\n"
			if way == r.sock {
				request = string(harness.Request("GET", "/bad", "how="+name).Packet())
			}
			b, err := conversation(t, way, request)
			head, _, _ := strings.Cut(string(b), "\r\n\r\n")
			if err != nil || !strings.HasPrefix(head, "HTTP/1.1 500 ") || regexp.MustCompile(`(?i)\n(x-evil|set-cookie|y)`).MatchString(head) || strings.Contains(string(b), "<script>") {
				t.Errorf("%s: %v %q", name, err, b)
				continue
			}
			tally.onPurpose.Add(1)
			r.Log.WaitFrom(t, mark, `^(Type|Value|Assertion)Error: `)
		}
	}
	if after := r.expect(200, "/pid", "").Body; after != before {
		t.Errorf("worker %s served before, %s does now", before, after)
	}
}

// A body that is none, or not as long as it was said to be: the client can tell, and nothing runs
// into the next response.
func TestResponsesWithBadBodies(t *testing.T) {
	r := start(t, "-p", "1")
	r.Allow(`Traceback`, `^TypeError: `)
	before := r.expect(200, "/pid", "").Body
	for name, want := range map[string]struct {
		status int
		body   string
		cut    bool // the connection ends before the body is whole
		log    string
	}{
		"more":    {200, "hello", false, "more than its Content-Length"},
		"less":    {200, "hello", true, "less than its Content-Length"},
		"string":  {500, "", false, "TypeError"},
		"number":  {500, "", false, "TypeError"},
		"nothing": {500, "", false, "TypeError"},
		"object":  {500, "", false, "TypeError"},
		"late":    {200, "hello", true, "ValueError"},
	} {
		c := harness.Dial(t, r.addr)
		mark := r.Log.Mark()
		in := bufio.NewReader(c)
		tally.sent.Add(1)
		io.WriteString(c, "GET /bad?how="+name+" HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != want.status || want.body != "" && string(body) != want.body || want.cut != (err != nil) {
			t.Errorf("%s: %s %q %v", name, resp.Status, body, err)
			continue
		}
		tally.onPurpose.Add(1)
		r.Log.WaitFrom(t, mark, want.log)
		if !want.cut && !resp.Close { // the next one on the connection
			tally.sent.Add(1)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			rest, err := io.ReadAll(in)
			if err != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 200 OK\r\n") ||
				!strings.HasSuffix(string(rest), "\r\n\r\nhello\n") {
				t.Errorf("behind %s: %q %v", name, rest, err)
				continue
			}
			tally.right.Add(1)
		} else if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
			t.Errorf("behind %s: %q %v", name, rest, err)
		}
	}
	if after := r.expect(200, "/pid", "").Body; after != before {
		t.Errorf("worker %s served before, %s does now", before, after)
	}
}
