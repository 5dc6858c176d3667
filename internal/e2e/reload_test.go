package e2e

import (
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// versioned answers with the version of the code.
const versioned = `
VERSION = %q
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [VERSION.encode()]
`

func version(v string) string { return strings.Replace(versioned, "%q", `"`+v+`"`, 1) }

const steady = `
import time
def application(environ, start_response):
    time.sleep(0.002)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"steady"]
`

// TestReloadUnderLoad reloads again and again while clients ask, by HTTP with and without
// keep-alive and by the uwsgi protocol through nginx: not one request may be lost.
func TestReloadUnderLoad(t *testing.T) {
	s, web := harness.New(t), harness.Addr(t)
	s.Write("steady.py", steady)
	s.Start("--http", web, "--socket", s.Path("s.sock"), "--chmod-socket=666", "--module", "steady", "-p", "2",
		"--threads", "2", "--disable-logging")
	n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+s.Path("s.sock")+"; }")
	loads := map[string]*harness.Load{
		"keep-alive":    harness.StartLoad(web, "/", "steady", 6, true),
		"close":         harness.StartLoad(web, "/", "steady", 6, false),
		"nginx, uwsgi":  harness.StartLoad(n.Addr, "/", "steady", 6, true),
		"uwsgi, direct": harness.StartUwsgiLoad(s.Path("s.sock"), "/", "steady", 4),
	}
	for range 5 {
		for _, l := range loads {
			l.Await(t, 50)
		}
		s.Reload()
	}
	for _, l := range loads {
		l.Await(t, 50)
	}
	for name, l := range loads {
		l.Stop(t)
		t.Logf("%s: %d answers, %d on a connection that had served before", name, l.Good.Load(), l.Resumed.Load())
	}
	if loads["keep-alive"].Resumed.Load() == 0 {
		t.Errorf("no connection was kept alive")
	}
}

// A keep-alive connection that is idle during a reload is served by the new generation afterwards.
func TestReloadKeepsIdleConnections(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("old"))
	s.Start("--http", addr, "--module", "app")
	c := harness.Dial(t, addr)
	if a := harness.Ask(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); a.Body != "old" {
		t.Fatalf("%s %q", a.Line, a.Body)
	}
	s.Write("app.py", version("new"))
	s.Reload()
	s.Log.Wait(t, `^worker 1 buried`)
	if a := harness.Ask(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); a.Body != "new" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// TestReloadBroken: code that cannot be imported leaves the old code serving and its reason in the
// log; the next reload is as good as any. It works with one process.
func TestReloadBroken(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("one"))
	s.Start("--http", addr, "--module", "app", "--pidfile", "p.pid", "-p", "1")
	site := harness.HTTP(t, addr)
	site.Get("/")
	s.Write("app.py", "import nothing_of_this_name\n")
	s.Allow("No module named 'nothing_of_this_name'", "unable to load app 0", "GAME OVER",
		"^reload failed: .*nothing_of_this_name.*serves on")
	s.Signal(syscall.SIGHUP)
	s.Log.Wait(t, `^reload failed: .*nothing_of_this_name.*the old generation serves on`)
	if a := site.Get("/"); a.Body != "one" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
	out, err := s.Command("--reload", "p.pid").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nothing_of_this_name") {
		t.Errorf("--reload of broken code: %v, %s", err, out)
	}
	s.Write("app.py", version("two"))
	s.Reload()
	if a := site.Get("/"); a.Body != "two" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// A reload reads the configuration again: here another socket and another number of workers.
func TestReloadConfiguration(t *testing.T) {
	t.Parallel()
	s, one, two := harness.New(t), harness.Addr(t), harness.Addr(t)
	s.Write("app.py", version("x"))
	s.LooseFDs()
	s.Write("u.ini", "[uwsgi]\nhttp-socket = "+one+"\nmodule = app\nprocesses = 1\n")
	s.Start("--ini", "u.ini")
	s.Write("u.ini", "[uwsgi]\nhttp-socket = "+two+"\nmodule = app\nprocesses = 2\n")
	s.Reload()
	if a := harness.HTTP(t, two).Get("/"); a.Body != "x" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
	harness.Eventually(t, "the old address is closed", func() bool { // by the last of the old workers
		_, err := harness.HTTP(t, one).Try("GET", "/", nil)
		return err != nil
	})
	if n := s.Log.Count(`worker 2 \(pid: \d+`); n == 0 {
		t.Errorf("there is no second worker")
	}
}

// A configuration that became invalid leaves the running one in force.
func TestReloadInvalidConfiguration(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("x"))
	s.Write("u.ini", "[uwsgi]\nhttp-socket = "+addr+"\nmodule = app\n")
	s.Start("--ini", "u.ini")
	s.Write("u.ini", "[uwsgi]\nhttp-socket = "+addr+"\nmodule = app\nprocesses = many\n")
	s.Allow("reload failed: .*u.ini.*processes")
	mark := s.Log.Mark()
	s.Signal(syscall.SIGHUP)
	s.Log.WaitFrom(t, mark, `^reload failed: configuration: .*u.ini:4.*processes`)
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "x" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}
