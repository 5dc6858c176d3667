package chaos

import (
	"crypto/sha1"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// flow is n bytes that are not all the same.
type flow struct{ left, at int64 }

func (f *flow) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), f.left, 1<<16-f.at%(1<<16)))
	copy(p, pattern[f.at%(1<<16):][:n])
	f.at += int64(n)
	f.left -= int64(n)
	return n, nil
}

var pattern = func() []byte {
	b := make([]byte, 1<<16)
	for i := range b {
		b[i] = byte(i*i>>3 ^ i)
	}
	return b
}()

// Bodies of gigabytes in both directions, beside small requests that do not wait for them; the
// worker's memory does not grow.
func TestLargeBodies(t *testing.T) {
	size := int64(scale(128<<20, 5<<30))
	r := start(t, "-p", "1", "--threads", "2")
	pid := r.workers()[0]
	small := traffic(r.addr, "/", "hello\n", 2, true)
	small.await(t, 1000)
	before := harness.Memory(pid, "VmRSS")

	for _, how := range []string{"Content-Length", "chunked"} {
		h := sha1.New()
		body := io.TeeReader(&flow{left: size}, h)
		a := r.send(t, how, body, size)
		if want := fmt.Sprintf("%d %x\n", size, h.Sum(nil)); a.Status != 200 || a.Body != want {
			t.Fatalf("%s: %s %q, want %q", how, a.Line, a.Body, want)
		}
		tally.right.Add(1)
		size /= 4
	}
	size *= 16
	f, err := os.Create(r.Path("large"))
	if err != nil {
		t.Fatal(err)
	}
	f.Truncate(size)
	f.Close()
	for _, path := range []string{fmt.Sprintf("/big?n=%d", size), "/download?file=" + r.Path("large")} {
		c := harness.Dial(t, r.addr)
		c.SetDeadline(time.Now().Add(5 * harness.Patience))
		tally.sent.Add(1)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path)
		n, err := io.Copy(io.Discard, c)
		if err != nil || n < size {
			t.Fatalf("%s: %d bytes of %d: %v", path, n, size, err)
		}
		tally.right.Add(1)
	}
	if after := harness.Memory(pid, "VmRSS"); after-before > 16<<10 {
		t.Errorf("the worker grew from %d to %d KiB", before, after)
	}
	median, p99 := small.end(t)
	t.Logf("up and down %d MiB; small requests beside it: half within %v, 99 of 100 within %v", size>>20,
		median.Round(time.Microsecond), p99.Round(time.Microsecond))
}

// send posts a body to /digest.
func (r *rig) send(t *testing.T, how string, body io.Reader, size int64) *harness.Answer {
	t.Helper()
	c := harness.Dial(t, r.addr)
	c.SetDeadline(time.Now().Add(5 * harness.Patience))
	tally.sent.Add(1)
	if how == "chunked" {
		fmt.Fprintf(c, "POST /digest HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 100000)
		for {
			n, err := io.ReadFull(body, buf)
			if n > 0 {
				fmt.Fprintf(c, "%x\r\n", n)
				c.Write(buf[:n])
				io.WriteString(c, "\r\n")
			}
			if err != nil {
				break
			}
		}
		io.WriteString(c, "0\r\n\r\n")
	} else {
		fmt.Fprintf(c, "POST /digest HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", size)
		if _, err := io.Copy(c, body); err != nil {
			t.Fatal(err)
		}
	}
	return harness.Parse(t, c, "POST")
}

// upload posts n bytes and reads the answer, which may come before all is sent. 0: there was none.
func (r *rig) upload(n int64) int { return upload(r.addr, n) }

func upload(addr string, n int64) int {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(harness.Patience))
	tally.sent.Add(1)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		fmt.Fprintf(c, "POST /digest HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", n)
		io.Copy(c, &flow{left: n})
	}()
	b, _ := io.ReadAll(c)
	<-sent
	status := 0
	fmt.Sscanf(string(b), "HTTP/1.1 %d", &status)
	return status
}

// An answer that is there before the large body of its request: it arrives whole, without a reset,
// directly and through nginx.
func TestEarlyAnswer(t *testing.T) {
	r := newRig(t)
	file := r.Path("large")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	f.Truncate(int64(scale(64<<20, 512<<20)))
	f.Close()
	r.begin("-p", "1", "--threads", "2", "--limit-post", "100000000000")
	limited := start(t, "-p", "1", "--limit-post", "1000")
	proxied := "proxy_http_version 1.1; proxy_request_buffering off; proxy_pass http://"
	n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+r.sock+
		"; uwsgi_request_buffering off; }\n"+
		"location /http/ { "+proxied+r.addr+"/; }\nlocation /http/limited { "+proxied+limited.addr+"; }\n"+
		"location /limited { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+limited.sock+"; uwsgi_request_buffering off; }")
	for url, want := range map[string]struct {
		status string
		bytes  int
	}{
		"http://" + r.addr + "/refuse":         {"401", 13000},
		"http://" + n.Addr + "/refuse":         {"401", 13000},
		"http://" + limited.addr + "/":         {"413", len("Content Too Large\n")},
		"http://" + limited.addr + "/?chunked": {"413", len("Content Too Large\n")},
		"http://" + n.Addr + "/limited":        {"413", len("Content Too Large\n")},
		"http://" + n.Addr + "/http/refuse":    {"401", 13000},
		"http://" + n.Addr + "/http/limited":   {"413", len("Content Too Large\n")},
	} {
		args := []string{"-sS", "-o", r.Path("out"), "-w", "%{http_code} %{size_download}", "-H", "Expect:", "-X",
			"POST", "-T", file, url}
		if strings.HasSuffix(url, "chunked") {
			args = append(args, "-H", "Transfer-Encoding: chunked")
		}
		for range scale(3, 20) {
			tally.sent.Add(1)
			out, err := exec.Command("curl", args...).CombinedOutput()
			if got := string(out); err != nil || got != fmt.Sprintf("%s %d", want.status, want.bytes) {
				tally.lost.Add(1)
				t.Errorf("%s: %q %v, want %v", url, got, err, want)
				break
			}
			tally.onPurpose.Add(1)
		}
	}
}
