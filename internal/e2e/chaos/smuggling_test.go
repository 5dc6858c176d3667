package chaos

import (
	"bufio"
	"bytes"
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

// verdict is one case of internal/proto/http1/testdata/requests: see the README there.
type verdict struct {
	name   string
	raw    string
	status int
	flags  string
	nginx  int // what nginx decides
}

func verdicts(t *testing.T) (cases []verdict) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(harness.Root(), "internal/proto/http1/testdata/requests/*.txt"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "\n== ")[1:] {
			lines := strings.Split(part, "\n")
			v := verdict{name: filepath.Base(file) + "/" + lines[0]}
			for _, line := range lines[1:] {
				switch {
				case strings.HasPrefix(line, "< "):
					raw, err := strconv.Unquote(`"` + strings.NewReplacer(`\0`, `\x00`, `"`, `\"`).Replace(line[2:]) + `"`)
					if err != nil {
						t.Fatalf("%s: %q: %v", v.name, line, err)
					}
					v.raw += raw
				case strings.HasPrefix(line, "> "):
					v.status, _ = strconv.Atoi(line[2:])
					v.nginx = v.status
				case strings.HasPrefix(line, "flags: "):
					v.flags = line[len("flags: "):]
				case strings.HasPrefix(line, "nginx "):
					fmt.Sscanf(line, "nginx %d", &v.nginx)
				}
			}
			cases = append(cases, v)
		}
	}
	if len(cases) < 100 {
		t.Fatalf("only %d cases", len(cases))
	}
	return cases
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

// Every raw request of the table, and one more behind it: what follows a refused one is never served.
func TestSmuggling(t *testing.T) {
	r := start(t, "-p", "1")
	for i, v := range verdicts(t) {
		canary := fmt.Sprintf("/canary-%d", i)
		body := ""
		if v.flags == "chunked" || strings.Contains(v.flags, "chunked") {
			body = "0\r\n\r\n"
		} else if n := length(v.raw); v.status == 200 && n > 0 && n < 1<<20 {
			body = strings.Repeat("x", n)
		}
		b, err := conversation(t, r.addr, v.raw+body+"GET "+canary+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if err != nil {
			t.Errorf("%s: %v after %q", v.name, err, b)
			continue
		}
		got := statuses(t, b, strings.SplitN(v.raw, " ", 2)[0])
		want := []int{v.status}
		if v.status == 200 && !strings.Contains(v.flags, "close") {
			want = append(want, 200)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q gives %v, want %v", v.name, v.raw, got, want)
			continue
		}
		note(v.status)
		if v.status != 200 && strings.Contains(r.expect(200, "/seen", "").Body, canary) {
			t.Errorf("%s: what follows the refused request was served", v.name)
		}
	}
}

// length is the Content-Length of a head that is taken.
func length(raw string) int {
	resp, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimLeft(raw, "\r\n"))))
	if err != nil {
		return 0
	}
	return int(max(resp.ContentLength, 0))
}

// The same bytes through nginx: where it decides otherwise, the table names the difference and its reason.
func TestSmugglingVerdictsOfNginx(t *testing.T) {
	count(t)
	n := harness.StartNginx(t, `location / { return 200 "ok"; }`, "large_client_header_buffers 4 64k;", "underscores_in_headers on;")
	differ := 0
	for _, v := range verdicts(t) {
		b, err := conversation(t, n.Addr, v.raw)
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		got := 0
		fmt.Sscanf(string(b), "HTTP/1.1 %d", &got)
		if got == 0 && len(b) > 0 {
			got = 200 // HTTP/0.9
		}
		if got != v.nginx {
			t.Errorf("%s: nginx says %d (%.60q), the table %d", v.name, got, b, v.nginx)
			continue
		}
		if note(got); got != v.status {
			differ++
		}
	}
	t.Logf("nginx decides otherwise in %d cases, each with its reason in the table", differ)
}
