package e2e

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const gigabyte = 1 << 30

// endless is a body of n bytes that nobody keeps.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.n))
	e.n -= int64(n)
	for i := range p[:n] {
		p[i] = byte('a' + i%26)
	}
	return n, nil
}

// TestUpload sends 1 GiB to Django, straight over HTTP (with a length, and in chunks) and through
// nginx, and looks at the largest size that any process of the server ever had.
func TestUpload(t *testing.T) {
	s, web, sock := harness.New(t), harness.Addr(t), ""
	sock = s.Path("s.sock")
	roomy, err := os.MkdirTemp("/var/tmp", "uw") // /tmp may be memory, and little of it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(roomy)
	s.Setenv(harness.DebianPath, "TMPDIR="+roomy)
	s.Copy("testdata/django", "site")
	s.Start("--http", web, "--socket", sock, "--chmod-socket=666", "--chdir", "site", "--module", "mysite1.wsgi",
		"--master", "-p", "1", "--threads", "2")
	buffered := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+sock+
		"; uwsgi_request_buffering off; uwsgi_read_timeout 300s; }")
	harness.HTTP(t, web).Get("/") // a first request, so that what Django loads late is counted before
	before := largest(s)
	for _, way := range []struct{ name, addr, length string }{
		{"length", web, "known"}, {"chunked", web, ""}, {"nginx", buffered.Addr, "known"},
	} {
		body := io.Reader(&endless{gigabyte})
		headers := []string{"Content-Type: application/octet-stream"}
		if way.length != "" {
			headers = append(headers, fmt.Sprintf("Content-Length: %d", gigabyte))
		}
		a := harness.HTTP(t, way.addr).Do("POST", "/count/", body, headers...)
		if a.Status != 200 || a.Body != fmt.Sprintln(gigabyte) {
			t.Errorf("%s: %s %q", way.name, a.Line, a.Body)
		}
	}
	if after := largest(s); after > before+32<<10 {
		t.Errorf("the largest process had %d KB before and %d KB after", before, after)
	}
}

// A browser's form with a file in it, through Django's parser.
func TestUploadForm(t *testing.T) {
	t.Parallel()
	_, addr := startDjango(t)
	const size = 20 << 20
	head := "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big.bin\"\r\nContent-Type: " +
		"application/octet-stream\r\n\r\n"
	tail := "\r\n--XX--\r\n"
	body := io.MultiReader(strings.NewReader(head), &endless{size}, strings.NewReader(tail))
	a := harness.HTTP(t, addr).Do("POST", "/upload/", body, "Content-Type: multipart/form-data; boundary=XX",
		fmt.Sprintf("Content-Length: %d", len(head)+size+len(tail)))
	if a.Status != 200 || !strings.Contains(a.Body, fmt.Sprintf(`"size": %d`, size)) {
		t.Errorf("%s %s", a.Line, a.Body)
	}
}

// largest is the peak resident size of the instance's largest process, in KB.
func largest(s *harness.Server) int {
	most := 0
	for _, pid := range s.Processes() {
		most = max(most, harness.Memory(pid, "VmHWM"))
	}
	return most
}
