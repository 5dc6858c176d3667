package e2e

import (
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// greenlets starts testdata/gevent_app.py.
func greenlets(t *testing.T, args ...string) (s *harness.Server, site *harness.Client, addr string) {
	t.Helper()
	s, addr = harness.New(t), harness.Addr(t)
	s.Copy("testdata/gevent_app.py", "app.py")
	s.Start(append([]string{"--http", addr, "--module", "app", "--gevent", "200", "--gevent-monkey-patch",
		"--stats", s.Path("stats"), "--home", harness.Async(t)}, args...)...)
	return s, harness.HTTP(t, addr), addr
}

// together asks for paths at the same time.
func together(t *testing.T, addr string, n int, path func(i int) string, want func(i int) string) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if a := harness.HTTP(t, addr).Get(path(i)); a.Body != want(i) {
				t.Errorf("%s: %s %q", path(i), a.Line, a.Body)
			}
		})
	}
	wg.Wait()
}

func fine(int) string { return "fine" }

// TestGreenlets: on one worker many requests wait at once, for each other, for clocks, sockets and
// locks; greenlets of the application's own run between them.
func TestGreenlets(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--master"},
		{"--lazy-apps", "--master"},
		{"--gevent-monkey-patch=false", "--pyargv", "patches"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s, site, addr := greenlets(t, args...)
			var waiting sync.WaitGroup
			for i := range 100 {
				waiting.Go(func() {
					who := strconv.Itoa(i)
					if a := harness.HTTP(t, addr).Get("/wait?who=" + who); a.Body != who {
						t.Errorf("%s was answered %s %q", who, a.Line, a.Body)
					}
				})
			}
			harness.Eventually(t, "100 requests wait", func() bool {
				w := statsOf(t, s.Path("stats"))["workers"].([]any)[0].(map[string]any)
				return w["in_flight"] == 100.0
			})
			site.Get("/release")
			waiting.Wait()
			together(t, addr, 100, func(int) string { return "/sleep?for=0.2" }, fine)
			together(t, addr, 20, func(int) string { return "/locked" }, fine)
			together(t, addr, 3, func(int) string { return "/ask" }, fine)
			taken := harness.Send(t, addr, "GET /take HTTP/1.1\r\nHost: x\r\n\r\n")
			site.Get("/put")
			if a := harness.Parse(t, taken, "GET"); a.Body != "put" {
				t.Errorf("from the queue: %s %q", a.Line, a.Body)
			}
			before := site.Get("/ticks").Body
			harness.Eventually(t, "the background greenlet goes on",
				func() bool { return site.Get("/ticks").Body != before })
			for path, want := range map[string]string{
				"/server":  "(b'gevent', 200, False, True)",
				"/process": "process",
				"/fork":    "from the child",
				"/connect": "hello",
				"/quit":    "fine",
			} {
				if a := site.Get(path); a.Body != want {
					t.Errorf("%s: %s %q, want %q", path, a.Line, a.Body, want)
				}
			}
			if a := site.Do("POST", "/upload", strings.NewReader(strings.Repeat("x", 1<<20))); a.Body != "1048576" {
				t.Errorf("an upload: %s %q", a.Line, a.Body)
			}
			if a := site.Get("/file"); !strings.Contains(a.Body, "def application(") {
				t.Errorf("a file: %s %q", a.Line, a.Body)
			}
			s.Tolerate("SystemExit: 3")
		})
	}
}

// TestGreenletStream: a greenlet whose client is slow waits for it, and for no longer than the
// client takes; others go on meanwhile, and one whose client goes away is told.
func TestGreenletStream(t *testing.T) {
	t.Parallel()
	s, site, addr := greenlets(t, "--so-send-timeout", "2")
	s.Tolerate("write error|closed the connection|took nothing")
	slow := harness.Send(t, addr, "GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	for range 20 {
		if a := site.Get("/"); a.Body != "fine" {
			t.Fatalf("beside a slow client: %s %q", a.Line, a.Body)
		}
	}
	n, err := io.Copy(io.Discard, slow)
	if want := int64(1000 << 16); err != nil || n < want {
		t.Errorf("a slow client got %d bytes (%v), want %d and more", n, err, want)
	}
	if a := site.Get("/take"); a.Body != "ended" {
		t.Errorf("the stream: %s %q", a.Line, a.Body)
	}
	gone := harness.Send(t, addr, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(gone, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if a := site.Get("/take"); a.Body != "ended" {
		t.Errorf("the stream of a client that has gone: %s %q", a.Line, a.Body)
	}
	idle := harness.Send(t, addr, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
	if a := site.Get("/take"); a.Body != "ended" { // by send-timeout
		t.Errorf("the stream of a client that takes nothing: %s %q", a.Line, a.Body)
	}
	idle.Close()
}

// TestGreenletHarakiri: a greenlet that is over its time is ended with 504, and says where it was;
// the others, and the worker, go on. One that will not let go of the loop costs the worker.
func TestGreenletHarakiri(t *testing.T) {
	t.Parallel()
	s, site, addr := greenlets(t, "--harakiri", "4", "--master")
	s.Tolerate("HARAKIRI|Harakiri|harakiri|app.py|sleep|DAMN|Traceback|File|hub|gevent")
	stuck := harness.Send(t, addr, "GET /sleep?for=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
	begun := harness.Send(t, addr, "GET /begun HTTP/1.1\r\nHost: x\r\n\r\n")
	stubborn := harness.Send(t, addr, "GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n")
	site.Get("/sleep?for=2")
	other := harness.Send(t, addr, "GET /sleep?for=2.1 HTTP/1.1\r\nHost: x\r\n\r\n")
	if a := harness.Parse(t, stuck, "GET"); a.Status != 504 {
		t.Errorf("over its time: %s %q", a.Line, a.Body)
	}
	if got, _ := io.ReadAll(begun); !strings.HasSuffix(string(got), "begun\n") {
		t.Errorf("a response that had begun: %q", got)
	}
	if a := harness.Parse(t, stubborn, "GET"); a.Body != "caught" {
		t.Errorf("one that catches its end: %s %q", a.Line, a.Body)
	}
	if a := harness.Parse(t, other, "GET"); a.Body != "fine" {
		t.Errorf("another one: %s %q", a.Line, a.Body)
	}
	s.Log.Wait(t, `time\.sleep\(float`)
	s.Log.Wait(t, `^uwsgi.Harakiri: the request is over its time`)
	if n := s.Log.Count(`Respawned|DAMN`); n > 0 {
		t.Errorf("the worker was replaced for greenlets that could be ended:\n%s", s.Log)
	}
	busy := harness.Send(t, addr, "GET /busy?for=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
	if a := harness.Parse(t, busy, "GET"); a.Status != 504 {
		t.Errorf("one that holds the loop: %s %q", a.Line, a.Body)
	}
	s.Log.Wait(t, `DAMN ! worker 1 .* died`)
	if a := site.Get("/"); a.Body != "fine" {
		t.Errorf("afterwards: %s %q", a.Line, a.Body)
	}
}

// TestGreenletReload: a reload, a recycled worker and a signal lose no request, and greenlets in
// flight finish.
func TestGreenletReload(t *testing.T) {
	t.Parallel()
	s, site, addr := greenlets(t, "--master", "-p", "2", "--max-requests", "500")
	s.Tolerate("DAMN ! worker . .* died") // as it exits by itself
	load := harness.StartLoad(addr, "/", "fine", 8, true)
	var napping sync.WaitGroup
	for range 2 {
		napping.Go(func() { together(t, addr, 50, func(int) string { return "/sleep?for=1.5" }, fine) })
		load.Await(t, 200)
		s.Reload()
		load.Await(t, 1000)
	}
	napping.Wait()
	load.Stop(t)
	if a := site.Get("/exit"); a.Status != 500 {
		t.Errorf("an application that exits: %s %q", a.Line, a.Body)
	}
	s.Log.Wait(t, `called exit\(5\)`)
	last := harness.Send(t, addr, "GET /sleep?for=0.5 HTTP/1.1\r\nHost: x\r\n\r\n")
	site.Get("/")
	s.Signal(syscall.SIGINT)
	if a := harness.Parse(t, last, "GET"); a.Body != "fine" {
		t.Errorf("while it stops: %s %q", a.Line, a.Body)
	}
	s.Exit()
}

// TestGreenletsAccept: each worker gets its share of the connections, on the hub's epoll set of its
// own beginning and on the one that it makes when it has lost track of that.
func TestGreenletsAccept(t *testing.T) {
	t.Parallel()
	const workers, connections = 3, 60
	s, _, addr := greenlets(t, "--master", "-p", itoa(workers))
	shares := func(of string) (least, most int) {
		least = 1 << 30
		for _, w := range statsOf(t, s.Path("stats"))["workers"].([]any) {
			n := int(w.(map[string]any)[of].(float64))
			least, most = min(least, n), max(most, n)
		}
		return least, most
	}
	var kept []net.Conn
	another := func(path, want string) {
		c := harness.Dial(t, addr)
		kept = append(kept, c)
		if a := harness.Ask(t, c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); a.Body != want {
			t.Fatalf("%s: %s %q", path, a.Line, a.Body)
		}
	}
	leave := func() {
		for _, c := range kept {
			c.Close()
		}
		kept = nil
		harness.Eventually(t, "they are gone", func() bool { _, most := shares("connections"); return most == 0 })
	}
	harness.Eventually(t, "the hub of each worker runs", func() bool {
		another("/", "fine")
		least, _ := shares("requests")
		return least > 0
	})
	leave()
	share := func(path, want string) {
		for range connections {
			another(path, want)
		}
		if least, most := shares("connections"); least < connections/workers/2 || most > connections/workers*2 {
			t.Errorf("%d connections among %d workers: one has %d, one %d", connections, workers, least, most)
		}
		leave()
	}
	share("/", "fine")
	share("/remade", "remade")
	share("/", "fine")
}

// TestForeignLibev: a gevent that was built with the system's libev, as Debian's is, does not know
// the descriptor of its epoll set; workers serve all the same.
func TestForeignLibev(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("foreign.py", `
from gevent.libev.corecext import loop

class Loop(loop):
    def fileno(self):
        return None
`)
	s.Write("app.py", `
import gevent

def application(environ, start_response):
    start_response("200 OK", [])
    return [repr(gevent.get_hub().loop.fileno()).encode()]
`)
	s.Start("--http", addr, "--module", "app", "--gevent", "10", "--master", "--env", "GEVENT_LOOP=foreign.Loop",
		"--pythonpath", s.Dir, "--home", harness.Async(t))
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "None" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// TestWithoutGevent: one line says what is missing.
func TestWithoutGevent(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", "def application(environ, start_response): pass")
	s.Write("gevent.py", "raise ImportError('nothing of that name')")
	s.Tolerate("gevent")
	s.Launch("--http", addr, "--module", "app", "--gevent", "10", "--pythonpath", s.Dir)
	s.Log.Wait(t, `gevent = 10: nothing of that name: install gevent \(\S+ -m pip install gevent`)
	if code := s.Exit(); code != 22 {
		t.Errorf("exit status %d", code)
	}
	if n := s.Log.Count("install gevent"); n != 1 {
		t.Errorf("said %d times:\n%s", n, s.Log)
	}
}

// TestGeventWaits: with gevent-wait-for-hub a worker that leaves waits for the application's own
// greenlets, without it does not.
func TestGeventWaits(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import gevent
def later():
    gevent.sleep(0.5)
    print("the last greenlet has ended", flush=True)
def application(environ, start_response):
    gevent.spawn(later)
    start_response("200 OK", [])
    return [b"fine"]
`)
	s.Start("--http", addr, "--module", "app", "--gevent", "10", "--gevent-wait-for-hub", "--home", harness.Async(t))
	s.Log.Wait(t, `nobody has patched the standard library`)
	harness.HTTP(t, addr).Get("/")
	s.Signal(syscall.SIGINT)
	s.Exit()
	s.Log.Wait(t, "the last greenlet has ended")
}

// TestGeventRefusesASGI: an ASGI application has a loop of its own.
func TestGeventRefusesASGI(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", "async def application(scope, receive, send): pass")
	s.Tolerate("gevent|app")
	s.Launch("--http", addr, "--module", "app", "--gevent", "10", "--home", harness.Async(t))
	s.Log.Wait(t, `ASGI application .*gevent`)
	if code := s.Exit(); code != 22 {
		t.Errorf("exit status %d", code)
	}
}
