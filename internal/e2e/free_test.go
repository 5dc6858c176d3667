package e2e

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// freeThreaded is a server for an application, app.py, in a free-threaded Python, where python3 is
// one: packaging/under.sh runs these tests in its own.
func freeThreaded(t *testing.T, app string) *harness.Server {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import sys; print(sys.abiflags)").Output()
	if err != nil || strings.TrimSpace(string(out)) != "t" {
		t.Skip("python3 has the global interpreter lock: `make free` has one that has none")
	}
	s := harness.New(t)
	s.Setenv(strings.Fields(os.Getenv("UWSGI_FREE_ENV"))...)
	s.Write("app.py", app)
	return s
}

// clients runs f for so many at once, each with a connection of its own.
func clients(n int, f func(client int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// TestFreeThreadedTables: eight threads make environs, heads and bodies at once. Each request is
// answered with its own values, whatever names and values the tables of other threads have kept,
// and whatever other threads do to the list that it is answered with.
func TestFreeThreadedTables(t *testing.T) {
	t.Parallel()
	s, addr := freeThreaded(t, `
import sys

shared = [b"x" * 10] * 50

def application(environ, start_response):
    assert not sys._is_gil_enabled()
    if environ["PATH_INFO"] == "/shared":
        start_response("200 OK", [("X-List", "shared")])
        return shared
    shared.append(b"y" * 7)
    del shared[:len(shared) // 2]
    shared.extend([b"z" * 3] * 20)
    said = ["%s=%s" % item for item in sorted(environ.items()) if item[0].startswith("HTTP_X_")]
    body = environ["wsgi.input"].read().decode() + " " + " ".join(said)
    start_response("200 " + "OK" * (len(body) % 3 + 1), [("X-Said-" + str(len(body) % 7), str(len(body))), ("Content-Type", "text/plain")])
    return [body.encode()]
`), harness.Addr(t)
	s.Start("--http", addr, "--module", "app", "--master", "--threads", "8", "--disable-logging")
	seed := uint64(time.Now().UnixNano())
	end := freeEnd(t)
	var checked atomic.Int64
	clients(8, func(client int) {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		conn := harness.Dial(t, addr)
		in := bufio.NewReader(conn)
		for i := 0; i < 20 || time.Now().Before(end); i++ {
			var requests strings.Builder
			wants := make([]string, 25) // at once, so that the threads meet
			for n := range wants {
				wants[n] = freeRequest(random, &requests)
			}
			conn.SetDeadline(time.Now().Add(harness.Patience))
			if _, err := io.WriteString(conn, requests.String()); err != nil {
				t.Errorf("seed %d, client %d, batch %d: %v", seed, client, i, err)
				return
			}
			for _, want := range wants {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Errorf("seed %d, client %d, batch %d: %v", seed, client, i, err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				shared := want == "" && strings.Trim(string(body), "xyz") == ""
				if err != nil || resp.StatusCode != 200 || !shared && (string(body) != want ||
					resp.Header.Get("X-Said-"+strconv.Itoa(len(want)%7)) != strconv.Itoa(len(want))) {
					t.Errorf("seed %d, client %d, batch %d: %v %s %v %.300q, not %.300q", seed,
						client, i, err, resp.Status,
						resp.Header, body, want)
					return
				}
				checked.Add(1)
			}
		}
	})
	t.Logf("seed %d: %d answers, each as it should be", seed, checked.Load())
}

// freeRequest writes a request with random values and gives the body of its answer; "": it is for
// /shared.
func freeRequest(random *rand.Rand, to *strings.Builder) string {
	if random.IntN(8) == 0 {
		to.WriteString("GET /shared HTTP/1.1\r\nHost: x\r\n\r\n")
		return ""
	}
	body := strings.Repeat("b", random.IntN(300))
	var headers, said []string
	for _, name := range []string{"A", "B", "LONG", "N" + strconv.Itoa(random.IntN(700))} {
		value := strconv.Itoa(random.IntN(1+random.IntN(1000))) + strings.Repeat("v", random.IntN(160))
		headers = append(headers, "X-"+name+": "+value)
		said = append(said, "HTTP_X_"+name+"="+value)
	}
	random.Shuffle(len(headers), func(i, j int) { headers[i], headers[j] = headers[j], headers[i] })
	slices.Sort(said)
	fmt.Fprintf(to, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n\r\n%s", len(body),
		strings.Join(headers, "\r\n"), body)
	return body + " " + strings.Join(said, " ")
}

// freeEnd is until when a test goes on that UWSGI_FREE_SECONDS makes longer.
func freeEnd(t *testing.T) time.Time {
	t.Helper()
	text := os.Getenv("UWSGI_FREE_SECONDS")
	seconds, err := strconv.Atoi(text)
	if text != "" && err != nil {
		t.Fatal(err)
	}
	return time.Now().Add(time.Duration(seconds) * time.Second)
}

// TestFreeThreadedCounts: nobody counts references to the functions of an application that was
// imported before the workers were forked. 3.13t does so for what is frozen, and threads that call
// them wait for each other: four answered half of what one did.
func TestFreeThreadedCounts(t *testing.T) {
	t.Parallel()
	s, addr := freeThreaded(t, `
import sys

def helper():
    pass

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"counted" if sys.getrefcount(helper) < 1 << 30 else b"not counted"]
`), harness.Addr(t)
	s.Start("--http", addr, "--module", "app", "--master", "--threads", "4")
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "not counted" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
}

// TestFreeThreadedASGI: an ASGI application on its loop, with WSGI beside it on threads.
func TestFreeThreadedASGI(t *testing.T) {
	t.Parallel()
	s, addr := freeThreaded(t, `
import asyncio, sys

async def application(scope, receive, send):
    assert not sys._is_gil_enabled()
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    said = await asyncio.to_thread(lambda: dict(scope["headers"])[b"x-said"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["path"].encode())]})
    for part in body, b" ", said:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})
`), harness.Addr(t)
	s.Write("beside.py", `
def application(environ, start_response):
    start_response("200 OK", [("X-Path", environ["SCRIPT_NAME"])])
    return [environ["wsgi.input"].read(), b" ", environ["HTTP_X_SAID"].encode()]
`)
	s.Start("--http", addr, "--module", "app", "--mount", "/wsgi=beside.py", "--manage-script-name", "--threads", "2")
	clients(6, func(client int) {
		site, path := harness.HTTP(t, addr), []string{"/asgi", "/wsgi"}[client%2]
		for i := range 100 {
			said := strings.Repeat(strconv.Itoa(client), i)
			a, err := site.Try("POST", path, strings.NewReader(strconv.Itoa(i)), "X-Said: "+said+"!")
			if err != nil || a.Body != fmt.Sprintf("%d %s!", i, said) || a.Header.Get("X-Path") != path {
				t.Errorf("client %d, request %d: %v %+v", client, i, err, a)
				return
			}
		}
	})
}

// TestFreeThreadedFunctions: threads of WSGI call the server's functions at once. Nothing is lost
// of what they count together, and what is a request's is no other's.
func TestFreeThreadedFunctions(t *testing.T) {
	t.Parallel()
	s, addr := freeThreaded(t, `
import threading, uwsgi

uwsgi.register_signal(1, "workers", lambda number: uwsgi.metric_inc("signals"))

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/counted":
        start_response("200 OK", [])
        return [b"%d %d %d %d" % (uwsgi.metric_get("mine"), uwsgi.cache_num("n"), uwsgi.sharedarea_read64(0, 0), uwsgi.queue_slot())]
    uwsgi.set_logvar("path", path)
    uwsgi.add_var("PATH", path)
    uwsgi.set_user_harakiri(60)
    uwsgi.setprocname("at work on " + path)
    uwsgi.metric_inc("mine")
    uwsgi.cache_inc("n")
    uwsgi.cache_update(path, path)
    uwsgi.sharedarea_inc64(0, 0)
    uwsgi.queue_push(path)
    uwsgi.signal(1)
    uwsgi.workers(), uwsgi.total_requests(), uwsgi.request_id(), uwsgi.connection_fd()
    uwsgi.lock(), uwsgi.unlock()

    def late():  # in a thread that has no part in a request, until that is over
        over = False
        while not over:
            for f, *args in (uwsgi.set_logvar, "path", "late"), (start_response, "200 OK", []):
                try:
                    f(*args)
                    print("let in")
                except (RuntimeError, SystemError) as exc:
                    over = "is over" in str(exc)
    threading.Thread(target=late).start()
    said = start_response("200 OK", [("X-Path", path)])
    said(b"%s " % uwsgi.get_logvar("path"))
    return (part for part in (uwsgi.cache_get(path), b"!"))
`), harness.Addr(t)
	s.Start("--http", addr, "--module", "app", "--master", "--threads", "8", "--disable-logging",
		"--stats", harness.Addr(t), "--metric", "mine", "--metric", "signals", "--cache2", "name=c,items=1000", "--sharedarea", "1", "--queue", "2000")
	const threads, each = 8, 20
	clients(threads, func(client int) {
		site := harness.HTTP(t, addr)
		for i := range each {
			path := fmt.Sprintf("/%d-%d", client, i)
			a, err := site.Try("GET", path, nil)
			if err != nil || a.Body != path+" "+path+"!" || a.Header.Get("X-Path") != path {
				t.Errorf("%s: %v %+v", path, err, a)
				return
			}
		}
	})
	n := threads * each
	if a := harness.HTTP(t, addr).Get("/counted"); a.Body != fmt.Sprintf("%d %d %d %d", n, n, n, n) {
		t.Errorf("%d requests were counted as %q", n, a.Body)
	}
	if n := s.Log.Count("let in"); n > 0 {
		t.Errorf("%d calls of a thread without a request went well", n)
	}
}

// TestFreeThreadedViews: threads that an ASGI request has started, as for a view that is no
// coroutine, ask the server for what is the request's while the loop ends it and begins others.
func TestFreeThreadedViews(t *testing.T) {
	t.Parallel()
	s, addr := freeThreaded(t, `
import asyncio, contextvars, threading, uwsgi

def view(path, coroutine):
    try:
        while uwsgi.connection_fd() > 2:
            uwsgi.set_logvar("of", path)
            assert uwsgi.get_logvar("of") == path.encode()
            uwsgi.add_var("OF", path)
            uwsgi.log_this_request()
            uwsgi.set_user_harakiri(60)
            uwsgi.setprocname("at work on " + path)
            assert (coroutine.__qualname__, coroutine.cr_frame) == ("application", None)
    except SystemError:
        pass  # the request is over

async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    context, coroutine = contextvars.copy_context(), asyncio.current_task().get_coro()
    for _ in range(2):
        threading.Thread(target=context.copy().run, args=(view, scope["path"], coroutine)).start()
    await send({"type": "http.response.body", "body": scope["path"].encode()})
`), harness.Addr(t)
	s.Start("--http", addr, "--module", "app", "--master", "--buffer-size", "65535", "--log-format", "%(uri) of %(of)!")
	const each = 20
	clients(4, func(client int) {
		site := harness.HTTP(t, addr)
		for i := range each {
			path := fmt.Sprintf("/%d-%d", client, i)
			if a, err := site.Try("GET", path, nil); err != nil || a.Body != path {
				t.Errorf("%s: %v %+v", path, err, a)
				return
			}
		}
	})
	s.Stop()
	for _, line := range s.Log.Lines(0) {
		uri, of, logged := strings.Cut(strings.TrimSuffix(line, "!"), " of ")
		if logged && strings.HasPrefix(uri, "/") && of != "-" && of != uri {
			t.Errorf("%q: the variable is another request's", line)
		}
	}
}

// TestFreeThreadedGevent: what is not offered there is refused in a line.
func TestFreeThreadedGevent(t *testing.T) {
	t.Parallel()
	const says = "it is not offered in a free-threaded Python yet"
	s := freeThreaded(t, version("x"))
	s.Allow(says)
	s.Launch("--http", harness.Addr(t), "--module", "app", "--gevent", "10")
	if code := s.Exit(); code == 0 || s.Log.Count(says) != 1 {
		t.Errorf("exit status %d, said %d times", code, s.Log.Count(says))
	}
}

// TestFreeThreadedScales: with `make free`, on a machine that has two processors for it, four
// threads answer at least 1.8 times as many requests of pure Python as one.
func TestFreeThreadedScales(t *testing.T) {
	if os.Getenv("UWSGI_FREE_SECONDS") == "" {
		t.Skip("it measures time: `make free` has the machine for it")
	}
	rate := func(threads string) float64 {
		s, addr := freeThreaded(t, `
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def application(environ, start_response):
    fib(22)
    start_response("200 OK", [])
    return []
`), harness.Addr(t)
		s.Start("--http", addr, "--module", "app", "--master", "--threads", threads)
		ask := func(each int) {
			clients(4, func(int) {
				site := harness.HTTP(t, addr)
				for range each {
					if _, err := site.Try("GET", "/", nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		ask(20)
		began := time.Now()
		ask(150)
		return 600 / time.Since(began).Seconds()
	}
	best := 0.0
	for range 3 {
		one, four := rate("1"), rate("4")
		t.Logf("threads = 1: %.0f requests/s, threads = 4: %.0f, %.2f times", one, four, four/one)
		best = max(best, four/one)
	}
	if best < 1.8 {
		t.Errorf("%.2f times at best", best)
	}
}
