package chaos

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// verdict is one case of internal/proto/http1/testdata: see the README there.
type verdict struct {
	name   string
	raw    string
	status int
	flags  string
	body   string         // decoded, of a chunked one
	peers  map[string]int // what nginx and gunicorn decide
}

// verdicts reads the cases of that folder.
func verdicts(t *testing.T, dir string) (cases []verdict) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(harness.Root(), "internal/proto/http1/testdata", dir, "*.txt"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "\n== ")[1:] {
			lines := strings.Split(part, "\n")
			v := verdict{name: filepath.Base(file) + "/" + lines[0], peers: map[string]int{}}
			for _, line := range lines[1:] {
				switch {
				case strings.HasPrefix(line, "< "):
					v.raw += unquote(t, line[2:])
				case strings.HasPrefix(line, "> "):
					v.status, _ = strconv.Atoi(line[2:])
					v.peers["nginx"], v.peers["gunicorn"] = v.status, v.status
				case strings.HasPrefix(line, "flags: "):
					v.flags = line[len("flags: "):]
				case strings.HasPrefix(line, "="):
					v.body = unquote(t, strings.TrimPrefix(line[1:], " "))
				case strings.HasPrefix(line, "nginx "), strings.HasPrefix(line, "gunicorn "):
					var peer, why string
					var status int
					if n, err := fmt.Sscanf(line, "%s %d, %s", &peer, &status, &why); n != 3 || status == v.status {
						t.Fatalf("%s: %q names no other verdict and its reason: %v", v.name, line, err)
					}
					v.peers[peer] = status
				}
			}
			cases = append(cases, v)
		}
	}
	if len(cases) < 30 {
		t.Fatalf("only %d cases", len(cases))
	}
	return cases
}

func unquote(t *testing.T, text string) string {
	t.Helper()
	out, err := strconv.Unquote(`"` + strings.NewReplacer(`\0`, `\x00`, `"`, `\"`).Replace(text) + `"`)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return out
}

// whole is the request with the body that its head announces.
func (v *verdict) whole() string {
	if strings.Contains(v.flags, "chunked") {
		return v.raw + "0\r\n\r\n"
	}
	if n := length(v.raw); v.status == 200 && n > 0 && n < 1<<20 {
		return v.raw + strings.Repeat("x", n)
	}
	return v.raw
}

// conversation sends bytes, half-closes and reads all that comes back. A reset is an error.
func conversation(t *testing.T, addr, raw string) ([]byte, error) {
	t.Helper()
	c := harness.Dial(t, addr)
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	tally.sent.Add(1)
	if _, err := io.WriteString(c, raw); err != nil {
		return nil, err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

// statuses reads the responses of a conversation; interim ones are left out.
func statuses(t *testing.T, b []byte, method string) (out []int) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(b))
	for {
		if _, err := in.Peek(1); err != nil {
			return out
		}
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode >= 200 {
			out = append(out, resp.StatusCode)
			method = "GET"
		}
	}
}

// Every raw request of the table, and one more behind it: what follows a refused one is never
// served.
func TestSmuggling(t *testing.T) {
	r := start(t, "-p", "1")
	for i, v := range verdicts(t, "requests") {
		r.smuggle(v, v.whole(), strings.SplitN(v.raw, " ", 2)[0], !strings.Contains(v.flags, "close"), i)
	}
}

const chunkedHead = "POST /digest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// The same for every chunked body, and the application gets what the table says and nothing of
// chunk lines, extensions and trailers.
func TestSmugglingInBodies(t *testing.T) {
	r := start(t, "-p", "1")
	for i, v := range verdicts(t, "chunked") {
		b := r.smuggle(v, chunkedHead+v.raw, "POST", true, i)
		if want := fmt.Sprintf("\r\n\r\n%d %x\n", len(v.body), sha1.Sum([]byte(v.body))); v.status == 200 &&
			!strings.Contains(string(b), want) {
			t.Errorf("%s: %q, want %q", v.name, b, want)
		}
	}
}

// smuggle sends a request with another one behind it, whose path nobody else asks for, and gives
// what comes back.
func (r *rig) smuggle(v verdict, raw, method string, keep bool, i int) []byte {
	r.t.Helper()
	canary := fmt.Sprintf("/canary-%d", i)
	b, err := conversation(r.t, r.addr, raw+"GET "+canary+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if err != nil {
		r.t.Errorf("%s: %v after %q", v.name, err, b)
		return b
	}
	got := statuses(r.t, b, method)
	want := []int{v.status}
	if v.status == 200 && keep {
		want = append(want, 200)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("%s: %q gives %v, want %v", v.name, raw, got, want)
		return b
	}
	note(v.status)
	if v.status != 200 && strings.Contains(r.expect(200, "/seen", "").Body, canary) {
		r.t.Errorf("%s: what follows the refused request was served", v.name)
	}
	return b
}

// length is the Content-Length of a head that is taken.
func length(raw string) int {
	resp, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimLeft(raw, "\r\n"))))
	if err != nil {
		return 0
	}
	return int(max(resp.ContentLength, 0))
}

// The same bytes through nginx: where it decides otherwise, the table names the difference and its
// reason. For bodies it has an application behind it, or it would not read them.
func TestSmugglingVerdictsOfNginx(t *testing.T) {
	r := start(t, "-p", "1")
	n := harness.StartNginx(t, `location / { return 200 "ok"; }
        location /digest { include /etc/nginx/uwsgi_params; uwsgi_pass unix:`+r.sock+`; uwsgi_ignore_client_abort on; error_log /dev/null; }`, "large_client_header_buffers 4 64k;", "underscores_in_headers on;")
	compare(t, "nginx", n.Addr)
}

// And through gunicorn.
func TestSmugglingVerdictsOfGunicorn(t *testing.T) {
	count(t)
	compare(t, "gunicorn", harness.StartGunicorn(t, `
def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
`))
}

func compare(t *testing.T, peer, addr string) {
	t.Helper()
	differ := 0
	try := func(v verdict, raw string) {
		b, err := conversation(t, addr, raw)
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			return
		}
		var minor, got int
		fmt.Sscanf(string(b), "HTTP/1.%d %d", &minor, &got)
		if got == 0 && len(b) > 0 {
			got = 200 // HTTP/0.9
		}
		if want := v.peers[peer]; got != want {
			t.Errorf("%s: %s says %d (%.60q), the table %d", v.name, peer, got, b, want)
		} else if note(got); got != v.status {
			differ++
		}
	}
	for _, v := range verdicts(t, "requests") {
		try(v, v.whole())
	}
	for _, v := range verdicts(t, "chunked") {
		try(v, chunkedHead+v.raw)
	}
	t.Logf("%s decides otherwise in %d cases, each with its reason in the table", peer, differ)
}
