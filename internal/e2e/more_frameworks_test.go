package e2e

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// unsized hides the length of a reader, so that it is sent in chunks.
type unsized struct{ io.Reader }

// TestMoreFrameworks: uploads with a length and in chunks, JSON, generators, files with a Range and
// errors, in four frameworks, straight over HTTP and behind nginx.
func TestMoreFrameworks(t *testing.T) {
	data := ""
	for i := range 20000 {
		data += fmt.Sprintf("%07d\n", i)
	}
	upload := "--BB\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: " +
		"text/plain\r\n\r\n" + data + "\r\n--BB--\r\n"
	sum := fmt.Sprintf("%x", md5.Sum([]byte(data)))
	for _, threads := range []string{"1", "4"} {
		t.Run("threads="+threads, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/frameworks.py", "frameworks.py")
			s.Start("--http", addr, "--socket", s.Path("s.sock"), "--chmod-socket=666", "--module", "frameworks",
				"--virtualenv", harness.Venv(t, harness.OtherPython()),
				"--threads", threads)
			front := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+
				s.Path("s.sock")+"; }").Addr
			// Pyramid looks for a view of the error
			s.Allow("ZeroDivisionError", "HTTPNotFound: The resource could not be found")
			for how, site := range map[string]*harness.Client{"http": harness.HTTP(t, addr),
				"nginx": harness.HTTP(t, front)} {
				for _, name := range []string{"flask", "pyramid", "falcon", "bottle"} {
					for kind, body := range map[string]io.Reader{"an upload": strings.NewReader(upload),
						"an upload in chunks": unsized{strings.NewReader(upload)}} {
						a := site.Do("POST", "/"+name+"/upload?q=1", body,
							"Content-Type: multipart/form-data; boundary=BB", "Host: site.test")
						var got map[string]string
						if err := json.Unmarshal([]byte(a.Body), &got); err != nil || got["name"] != "a.txt" ||
							got["md5"] != sum || got["url"] != "http://site.test/"+name+"/upload?q=1" {
							t.Errorf("%s, %s, %s: %s %.300s", name, how, kind, a.Line, a.Body)
						}
					}
					for kind, body := range map[string]io.Reader{"JSON": strings.NewReader(`{"a": [1]}`), "JSON in chunks": unsized{strings.NewReader(`{"a": [1]}`)}} {
						a := site.Do("POST", "/"+name+"/json", body, "Content-Type: application/json")
						if strings.Join(strings.Fields(a.Body), "") != `{"a":[1]}` {
							t.Errorf("%s, %s, %s: %s %.300s", name, how, kind, a.Line, a.Body)
						}
					}
					if a := site.Get("/" + name + "/stream"); len(strings.Split(a.Body, "\n")) != 201 ||
						!strings.HasPrefix(a.Body, "line 0\n") || !strings.HasSuffix(a.Body, "line 199\n") {
						t.Errorf("%s, %s, a generator: %s %.300q", name, how, a.Line, a.Body)
					}
					file := "/" + name + "/file"
					if name == "falcon" {
						file = "/falcon/static/data.bin"
					}
					if a := site.Get(file); a.Body != data {
						t.Errorf("%s, %s, a file: %s, %d bytes", name, how, a.Line, len(a.Body))
					}
					if a := site.Do("HEAD", file, nil); a.Status != 200 || a.Body != "" ||
						a.Header.Get("Content-Length") != "160000" {
						t.Errorf("%s, %s, HEAD of a file: %s %v", name, how, a.Line, a.Header)
					}
					if a := site.Get(file, "Range: bytes=100-119"); a.Status != 206 || a.Body != data[100:120] ||
						a.Header.Get("Content-Range") != "bytes 100-119/160000" {
						t.Errorf("%s, %s, a range: %s %v %.100q", name, how, a.Line, a.Header, a.Body)
					}
					if a := site.Get("/" + name + "/fail"); a.Status != 500 {
						t.Errorf("%s, %s, an error: %s", name, how, a.Line)
					}
				}
			}
		})
	}
}
