package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// The rest of the uwsgi module, a function a path.
const moreAPI = `
import json, os, sys, threading, uwsgi

def env(environ, start_response):
    start_response("200 OK", [])
    uwsgi.env["ADDED"] = "to the same dict"
    def ask():
        try:
            seen.append(uwsgi.env)
        except AttributeError as exc:
            seen.append(str(exc))
    seen = []
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return [json.dumps([environ["ADDED"], uwsgi.cl(), seen]).encode()]

def started(environ, start_response):
    uwsgi.start_response("203 By The Module", [("X-By", "uwsgi")])
    return [b"started"]

def sendfile(environ, start_response):
    start_response("200 OK", [])
    with open("file", "rb") as f:
        said = [uwsgi.sendfile("file"), uwsgi.sendfile(b"file", 3, 2, 5), uwsgi.sendfile(f, 0, 8), uwsgi.sendfile("nowhere")]
    return [repr(said).encode()]

def chunked(environ, start_response):
    blocks = []
    while True:
        block = uwsgi.chunked_read()
        if block == b"":
            break
        blocks.append(len(block))
    start_response("200 OK", [])
    return [json.dumps([sum(blocks), uwsgi.chunked_read_nb().decode()]).encode()]

def var(environ, start_response):
    start_response("200 OK", [])
    said = [uwsgi.add_var("MINE", "added"), "MINE" in environ]
    try:
        uwsgi.add_var("MUCH", "x" * 100000)
    except ValueError as exc:
        said.append(str(exc))
    return [json.dumps(said).encode()]

def asked(environ, start_response):
    start_response("200 OK", [])
    said = {"listen_queue": uwsgi.listen_queue(), "logsize": uwsgi.logsize(), "magic": uwsgi.magic_table[b"n"].decode(), "has": hasattr(uwsgi, "embedded_data"),
        "spawned": uwsgi.workers()[0]["last_spawn"] >= uwsgi.started_on, "respawns": uwsgi.workers()[0]["respawn_count"],
        "opt": [bool(uwsgi.opt.get(k)) for k in ("enable-threads", "master", "py-call-uwsgi-fork-hooks", "threads")]}
    for name, args in (("listen_queue", (7,)), ("embedded_data", ("x",)), ("websocket_send_from_sharedarea", (0, 0)), ("cache_get", ("k",)), ("cache_set", ("k", "v")),
            ("cache_keys", ()), ("metric_get", ("x",)), ("mule_msg", (b"x",)), ("rpc_list", ()), ("nothing", ())):
        try:
            said[name] = repr(getattr(uwsgi, name)(*args))
        except Exception as exc:
            said[name] = "%s: %s" % (type(exc).__name__, exc)
    try:
        from uwsgi import spool
    except ImportError:
        said["import"] = "ImportError"
    return [json.dumps(said).encode()]

def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
`

func TestModuleInRequests(t *testing.T) {
	for _, threads := range []string{"1", "4"} {
		t.Run("threads="+threads, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", moreAPI)
			s.Write("file", "0123456789")
			s.Write("site.ini", "[uwsgi]\nhttp = "+addr+"\nmodule = app\nthreads = "+threads+
				"\nlog-format = %(method) %(uri) mine=%(var.MINE)\n")
			s.Start("--ini", "site.ini", "-p", "1")
			site := harness.HTTP(t, addr)
			for _, c := range []struct{ path, body, want string }{
				{"/env", "four", `["to the same dict", 4, ["uwsgi.env: you can call uwsgi api function only from the main callable"]]`},
				{"/started", "", "started"},
				{"/sendfile", "", "01234567892345689[True, True, True, None]"},
				{"/chunked", strings.Repeat("x", 100000), `[100000, ""]`},
				{"/var", "", `[true, false, "unable to add request var: buffer-size does not allow more"]`},
			} {
				if a := site.Do("POST", c.path, strings.NewReader(c.body)); a.Body != c.want {
					t.Errorf("%s: %s %q, not %q", c.path, a.Line, a.Body, c.want)
				}
			}
			if a := site.Get("/started"); a.Line != "203 By The Module" || a.Header.Get("X-By") != "uwsgi" {
				t.Errorf("%s %v", a.Line, a.Header)
			}
			s.Log.Wait(t, "^POST /var mine=added$")
			s.Log.Wait(t, "^POST /env mine=-$")
			checkAsked(t, site.Get("/asked").Body)
			s.Log.Wait(t, `^uwsgi\.embedded_data is not part of this server: use open\(\) \(in .*app\.py:\d+\)$`)
			s.Log.Wait(t, `^uwsgi\.spool is not part of this server: no spooler is configured: write spooler = FOLDER \(in .*app\.py:\d+\)$`)
			s.Log.Wait(t, `^uwsgi\.cache_get: no cache is configured: write cache2 = `)
			site.Get("/asked")
			if n := s.Log.Count(`^uwsgi\.embedded_data|^uwsgi\.cache_get`); n != 2 {
				t.Errorf("what is missing is told %d times, not once each", n)
			}
		})
	}
}

func checkAsked(t *testing.T, body string) {
	t.Helper()
	var said map[string]any
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for name, want := range map[string]any{
		"listen_queue": "ValueError: unable to find socket 7", "logsize": 0.0, "magic": "site", "has": false, "spawned": true, "respawns": 0.0,
		"embedded_data":                  "AttributeError: uwsgi.embedded_data is not part of this server: use open()",
		"websocket_send_from_sharedarea": "OSError: unable to send websocket message: no such bytes in a shared area",
		"cache_get":                      "None", "cache_set": "None", "cache_keys": "ValueError: no local uWSGI cache available", "metric_get": "0", "mule_msg": "ValueError: no mule configured",
		"rpc_list": "()", "nothing": "AttributeError: module 'uwsgi' has no attribute 'nothing'", "import": "ImportError",
	} {
		if said[name] != want {
			t.Errorf("%s: %v, not %v", name, said[name], want)
		}
	}
	for i, on := range said["opt"].([]any) {
		if on != true {
			t.Errorf("uwsgi.opt does not tell what holds: %d", i)
		}
	}
}

// TestAfterRequestHook: uwsgi.after_req_hook runs when the client has its answer and the connection
// is closed, and before the request is logged.
func TestAfterRequestHook(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("app.py", `
import os, time, uwsgi
def after():
    for _ in range(4000):
        if os.path.exists("read"):
            break
        time.sleep(0.005)
    print("after the request", flush=True)
    os.unlink("read")
    raise ValueError("in after_req_hook")
uwsgi.after_req_hook = after
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"answer"]
`)
	s.Write("tiny.txt", "static")
	s.Allow("ValueError: in after_req_hook")
	s.Start("--socket", s.Path("s.sock"), "--module", "app", "--static-map", "/static="+s.Dir)
	for range 2 {
		mark := s.Log.Mark()
		// reads to the end of the connection
		if a := harness.Uwsgi(t, s.Path("s.sock"), harness.Request("GET", "/", ""), ""); a.Body != "answer" {
			t.Errorf("%s %q", a.Line, a.Body)
		}
		s.Write("read", "")
		s.Log.WaitFrom(t, mark, `GET / => generated`)
		if lines := s.Log.Lines(mark); lines[0] != "after the request" {
			t.Errorf("%q", lines)
		}
	}
	if a := harness.Uwsgi(t, s.Path("s.sock"), harness.Request("GET", "/static/tiny.txt", ""), ""); a.Body != "static" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
	s.Log.Wait(t, `GET /static/tiny.txt => generated`) // at once: the hook, which waits, is the application's
	if _, err := os.Stat(s.Path("read")); err == nil {
		t.Error("the hook did not run")
	}
}

// The harakiri's clock goes on for the hook, or stops before it.
func TestAfterRequestHookAndHarakiri(t *testing.T) {
	for name, args := range map[string][]string{"killed": nil, "left alone": {"--harakiri-no-arh"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", `
import time, uwsgi
def after():
    time.sleep(3)
    print("the hook is done", flush=True)
uwsgi.after_req_hook = after
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"answer"]
`)
			s.Start(append([]string{"--http", addr, "--module", "app", "--harakiri", "1"}, args...)...)
			if a := harness.HTTP(t, addr).Get("/"); a.Body != "answer" {
				t.Errorf("%s %q", a.Line, a.Body)
			}
			if args == nil {
				s.Allow("HARAKIRI", "DAMN")
				s.Log.Wait(t, "^DAMN ! worker")
				return
			}
			s.Log.Wait(t, "^the hook is done$")
			if n := s.Log.Count("HARAKIRI"); n != 0 {
				t.Error("the worker was killed")
			}
		})
	}
}
