package e2e

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestWarmupOfDjango: what Django imports in its first request only, its URLconf and with it every
// view, is found by a reload that has a warmup, and the old code serves on.
func TestWarmupOfDjango(t *testing.T) {
	t.Parallel()
	s, addr := startDjango(t, "--warmup", "/where/", "--pidfile", "p.pid")
	site := harness.HTTP(t, addr)
	s.Log.Wait(t, `^warmup = /where/: it answered 200 OK, after \d+\.\d\d s$`)
	urls, err := os.ReadFile(s.Path("site/mysite1/urls.py"))
	if err != nil {
		t.Fatal(err)
	}
	s.Write("site/mysite1/urls.py", string(urls)+"\ndef broken(:\n")
	s.Allow("SyntaxError: invalid syntax", `^reload failed: warmup = /where/: SyntaxError: .*serves on$`)
	out, err := s.Command("--reload", "p.pid").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "warmup = /where/: SyntaxError: invalid syntax (urls.py, line ") {
		t.Errorf("the reload: %v, %s", err, out)
	}
	for range 4 {
		if a := site.Get("/"); a.Status != 200 || !strings.Contains(a.Body, "It worked!") {
			t.Errorf("after it: %s %s", a.Line, a.Body)
		}
	}
	s.Write("site/mysite1/urls.py", string(urls)+"\n# mended\n")
	if out, err := s.Command("--reload", "p.pid").CombinedOutput(); err != nil {
		t.Errorf("the reload of mended code: %v, %s", err, out)
	}
	if a := site.Get("/"); a.Status != 200 {
		t.Errorf("mended: %s %s", a.Line, a.Body)
	}
}

// TestWarmupTraceback: the fault is in the log once, whichever worker finds it and whatever raises
// it again on its way up, right above the last word.
func TestWarmupTraceback(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("app.py", "def view():\n    raise ValueError('not today')\n\n\n"+
		"def middleware():\n    try:\n        view()\n"+
		"    except ValueError as exc:\n        raise ValueError(str(exc))\n\n\n"+
		"def application(environ, start_response):\n    middleware()\n")
	s.Tolerate(`^Traceback|^ValueError: not today`)
	s.Allow(`^warmup = /: ValueError: not today, after .*; exiting with status 22$`)
	s.Launch("--http", harness.Addr(t), "--module", "app", "--master", "--processes", "4", "--warmup", "/")
	if code := s.Exit(); code != 22 {
		t.Errorf("exit status %d", code)
	}
	if n, m := s.Log.Count(`^ValueError: not today`), s.Log.Count(`line 2, in view`); n != 1 || m != 1 {
		t.Errorf("%d tracebacks, %d of the lowest:\n%s", n, m, s.Log)
	}
	if n := s.Log.Count(`OOPS`); n > 0 {
		t.Errorf("more is said:\n%s", s.Log)
	}
}

// warmed are the ways to run testdata/warmup_app.py.
func warmed(t *testing.T) map[string][]string {
	return map[string][]string{
		"threads": {"--module", "app", "--threads", "2"},
		"lazy":    {"--module", "app", "--lazy-apps"},
		"asgi":    {"--module", "app:asgi", "--lifespan", "off"},
		"gevent":  {"--module", "app", "--gevent", "10", "--gevent-monkey-patch", "--home", harness.Async(t)},
	}
}

// TestWarmupRefusesStart: the start fails as it does without an application.
func TestWarmupRefusesStart(t *testing.T) {
	t.Parallel()
	for how, args := range warmed(t) {
		for path, want := range map[string]string{
			"/503":   `it answered 503`,
			"/raise": `ValueError: not today`,
			"/hang":  `no answer within 1 s`,
		} {
			if how == "lazy" && path != "/503" { // which differs in who imports only
				continue
			}
			t.Run(how+path, func(t *testing.T) {
				t.Parallel()
				s := harness.New(t)
				s.Copy("testdata/warmup_app.py", "app.py")
				s.Tolerate(`ValueError: not today`)
				s.Allow(`^warmup = ` + path + `: ` + want + `.*; exiting with status 22$`)
				more := []string{"--http", harness.Addr(t), "--warmup", "/fine", "--warmup", path}
				if path == "/hang" { // alone: any other may take a second, too
					more = []string{"--http", harness.Addr(t), "--warmup", path, "--warmup-timeout", "1"}
				}
				s.Launch(append(slices.Clone(args), more...)...)
				if code := s.Exit(); code != 22 {
					t.Errorf("exit status %d", code)
				}
				if path != "/hang" {
					s.Log.Wait(t, `^warmup = /fine: it answered 200`)
				}
				if n := s.Log.Count(`is ready`); n > 0 {
					t.Error("it was ready")
				}
			})
		}
	}
}

// TestWarmupRequest: what the application sees of it, and that nothing counts it.
func TestWarmupRequest(t *testing.T) {
	t.Parallel()
	for how, args := range warmed(t) {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/warmup_app.py", "app.py")
			s.Start(append(args, "--http", addr, "--warmup", "/a%20b?c=d", "--warmup", "https://example.com:8443/x",
				"--root-path", "/below", "--stats", s.Path("stats"))...)
			if n := statsOf(t, s.Path("stats"))["workers"].([]any)[0].(map[string]any)["requests"]; n != 0.0 {
				t.Errorf("%v requests were counted", n)
			}
			if n := s.Log.Count(`GET /`); n > 0 {
				t.Errorf("%d request lines:\n%s", n, s.Log)
			}
			var got []map[string]any
			if err := json.Unmarshal([]byte(harness.HTTP(t, addr).Get("/").Body), &got); err != nil || len(got) != 3 {
				t.Fatalf("%v, %v", got, err)
			}
			wants := []map[string]any{
				{"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/below", "PATH_INFO": "/a b", "QUERY_STRING": "c=d",
					"REQUEST_URI": "/a%20b?c=d", "HTTP_HOST": "localhost", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
					"REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": "uwsgi-warmup/3.0.0", "wsgi.url_scheme": "http"},
				{"PATH_INFO": "/x", "HTTP_HOST": "example.com:8443", "SERVER_NAME": "example.com", "SERVER_PORT": "8443",
					"wsgi.url_scheme": "https", "HTTPS": "on"},
			}
			if how == "asgi" {
				wants = []map[string]any{{"path": "/below/a b", "root_path": "/below",
					"scheme": "http", "method": "GET"},
					{"path": "/below/x", "scheme": "https"}}
			}
			for i, want := range wants {
				for key, value := range want {
					if got[i][key] != value {
						t.Errorf("request %d: %s is %v, want %v", i+1, key, got[i][key], value)
					}
				}
			}
			for key := range got[2] { // what a client's request has
				if _, ok := got[0][key]; !ok && !strings.HasPrefix(key, "HTTP_") && how != "asgi" {
					t.Errorf("a request has %s, a warmup has not", key)
				}
			}
		})
	}
}

// TestWarmupOfMounts: the path says which application answers.
func TestWarmupOfMounts(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/warmup_app.py", "app.py")
	s.Write("other.py", "def application(environ, start_response):\n    raise KeyError(environ['SCRIPT_NAME'] + '|' "+
		"+ environ['PATH_INFO'])\n")
	s.Allow(`^KeyError: '/o\|/503'|Traceback`, `^warmup = /o/503: KeyError: .*; exiting with status 22$`)
	s.Launch("--http", addr, "--mount", "/=app.py", "--mount", "/o=other.py", "--manage-script-name", "--warmup",
		"/other", "--warmup", "/o/503")
	if code := s.Exit(); code != 22 {
		t.Errorf("exit status %d", code)
	}
	s.Log.Wait(t, `^warmup = /other: it answered 200 OK`)
}

// TestWarmupOfARespawnedWorker: one that comes later serves, whatever it has answered.
func TestWarmupOfARespawnedWorker(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import os
def application(environ, start_response):
    start_response("503 Service Unavailable" if os.path.exists("down") else "200 OK", [])
    return [str(os.getpid()).encode()]
`)
	s.Start("--http", addr, "--module", "app", "--master", "--warmup", "/")
	site := harness.HTTP(t, addr)
	s.Write("down", "")
	s.Allow("DAMN ! worker 1")
	harness.Signal(t, atoi(t, site.Get("/").Body), syscall.SIGKILL)
	s.Log.Wait(t, `^warmup = /: it answered 503 Service Unavailable, after .*; worker 1 serves all the same$`)
	if a := harness.HTTP(t, addr).Get("/"); a.Status != 503 {
		t.Errorf("%s %s", a.Line, a.Body)
	}
}

// TestWarmupOfAChainReload: a worker whose warmup fails takes nobody's place; the old ones serve
// on, and the chain goes on with the code that is mended.
func TestWarmupOfAChainReload(t *testing.T) {
	t.Parallel()
	for how, args := range map[string][]string{
		"lazy":    {"--lazy-apps"},
		"threads": {"--lazy-apps", "--threads", "2"},
		"loader":  {}, // the code is the loader's: what fails is what it asks
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", `
import os
code = open("code").read()
def application(environ, start_response):
    now = code if "`+how+`" != "loader" else open("code").read()
    down = now == "broken" and environ["HTTP_USER_AGENT"].startswith("uwsgi-warmup")
    start_response("503 Service Unavailable" if down else "200 OK", [])
    return [b"%s of %d" % (code.encode(), os.getpid())]
`)
			s.Write("code", "one")
			s.Write("touch-me", "")
			s.Start(append(args, "--http", addr, "--module", "app", "-p", "2", "--master", "--warmup", "/",
				"--touch-chain-reload", "touch-me")...)
			site := harness.HTTP(t, addr)
			answers := func() map[string]bool {
				all := map[string]bool{}
				for range 8 {
					a := site.Get("/")
					if a.Status != 200 {
						t.Errorf("%s %s", a.Line, a.Body)
					}
					all[a.Body] = true
				}
				return all
			}
			s.Write("code", "broken")
			s.Allow(`^OOPS ! failed loading app in worker 1 .*: warmup = /: it answered 503`)
			touch(t, s.Path("touch-me"))
			s.Log.Wait(t, `^OOPS ! failed loading app in worker 1 \(pid \d+\): warmup = /: it answered 503 Service Unavailable`)
			old := answers()
			for body := range old {
				if !strings.HasPrefix(body, "one of ") {
					t.Errorf("while it fails: %q", body)
				}
			}
			if err := os.Rename(s.Write("code.new", "two"), s.Path("code")); err != nil { // whole, whoever reads it
				t.Fatal(err)
			}
			s.Log.Wait(t, `chain reloading complete`)
			s.Log.Wait(t, `^worker 1 killed successfully`)
			s.Log.Wait(t, `^worker 2 killed successfully`)
			for body := range answers() {
				if old[body] || how != "loader" && !strings.HasPrefix(body, "two of ") {
					t.Errorf("after it: %q", body)
				}
			}
		})
	}
}
