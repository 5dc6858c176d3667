package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// asgi starts testdata/asgi/plain.py.
func asgi(t *testing.T, args ...string) (*harness.Server, *harness.Client) {
	s, site, _ := asgiAt(t, args...)
	return s, site
}

// asgiAt gives the address, too.
func asgiAt(t *testing.T, args ...string) (s *harness.Server, site *harness.Client, addr string) {
	t.Helper()
	s, addr = harness.New(t), harness.Addr(t)
	s.Copy("testdata/asgi/plain.py", "plain.py")
	s.Start(append([]string{"--http", addr}, args...)...)
	return s, harness.HTTP(t, addr), addr
}

// there is what the page "where" of plain.py says.
type there struct {
	Path, Loop, Name string
	RootPath         string `json:"root_path"`
	PID, Worker      int
	Same, Main       bool
	State            int
}

func where(t *testing.T, site *harness.Client, path string) (at there) {
	t.Helper()
	a := site.Get(path)
	if err := json.Unmarshal([]byte(a.Body), &at); err != nil {
		t.Fatalf("%s: %s %q", path, a.Line, a.Body)
	}
	return at
}

// TestInterfaces: whatever names an application, what interface it has is found out, and said.
func TestInterfaces(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--module plain":             "ASGI.*: plain.application is a coroutine function$",
		"--asgi plain":               "ASGI.*: plain.application is a coroutine function$",
		"--asgi plain:factory()":     "ASGI.*: plain.application is a coroutine function$",
		"--asgi-file plain.py":       "ASGI.*: uwsgi_file_plain.application is a coroutine function$",
		"--file plain.py":            "ASGI.*: uwsgi_file_plain.application is a coroutine function$",
		"plain.py":                   "ASGI.*: uwsgi_file_plain.application is a coroutine function$",
		"--module plain:instance":    `ASGI.*: plain\.Callable\.__call__ is a coroutine function$`,
		"--module plain:method":      `ASGI.*: plain\.Callable\.method is a coroutine function$`,
		"--module plain:slot":        `ASGI.*: plain\.Slot\.__call__ is a coroutine function$`,
		"--module plain:partial":     "ASGI.*: plain.application is a coroutine function$",
		"--module plain:wrapped":     "ASGI.*: plain.application is wrapped around a coroutine function$",
		"--module plain:plain":       "ASGI.*: plain.plain takes three arguments$",
		"--module plain:Class":       `ASGI.*: objects of the class plain\.Class are called with receive and send \(ASGI 2\)$`,
		"--module plain:double":      `ASGI.*: plain\.double takes scope alone \(ASGI 2\)$`,
		"--module plain:wsgi":        `WSGI.*\(default app\)$`,
		"--wsgi plain:wsgi":          `WSGI.*\(default app\)$`,
		"--module plain:view":        `WSGI.*\(default app\)$`,
		"--mount /=plain:wsgi":       `WSGI.*\(default app\)$`,
		"--mount /=plain:instance":   `ASGI.*: plain\.Callable\.__call__ is a coroutine function$`,
		"--lazy-apps --module plain": "ASGI.*: plain.application is a coroutine function$",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, site := asgi(t, append(strings.Fields(args), "--stats", "stats")...)
			if n := s.Log.Count("^(" + want + ")"); n != 1 {
				t.Errorf("%d lines %q", n, want)
			}
			kind := strings.ToLower(want[:4])
			if a := site.Get("/some"); (kind == "wsgi") != strings.HasPrefix(a.Body, "wsgi /some") || a.Status != 200 {
				t.Errorf("%s %q", a.Line, a.Body)
			}
			doc := statsOf(t, s.Path("stats"))
			app := doc["workers"].([]any)[0].(map[string]any)["apps"].([]any)[0].(map[string]any)
			if app["interface"] != kind {
				t.Errorf("statistics: %v", app)
			}
		})
	}
}

// TestWrongInterface: an application that the configuration takes for what it is not, or that is
// neither, is told at the start, with what to write.
func TestWrongInterface(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--wsgi plain":           `plain is no WSGI application: plain\.application is a coroutine function \(write asgi = plain\)`,
		"--wsgi-file plain.py":   `plain\.py is no WSGI application: .*application is a coroutine function \(write asgi-file = plain\.py\)`,
		"--asgi plain:wsgi":      `plain:wsgi is no ASGI application: it takes two arguments \(write wsgi = plain:wsgi\)`,
		"--module plain:handler": `plain:handler cannot be served: plain\.handler is a coroutine function, but does not take scope, receive and send`,
		"--module plain:factory": `plain:factory is no application: it takes no arguments: if it makes the application, name factory\(\)`,
		"--module plain --asgi-loop uvloop --venv " + harness.Venv(t, harness.OtherPython()): `plain is an ASGI application \(.*\): asgi-loop = uvloop: No module named 'uvloop'`,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Copy("testdata/asgi/plain.py", "plain.py")
			s.Allow(want, "unable to load app 0", "GAME OVER")
			s.Launch(append([]string{"--http", harness.Addr(t)}, strings.Fields(args)...)...)
			if code := s.Exit(); code != 22 {
				t.Errorf("exit status %d", code)
			}
			s.Log.Wait(t, want)
		})
	}
}

// TestLoops: on every Python and both loops: the application runs on the main thread's loop, which
// is the one of its lifespan, whose state each request has a copy of.
func TestLoops(t *testing.T) {
	t.Parallel()
	try := func(name, loop string, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, site := asgi(t, append([]string{"--module", "plain", "--master", "--processes", "2"}, args...)...)
			for range 4 {
				at := where(t, site, "/where")
				if at.Name != loop || !strings.HasPrefix(at.Loop, loop) || !at.Same || !at.Main ||
					at.State != 42 || at.Worker == 0 {
					t.Errorf("%+v", at)
				}
				if a := site.Get("/change"); a.Body != "['answer', 'loop']" {
					t.Errorf("%s", a.Body)
				}
			}
			for path, want := range map[string]string{"/sleep?0.01": "slept", "/stop": "not stopped",
				"/child": "from a child\n"} {
				if a := site.Get(path); a.Body != want {
					t.Errorf("%s: %s %q", path, a.Line, a.Body)
				}
			}
			s.Allow("SystemExit: 3")
			if a := site.Get("/leave"); a.Body != "still here" {
				t.Errorf("after sys.exit() in a task: %s %q", a.Line, a.Body)
			}
			s.Reload()
			if at := where(t, site, "/where"); at.State != 42 {
				t.Errorf("after a reload: %+v", at)
			}
			s.Stop()
			for line, n := range map[string]int{"^startup complete": 4, "^shutdown, background False": 4,
				"^background cancelled": 4} {
				if got := s.Log.Count(line); got != n {
					t.Errorf("%d lines %q, want %d", got, line, n)
				}
			}
		})
	}
	for _, python := range harness.Pythons() {
		home := filepath.Dir(filepath.Dir(python))
		try(python, "asyncio", "--py-programname", python, "--home", home, "--asgi-loop", "asyncio")
	}
	try("uvloop", "uvloop", "--home", harness.Async(t))
	try("asyncio beside uvloop", "asyncio", "--home", harness.Async(t), "--asgi-loop", "asyncio")
}

// TestLifespan: what an application says at the start decides whether the worker serves.
func TestLifespan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode, option string
		code         int // 0: it serves
		says         string
	}{
		{"", "auto", 0, "^startup complete"},
		{"", "on", 0, "^startup complete"},
		{"raises", "auto", 0, `^plain has no lifespan \(OSError: \[Errno 98\] Address already in use\)`},
		{"raises", "on", 22, `plain: OSError: \[Errno 98\] Address already in use`},
		{"raises", "off", 0, ""},
		{"returns", "auto", 0, `^plain has no lifespan \(it ended without lifespan.startup.complete\)`},
		{"returns", "on", 22, "plain: it ended without lifespan.startup.complete"},
		{"fails", "auto", 22, "plain: lifespan.startup.failed: is there"},
		{"fails", "off", 0, ""},
		{"exits", "auto", 7, `plain: it called exit\(7\)`},
		{"shutdown fails", "auto", 0, "^startup complete"},
	} {
		t.Run(c.mode+" "+c.option, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/asgi/plain.py", "plain.py")
			s.Setenv("LIFESPAN=" + c.mode)
			s.Tolerate("OSError|no database|is there|SystemExit|cannot close|plain: ")
			args := []string{"--http", addr, "--module", "plain", "--master", "--lifespan", c.option}
			if c.code != 0 {
				s.Launch(args...)
				if code := s.Exit(); code != c.code {
					t.Errorf("exit status %d", code)
				}
				s.Log.Wait(t, c.says)
				return
			}
			s.Start(args...)
			if a := harness.HTTP(t, addr).Get("/sleep?0"); a.Body != "slept" {
				t.Errorf("%s %q", a.Line, a.Body)
			}
			if c.says != "" {
				s.Log.Wait(t, c.says)
			} else if n := s.Log.Count("lifespan"); n > 0 {
				t.Errorf("lifespan is spoken of")
			}
			s.Stop()
			if c.mode == "shutdown fails" {
				s.Log.Wait(t, "cannot close")
			}
		})
	}
}

// A reload to code that fails to start is none: the old workers serve on.
func TestLifespanFailsAtReload(t *testing.T) {
	t.Parallel()
	s, site := asgi(t, "--module", "plain", "--master")
	pid := where(t, site, "/").PID
	s.Allow("no database", "is there", "reload failed")
	s.Write("plain.py", `async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database is there"})
`)
	s.Signal(syscall.SIGHUP)
	s.Log.Wait(t, "reload failed: plain: lifespan.startup.failed: no database is there; the "+
		"old generation serves on")
	if at := where(t, site, "/"); at.PID != pid {
		t.Errorf("%+v", at)
	}
}

// A task that does not end when it is cancelled keeps neither atexit handlers nor the end.
func TestStubbornTask(t *testing.T) {
	t.Parallel()
	for _, loop := range []string{"asyncio", "uvloop"} {
		t.Run(loop, func(t *testing.T) {
			t.Parallel()
			s, site := asgi(t, "--module", "plain", "--master", "--home", harness.Async(t), "--asgi-loop", loop)
			if a := site.Get("/stubborn"); a.Body != "for ever" {
				t.Errorf("%s %q", a.Line, a.Body)
			}
			s.Stop()
			s.Log.Wait(t, "it does not end though it is cancelled, and is left: .*stubborn")
			if s.Log.Count("^background cancelled") != 1 || s.Log.Count("^atexit") != 1 {
				t.Error("the other task or the atexit handler did not run")
			}
		})
	}
}

// threads is the size of the loop's default executor.
func TestDefaultExecutor(t *testing.T) {
	t.Parallel()
	_, site := asgi(t, "--module", "plain", "--threads", "3")
	if a := site.Get("/executor"); a.Body != "3" {
		t.Errorf("%s %q jobs at a time", a.Line, a.Body)
	}
}

// TestRootPath: where the front end has put the application.
func TestRootPath(t *testing.T) {
	t.Parallel()
	_, site := asgi(t, "--module", "plain", "--root-path", "/api/")
	if at := where(t, site, "/x"); at.RootPath != "/api" || at.Path != "/api/x" {
		t.Errorf("%+v", at)
	}
}

// TestLoopedSignals: signals mean to a worker with a loop what they mean to one with threads,
// though the loop waits.
func TestLoopedSignals(t *testing.T) {
	t.Parallel()
	for _, home := range []string{"", harness.Async(t)} {
		t.Run(home, func(t *testing.T) {
			t.Parallel()
			args := []string{"--module", "plain", "--master"}
			if home != "" {
				args = append(args, "--home", home)
			}
			s, site, addr := asgiAt(t, args...)
			at := where(t, site, "/")
			slow := harness.Send(t, addr, "GET /sleep?3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			harness.Eventually(t, "a request in hand", func() bool {
				harness.Signal(t, at.PID, syscall.SIGUSR2)
				return s.Log.Count("is managing request /sleep\\?3 since") > 0
			})
			harness.Signal(t, at.PID, syscall.SIGUSR1)
			s.Log.Wait(t, "worker 1 total requests: ")
			stacks := s.Log.Mark()
			harness.Signal(t, at.PID, syscall.Signal(39))
			s.Log.WaitFrom(t, stacks, "uwsgi_asgi.py")
			s.Allow("DAMN ! worker 1") // it was not the supervisor's wish
			harness.Signal(t, at.PID, syscall.SIGTERM)
			s.Log.Wait(t, "Gracefully killing worker 1")
			if got := harness.Parse(t, slow, "GET"); got.Body != "slept" {
				t.Errorf("a request that the worker had in hand: %s %q", got.Line, got.Body)
			}
			s.Log.Wait(t, "^shutdown, background False")
			if next := where(t, site, "/"); next.PID == at.PID {
				t.Errorf("it serves on: %+v", next)
			}
		})
	}
}

// TestSleepingRequests: a worker whose requests wait is idle, one that computes is busy, for the
// statistics as for cheaper.
func TestSleepingRequests(t *testing.T) {
	t.Parallel()
	s, _, addr := asgiAt(t, "--module", "plain", "--master", "--stats", "stats")
	worker := func() map[string]any {
		return statsOf(t, s.Path("stats"))["workers"].([]any)[0].(map[string]any)
	}
	for range 20 {
		harness.Send(t, addr, "GET /sleep?600 HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	harness.Eventually(t, "all are in hand, and the worker is idle", func() bool {
		w := worker()
		return w["in_flight"] == 20.0 && w["status"] == "idle"
	})
	out, err := s.Command("list").CombinedOutput()
	if err != nil || !regexp.MustCompile(` active +`+itoa(s.PID)+` +1/1 +0 +20 +20 +0 +[\d.]+ms `).Match(out) {
		t.Errorf("%s, %v", out, err)
	}
	busy := harness.Send(t, addr, "GET /spin?3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	const late = 1e6 // µs, far more than a loaded machine lets an idle loop wait
	var seen []string
	harness.Eventually(t, "one computes, and the loop is late", func() bool {
		w := worker()
		seen = append(seen, w["status"].(string))
		return slices.Contains(seen, "busy") && w["loop_lag"].(float64) > late
	})
	harness.Parse(t, busy, "GET")
	harness.Eventually(t, "it is idle again", func() bool {
		w := worker()
		return w["status"] == "idle" && w["loop_lag"].(float64) < late
	})
	s.Signal(syscall.SIGQUIT)
	s.Exit()
}

// TestOneWorkerWakes: of several idle workers a new connection wakes one. (Nested in a loop's epoll
// set, the listening sockets would wake all eight: 8.5 switches.)
func TestOneWorkerWakes(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"asyncio": {"--module", "plain", "--asgi-loop", "asyncio"},
		"uvloop": {"--module", "plain", "--asgi-loop", "uvloop"},
		"gevent": {"--module", "plain:wsgi", "--gevent", "100", "--gevent-monkey-patch"}} {
		t.Run(name, func(t *testing.T) {
			s, _, addr := asgiAt(t, append(args, "--master", "-p", "8", "--home", harness.Async(t),
				"--stats", "stats")...)
			var pids []int
			for _, w := range statsOf(t, s.Path("stats"))["workers"].([]any) {
				pids = append(pids, int(w.(map[string]any)["pid"].(float64)))
			}
			const connections = 300
			before := switches(t, pids)
			for range connections {
				harness.RawEnd(t, addr, "GET / HTTP/1.0\r\n\r\n")
			}
			if each := float64(switches(t, pids)-before) / connections; each > 4 {
				t.Errorf("%.1f context switches a connection", each)
			}
		})
	}
}

// switches counts the context switches of processes, so far.
func switches(t *testing.T, pids []int) (n int) {
	t.Helper()
	for _, pid := range pids {
		tasks, _ := filepath.Glob(filepath.Join("/proc", itoa(pid), "task", "*", "status"))
		for _, path := range tasks {
			text, _ := os.ReadFile(path) // a thread may have ended
			for _, m := range regexp.MustCompile(`(?m)^\w*ctxt_switches:\s*(\d+)`).FindAllStringSubmatch(string(text), -1) {
				count, _ := strconv.Atoi(m[1])
				n += count
			}
		}
	}
	return n
}

// TestMountsOfBothInterfaces: a WSGI application beside an ASGI one is served on threads, as many
// as there are, while the loop serves on.
func TestMountsOfBothInterfaces(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/asgi/plain.py", "plain.py")
	s.Write("old.py", `
import threading, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s %s %s" % (threading.current_thread().name, environ["wsgi.multithread"], environ["SCRIPT_NAME"])).encode()]
`)
	s.Start("--http", addr, "--mount", "/new=plain.py", "--mount", "/old=old.py", "--manage-script-name", "--master",
		"--threads", "2", "--harakiri", "30")
	site := harness.HTTP(t, addr)
	if at := where(t, site, "/new/x"); at.RootPath != "/new" || at.Path != "/new/x" || !at.Main {
		t.Errorf("%+v", at)
	}
	var slow []net.Conn
	for range 2 {
		slow = append(slow, harness.Send(t, addr, "GET /old/sleep HTTP/1.0\r\n\r\n"))
	}
	if at := where(t, site, "/new/beside"); at.State != 42 {
		t.Errorf("%+v", at)
	}
	var names []string
	for _, c := range slow {
		names = append(names, harness.Parse(t, c, "GET").Body)
	}
	slices.Sort(names)
	if want := []string{"uWSGIWorker1Core1 True /old", "uWSGIWorker1Core2 True /old"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	a := site.Do("POST", "/old/post", strings.NewReader(strings.Repeat("x", 1<<20)))
	if a.Status != 200 {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// A lifespan that holds what only one process can have: a reload stops the old workers first.
func TestLifespanHoldsAPort(t *testing.T) {
	t.Parallel()
	s, addr, held := harness.New(t), harness.Addr(t), harness.Addr(t)
	s.Write("app.py", `
import socket
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        try:
            held = socket.create_server(("127.0.0.1", `+held[strings.LastIndex(held, ":")+1:]+`))
        except OSError as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        held.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
`)
	s.Start("--http", addr, "--module", "app", "--master", "--lifespan", "on")
	s.Tolerate("Address already in use")
	s.Reload()
	s.Log.Wait(t, "the new generation needs what the old one holds .*: stopping the old one first")
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "served" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// cheaper sees a worker whose requests wait as idle, and one that computes as busy.
func TestCheaperOfLoops(t *testing.T) {
	t.Parallel()
	s, _, addr := asgiAt(t, "--module", "plain", "--master", "-p", "4", "--cheaper", "1", "--cheaper-overload",
		"1", "--stats", "stats")
	alive := func() (n int) {
		for _, w := range statsOf(t, s.Path("stats"))["workers"].([]any) {
			if w.(map[string]any)["pid"].(float64) > 0 {
				n++
			}
		}
		return n
	}
	for range 50 {
		harness.Send(t, addr, "GET /sleep?600 HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	harness.Eventually(t, "a worker has all of them in hand", func() bool {
		return statsOf(t, s.Path("stats"))["workers"].([]any)[0].(map[string]any)["in_flight"] == 50.0
	})
	if n := alive(); n != 1 {
		t.Errorf("%d workers for requests that wait", n)
	}
	harness.Send(t, addr, "GET /spin?6 HTTP/1.1\r\nHost: x\r\n\r\n")
	harness.Eventually(t, "a second worker, for one that computes", func() bool { return alive() > 1 })
	s.Signal(syscall.SIGQUIT)
	s.Exit()
}
