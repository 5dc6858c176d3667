//go:build lab

package lab

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// code is an application whose answers tell what a scenario asks about.
const code = `
import grp, logging, os, pwd, socket, sys, time
logging.basicConfig(level=logging.DEBUG)
VERSION = %q

def application(environ, start_response):
    path = environ["PATH_INFO"]
    status, body = "200 OK", VERSION
    if path == "/boom":
        raise RuntimeError("boom in the lab")
    elif path == "/print":
        print("printed in the lab", flush=True)
    elif path == "/log":
        logging.info("an info by logging")
        logging.warning("a warning by logging")
        try:
            try:
                {}["key"]
            except KeyError:
                raise ValueError("the second of two")
        except ValueError:
            logging.exception("an exception by logging")
    elif path == "/die":
        os.kill(os.getpid(), 9)
    elif path == "/sleep":
        time.sleep(float(environ["QUERY_STRING"]))
    elif path == "/write":
        try:
            with open(environ["QUERY_STRING"], "w") as f:
                f.write(VERSION)
        except OSError as e:
            body = e.strerror
    elif path == "/connect":
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(environ["QUERY_STRING"])
            body = s.recv(99).decode()
    elif path == "/missing":
        status = "404 Not Found"
    elif path == "/who":
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            user = "nobody's" if os.getuid() >= 61184 else str(os.getuid())  # DynamicUser=
        body = "%%s %%s %%s" %% (user, grp.getgrgid(os.getgid()).gr_name, os.getcwd())
    elif path == "/pid":
        body = str(os.getpid())
    elif path == "/burn":
        end = time.monotonic() + float(environ["QUERY_STRING"])
        while time.monotonic() < end:
            pass
    elif path == "/python":
        body = "%%d.%%d" %% sys.version_info[:2]
    elif path == "/import":
        __import__(environ["QUERY_STRING"])
    body = body.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
`

// program is the application that answers with a word.
func program(word string) string { return fmt.Sprintf(code, word) }

// App is one application of the lab: /etc/uwsgi/apps-enabled/NAME.ini and /srv/NAME/app.py, on
// /run/uwsgi/NAME.sock.
type App struct {
	m    *Machine
	Name string
}

// Unit is the application's service.
func (a App) Unit() string { return "uwsgi@" + a.Name + ".service" }

// Socket is its unix socket, as this process reaches it.
func (a App) Socket() string { return a.m.Path("/run/uwsgi/" + a.Name + ".sock") }

// App makes an application, with further lines of its ini, and takes it away at the end of the
// test. It is not started.
func (m *Machine) App(t *testing.T, name string, lines ...string) App {
	t.Helper()
	a := App{m: m, Name: name}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal of %s ends with\n%s", m.Suite, m.tail())
		}
		m.Run("systemctl", "stop", a.Unit())
		m.Run("rm", "-rf", "/etc/uwsgi/apps-enabled/"+name+".ini", "/srv/"+name, "/etc/systemd/system/"+a.Unit()+".d")
		m.Run("systemctl", "daemon-reload")
		m.Run("systemctl", "reset-failed")
	})
	a.Is(t, "one")
	a.INI(t, lines...)
	return a
}

// tail is the end of the journal, without requests.
func (m *Machine) tail() string {
	out, _ := m.Run("sh", "-c", "journalctl -n 400 --no-pager -o short-precise | grep -v ' => generated ' | "+
		"tail -n 30 | cut -c 1-240")
	return out
}

// INI writes the application's configuration.
func (a App) INI(t *testing.T, lines ...string) {
	t.Helper()
	if len(lines) == 0 {
		lines = []string{"socket = /run/uwsgi/%n.sock"}
	}
	a.m.Write(t, "/etc/uwsgi/apps-enabled/"+a.Name+".ini",
		"[uwsgi]\nchdir = /srv/"+a.Name+"\nmodule = app\n"+strings.Join(lines, "\n")+"\n")
}

// Code writes the application.
func (a App) Code(t *testing.T, text string) {
	t.Helper()
	a.m.Write(t, "/srv/"+a.Name+"/app.py", text)
}

// Is makes the application answer with a word.
func (a App) Is(t *testing.T, word string) {
	t.Helper()
	a.Code(t, program(word))
}

// DropIn adds to the service, as `systemctl edit` does.
func (a App) DropIn(t *testing.T, text string) {
	t.Helper()
	a.m.Write(t, "/etc/systemd/system/"+a.Unit()+".d/override.conf", text)
	a.m.Sh(t, "systemctl daemon-reload")
}

// Start starts it as an administrator does.
func (a App) Start(t *testing.T) {
	t.Helper()
	if out, code := a.m.Run("systemctl", "start", "uwsgi@"+a.Name); code != 0 {
		status, _ := a.m.Run("systemctl", "status", "--no-pager", "-l", a.Unit())
		t.Fatalf("systemctl start uwsgi@%s: exit status %d\n%s\n%s", a.Name, code, out, status)
	}
}

// Ask asks over the unix socket, in the uwsgi protocol.
func (a App) Ask(t *testing.T, path string) *harness.Answer {
	t.Helper()
	path, query, _ := strings.Cut(path, "?")
	return harness.Uwsgi(t, a.Socket(), harness.Request("GET", path, query), "")
}

// Answers asks and wants a 200 with that body.
func (a App) Answers(t *testing.T, path, want string) {
	t.Helper()
	if got := a.Ask(t, path); got.Status != 200 || got.Body != want {
		t.Fatalf("%s of uwsgi@%s: %d %q, want %q", path, a.Name, got.Status, got.Body, want)
	}
}

// Load has a crowd ask over the unix socket while do runs, and fails the test for every request
// that is lost.
func (a App) Load(t *testing.T, path, body string, do func(more func(int64))) {
	t.Helper()
	load := harness.StartUwsgiLoad(a.Socket(), path, body, 4)
	load.Await(t, 50)
	do(func(n int64) { load.Await(t, n) })
	load.Await(t, 50)
	load.Stop(t)
	t.Logf("%d requests", load.Good.Load())
}

// MainPID is the supervisor's.
func (a App) MainPID(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(a.m.Show(t, a.Unit(), "MainPID"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// State is the service's ActiveState.
func (a App) State(t *testing.T) string {
	t.Helper()
	return a.m.Show(t, a.Unit(), "ActiveState")
}
