package e2e

import (
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestCheap: without requests there are no workers; a connection brings them, and it is served.
func TestCheap(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("up"))
	s.LooseFDs()
	s.Start("--http-socket", addr, "--module", "app", "--cheap", "--idle", "1", "-p", "2")
	if n := s.Log.Count("^spawned uWSGI worker"); n != 0 {
		t.Errorf("%d workers were started without a request", n)
	}
	for range 2 {
		mark := s.Log.Mark()
		if a := harness.HTTP(t, addr).Get("/"); a.Body != "up" {
			t.Errorf("%s", a.Line)
		}
		s.Log.WaitFrom(t, mark, "(?i)cheap|inactive")
		harness.Eventually(t, "the workers have gone", func() bool { return len(s.Processes()) == 2 })
	}
}

func TestDieOnIdle(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("up"))
	s.Start("--http-socket", addr, "--module", "app", "--idle", "1", "--die-on-idle")
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestExitOnReload(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("up"))
	s.Start("--http-socket", addr, "--module", "app", "--exit-on-reload", "--pidfile", "p.pid")
	s.Allow("GAME OVER \\(insert coin\\)")
	s.Command("--reload", "p.pid").Run()
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestPaste: an application of PasteDeploy, its ini being the server's too.
func TestPaste(t *testing.T) {
	for name, args := range map[string]string{"paste": "--paste config:%d/site.ini",
		"ini-paste": "--ini-paste %d/site.ini"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("made.py", "def factory(global_conf, **local):\n    def app(environ, start_response):\n        "+
				"start_response('200 OK', [])\n        return [local['greeting'].encode()]\n    return app\n")
			s.Write("site.ini", "[app:main]\npaste.app_factory = made:factory\ngreeting = "+
				"hello\n[uwsgi]\nprocesses = 1\n")
			s.Start(append(strings.Fields(strings.ReplaceAll(args, "%d", s.Dir)), "--http", addr, "--home",
				harness.Venv(t, harness.OtherPython()), "--pythonpath", s.Dir)...)
			if a := harness.HTTP(t, addr).Get("/"); a.Body != "hello" {
				t.Errorf("%s %q", a.Line, a.Body)
			}
		})
	}
}

// TestStatic: files without the application.
func TestStatic(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("application"))
	s.Write("files/a.css", "body {}\n")
	s.Write("secret", "no")
	s.Start("--http", addr, "--module", "app", "--static-map", "/static="+s.Path("files"), "--threads", "2")
	site := harness.HTTP(t, addr)
	if a := site.Get("/static/a.css"); a.Body != "body {}\n" ||
		!strings.HasPrefix(a.Header.Get("Content-Type"), "text/css") {
		t.Errorf("%s %q %v", a.Line, a.Body, a.Header)
	}
	for _, path := range []string{"/static/../secret", "/static/%2e%2e/secret", "/static/none"} {
		if a := harness.Parse(t, harness.Send(t, addr, "GET "+path+" HTTP/1.0\r\n\r\n"), "GET"); a.Body == "no" {
			t.Errorf("%s: %s %q", path, a.Line, a.Body)
		}
	}
	if a := site.Get("/"); a.Body != "application" {
		t.Errorf("%s", a.Line)
	}
}
