package e2e

import (
	"strings"
	"sync"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestForks: what applications do with processes inside a request works as it does elsewhere, in
// both kinds of worker.
func TestForks(t *testing.T) {
	cases := []struct{ path, body, want string }{
		{"/fork", "", "default, exit 7"},
		{"/fork_and_kill", "", "exit -15"},
		{"/pool", "", "328350 default"},
		{"/terminate", "", "terminated"},
		{"/process", "", "from the child, exit 0"},
		{"/run", "in and out", "in and out, exit 3"},
		{"/inherited", "", "none"},
		{"/returns", "", "exit 1"},
		{"/child_asks", "", "RuntimeError: this process was forked by the application: it is no worker"},
	}
	for name, threads := range map[string]string{"threads=1": "1", "threads=4": "4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/forks.py", "forks.py")
			s.Start("--http", addr, "--module", "forks", "--threads", threads, "-p", "1")
			s.Allow("^uwsgi: a child forked by the application returned into the server; it ends here",
				"OSError: this process was forked by the application")
			site := harness.HTTP(t, addr)
			for _, c := range cases {
				if a := site.Do("POST", c.path, strings.NewReader(c.body)); a.Status != 200 || a.Body != c.want {
					t.Errorf("%s: %s %q, not %q", c.path, a.Line, a.Body, c.want)
				}
			}
			var crowd sync.WaitGroup // forks in several threads at once
			for range 4 {
				crowd.Go(func() {
					for range 3 {
						if a, err := site.Try("POST", "/pool", nil); err != nil || a.Body != "328350 default" {
							t.Errorf("/pool: %v %v", a, err)
						}
					}
				})
			}
			crowd.Wait()
		})
	}
}

// A connection ends when the worker ends it, though a child of the application still lives and has
// a copy.
func TestForkHoldsNoConnection(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import os, time
children = []
def application(environ, start_response):
    if environ["PATH_INFO"] == "/end":
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    else:
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        children.append(pid)
    start_response("200 OK", [])
    return [b"an answer that ends with the connection"]
`)
	s.Start("--http", addr, "--module", "app")
	idle := harness.Dial(t, addr) // one that a keep-alive client holds while another request forks
	harness.Ask(t, idle, "GET /end HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 2 {
		if got := harness.Raw(t, addr, "GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "ends with the connection") {
			t.Errorf("%q", got)
		}
	}
	if a := harness.Ask(t, idle, "GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); a.Status != 200 {
		t.Errorf("%s", a.Line)
	}
	if n, err := idle.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the connection goes on")
	}
}
