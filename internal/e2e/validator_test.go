package e2e

import (
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestValidator runs applications under wsgiref.validate, which asserts what PEP 3333 asks of a
// server, in every kind of worker and over every protocol.
func TestValidator(t *testing.T) {
	for name, args := range map[string]string{
		"1 process": "-p 1", "4 threads": "-p 1 --threads 4", "2 processes": "-p 2", "2 x 2": "-p 2 --threads 2", "lazy": "--lazy-apps --threads 2",
		"no file wrapper": "--wsgi-disable-file-wrapper",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Setenv(harness.DebianPath)
			s.Write("app.py", validated)
			s.Start(append(strings.Fields(args), "--http", addr, "--socket", s.Path("s.sock"), "--module", "app")...)
			site := harness.HTTP(t, addr)
			for _, want := range []string{"list", "generator", "write", "file", "nothing"} {
				for _, a := range []*harness.Answer{
					site.Do("POST", "/"+want+"?q", strings.NewReader("body\nof lines")),
					site.Do("POST", "/"+want, struct{ *strings.Reader }{strings.NewReader("chunked")}),
					site.Get("/" + want),
					site.Do("HEAD", "/"+want, nil),
					harness.Uwsgi(t, s.Path("s.sock"),
						harness.Request("POST", "/"+want, "").With("CONTENT_LENGTH", "4", "SCRIPT_NAME", ""), "body"),
				} {
					if a.Status != 200 || a.Body != "" && a.Body != want {
						t.Errorf("%s: %s %q", want, a.Line, a.Body)
					}
				}
			}
		})
	}
}

const validated = `
import io
import tempfile
from wsgiref.validate import validator

def answer(environ, start_response):
    path = environ["PATH_INFO"].strip("/")
    f = environ["wsgi.input"]
    f.read(1), f.readline(), list(f), f.read(5)
    environ["wsgi.errors"].write("")
    environ["wsgi.errors"].writelines([""])
    environ["wsgi.errors"].flush()
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "generator":
        return (b for b in [b"gene", b"rator"])
    if path == "write":
        write(b"write")
        return []
    if path == "file" and "wsgi.file_wrapper" in environ:
        t = tempfile.TemporaryFile()
        t.write(b"file")
        t.seek(0)
        return environ["wsgi.file_wrapper"](t)
    if path == "nothing":
        return []
    return [path.encode()]

application = validator(answer)
`
