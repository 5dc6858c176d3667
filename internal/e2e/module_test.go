package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const api = `
import json, os, time, uwsgi
from uwsgidecorators import postfork

at_import = {
    "worker_id": uwsgi.worker_id(), "numproc": uwsgi.numproc, "version": uwsgi.version.decode(), "opt": {k: v if v is True else v.decode() for k, v in uwsgi.opt.items()},
    "masterpid": uwsgi.masterpid(), "parent": os.getppid(), "workers": len(uwsgi.workers()), "mule_id": uwsgi.mule_id(), "total": uwsgi.total_requests(),
    "is_a_reload": uwsgi.is_a_reload,
}
forked = []

@postfork
def everywhere():
    forked.append("every %d" % uwsgi.worker_id())

@postfork(2)
def second():
    forked.append("second")

try:
    uwsgi.request_id()
except RuntimeError as exc:
    at_import["refused"] = str(exc)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        print("asked by", uwsgi.worker_id(), flush=True)
    while path == "/wait" and not os.path.exists("go"):
        time.sleep(0.01)
    got = {"worker_id": uwsgi.worker_id(), "masterpid": uwsgi.masterpid(), "forked": forked, "total": uwsgi.total_requests(), "request_id": uwsgi.request_id(),
        "workers": [{k: v.decode() if isinstance(v, bytes) else v for k, v in w.items() if k != "apps"} for w in uwsgi.workers()], "import": at_import, "pid": os.getpid(),
        "connected": uwsgi.is_connected(uwsgi.connection_fd()), "ready": uwsgi.ready(), "mem": uwsgi.mem()}
    uwsgi.set_logvar("mine", "of the request")
    got["logvar"] = uwsgi.get_logvar("mine").decode()
    if path == "/reload":
        got["reloading"] = uwsgi.reload()
    if path == "/stop":
        got["stopping"] = uwsgi.stop()
    if path == "/log":
        uwsgi.log("said by uwsgi.log")
        print("said by print")
        environ["wsgi.errors"].write("said by wsgi.errors\n")
    start_response("200 OK", [])
    return [json.dumps(got).encode()]
`

type apiSeen struct {
	Worker    int `json:"worker_id"`
	Master    int `json:"masterpid"`
	Total     int
	RequestID int `json:"request_id"`
	Forked    []string
	PID       int
	Workers   []struct {
		ID, PID, Requests int
		Status            string
	}
	Import struct {
		Worker, Master, Parent, Numproc, Workers, Total int
		Version, Refused                                string
		Opt                                             map[string]any
		IsReload                                        bool `json:"is_a_reload"`
		WorkerID                                        int  `json:"worker_id"`
		MasterPID                                       int  `json:"masterpid"`
	} `json:"import"`
	Connected, Ready, Reloading, Stopping bool
	Logvar                                string
	Mem                                   []int
}

func askAPI(t *testing.T, addr, path string) (seen apiSeen) {
	t.Helper()
	a := harness.HTTP(t, addr).Get(path)
	if err := json.Unmarshal([]byte(a.Body), &seen); err != nil {
		t.Fatalf("%s %s: %v", a.Line, a.Body, err)
	}
	return seen
}

// TestModule: what import uwsgi gives, while the application is imported and in a request.
func TestModule(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", api)
	s.Start("--http", addr, "--module", "app", "--master", "-p", "2", "--set", "colour=blue",
		"--log-format", "%(method) %(mine)")
	held := make(chan apiSeen)
	go func() { held <- askAPI(t, addr, "/wait") }() // the one that answers this has no other thread to take the next
	s.Log.Wait(t, "^asked by")
	seen := map[int]apiSeen{}
	other := askAPI(t, addr, "/")
	s.Write("go", "")
	for _, a := range []apiSeen{other, <-held} {
		seen[a.Worker] = a
	}
	for id, a := range seen {
		i := a.Import
		if i.WorkerID != 0 || i.Numproc != 2 || i.Workers != 2 || i.MasterPID != s.PID || i.Parent != s.PID ||
			i.Total != 0 || i.IsReload || i.Opt["colour"] != "blue" || i.Opt["module"] != "app" {
			t.Errorf("while importing: %+v", i)
		}
		if i.Refused == "" {
			t.Errorf("refused: %+v", i)
		}
		if a.Master != s.PID || !a.Connected || !a.Ready || a.Logvar != "of the request" ||
			len(a.Mem) != 2 || a.Mem[0] == 0 {
			t.Errorf("in a request: %+v", a)
		}
		want := []string{"every 1", "every 2 second"}[id-1]
		if got := strings.Join(a.Forked, " "); got != want {
			t.Errorf("postfork in worker %d: %s, not %s", id, got, want)
		}
		if len(a.Workers) != 2 || a.Workers[id-1].ID != id || a.Workers[id-1].PID != a.PID ||
			a.Workers[id-1].Status != "busy" {
			t.Errorf("workers() in worker %d: %+v", id, a.Workers)
		}
	}
	s.Log.Wait(t, "^GET of the request$")
	before := askAPI(t, addr, "/").Total
	harness.Eventually(t, "the requests are counted", func() bool { return askAPI(t, addr, "/").Total > before })
	askAPI(t, addr, "/log")
	for _, by := range []string{"uwsgi.log", "print", "wsgi.errors"} {
		s.Log.Wait(t, "said by "+by+"$")
	}
}

func TestModuleReload(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", api)
	s.Start("--http", addr, "--module", "app")
	if !askAPI(t, addr, "/reload").Reloading {
		t.Errorf("uwsgi.reload() gives no True")
	}
	s.Log.Wait(t, `^gracefully \(RE\)spawned uWSGI master process`)
	if !askAPI(t, addr, "/").Import.IsReload {
		t.Errorf("is_a_reload is False after a reload")
	}
	if !askAPI(t, addr, "/stop").Stopping {
		t.Errorf("uwsgi.stop() gives no True")
	}
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// Variables of a request that made uWSGI load code, or move, do nothing; they are in the environ
// like any other.
func TestPacketVariablesLoadNothing(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("app.py", `
import os
def application(environ, start_response):
    start_response("200 OK", [])
    return [("the application in " + os.getcwd()).encode()]
`)
	evil := s.Write("evil.py", "print('evil code ran', flush=True)\ndef application(e, s):\n    s('200 OK', "+
		"[])\n    return [b'evil']\n")
	s.Start("--socket", s.Path("s.sock"), "--module", "app")
	want := "the application in " + s.Dir
	for name, value := range map[string]string{
		"UWSGI_FILE": evil, "UWSGI_SCRIPT": "evil", "UWSGI_MODULE": "evil", "UWSGI_CALLABLE": "other", "UWSGI_CHDIR": "/", "UWSGI_PYHOME": "/nowhere",
		"UWSGI_HOME": "/nowhere", "UWSGI_TOUCH_RELOAD": evil, "UWSGI_SETENV": "A=b", "UWSGI_APPID": "/evil", "UWSGI_POSTFILE": "/etc/passwd", "SCRIPT_FILENAME": evil,
	} {
		if a := harness.Uwsgi(t, s.Path("s.sock"), harness.Request("GET", "/", "").With(name, value),
			""); a.Body != want {
			t.Errorf("%s=%s: %s %q", name, value, a.Line, a.Body)
		}
	}
	if n := s.Log.Count("evil code ran"); n != 0 {
		t.Errorf("a request loaded code")
	}
}
