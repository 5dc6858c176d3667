package e2e

import (
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

const timedLoop = `
import asyncio, uwsgi
from uwsgidecorators import timer

@timer(1)
async def tick(num):
    await asyncio.sleep(0)
    print("tick on", type(asyncio.get_running_loop()).__module__, flush=True)

@timer(1)
def plain(num):
    print("plain", num, flush=True)

async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
`

// TestTimersOnALoop: a handler that is a coroutine function runs as a task of the worker's loop.
func TestTimersOnALoop(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", timedLoop)
	s.Start("--http", addr, "--module", "app", "--master", "-p", "1", "--lifespan", "off")
	for range 2 {
		mark := s.Log.Mark()
		s.Log.WaitFrom(t, mark, `^tick on (asyncio|uvloop)`)
		s.Log.WaitFrom(t, mark, `^plain 1`)
	}
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "served" {
		t.Error(a.Body)
	}
}

const faulty = `
import os, signal, time, uwsgi
from uwsgidecorators import timer

def stuck():
    time.sleep(600)

@timer(1, target="worker1")
def bad(num):
    how = open("how").read()
    print("handler", how, os.getpid(), flush=True)
    if how == "hang":
        stuck()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        raise SystemExit(3)

def application(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`

// TestHandlersFail: whatever a handler does to its worker, another takes its place, and the timer
// goes on there.
func TestHandlersFail(t *testing.T) {
	for how, said := range map[string]string{
		"hang": `^.*HARAKIRI ON WORKER 1 \(pid: \d+\): the handler of signal 0 runs for \d+ seconds`,
		"kill": `DAMN ! worker 1 .* died`,
		"exit": `^SystemExit: 3`,
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Tolerate(`.`) // what a worker's end is told with is not this test's
			s.Write("app.py", faulty)
			s.Write("how", how)
			s.Start("--http", addr, "--module", "app", "--master", "-p", "2", "--harakiri", "2")
			first := s.Log.Wait(t, `^handler `+how+` (\d+)`)[1]
			s.Log.Wait(t, said)
			if how == "hang" {
				s.Log.Wait(t, `in stuck$`)
			}
			s.Write("how", "fine")
			if pid := s.Log.Wait(t, `^handler fine (\d+)`)[1]; pid == first {
				t.Error("the worker goes on")
			}
			if a := harness.HTTP(t, addr).Get("/"); a.Status != 200 {
				t.Error(a.Line)
			}
		})
	}
}

// TestTicksWake: a tick starts the workers of an instance that is asleep; a reload goes over to the
// schedule of the new code.
func TestTicksWake(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", faulty)
	s.Write("how", "awake")
	s.LooseFDs() // it is ready without workers, and ends with one
	s.Start("--http", addr, "--module", "app", "--master", "-p", "1", "--cheap")
	s.Log.Wait(t, `^handler awake`)
	s.Write("app.py", `
from uwsgidecorators import timer

@timer(1)
def new(num):
    print("new code", flush=True)

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"new"]
`)
	s.Reload()
	if !harness.Within(30*time.Second, func() bool { return s.Log.Count(`^new code`) > 1 }) {
		t.Error("the new schedule does not run")
	}
	n := s.Log.Count(`^handler awake`)
	mark := s.Log.Mark()
	s.Log.WaitFrom(t, mark, `^new code`)
	s.Log.WaitFrom(t, s.Log.Mark(), `^new code`)
	if s.Log.Count(`^handler awake`) > n {
		t.Error("the old schedule still runs")
	}
}

const greenTimers = `
import gevent.event, gevent.lock, os, uwsgi
from uwsgidecorators import timer

free = gevent.event.Event()

@timer(1)
def waits(num):
    print("WAITS in", type(gevent.getcurrent()).__name__, flush=True)
    free.wait()
    print("FREED", flush=True)

@timer(1)
def plain(num):
    print("PLAIN", flush=True)
    raise LookupError("of the handler")

def application(environ, start_response):
    if environ["PATH_INFO"] == "/free":
        free.set()
    start_response("200 OK", [])
    return [b"served"]
`

// TestTimersUnderGevent: a handler is a greenlet; while it waits requests are answered, others run,
// and its own ticks coalesce.
func TestTimersUnderGevent(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Tolerate(`LookupError: of the handler`)
	s.Write("app.py", greenTimers)
	s.Start("--http", addr, "--module", "app", "--master", "-p", "1", "--gevent", "10", "--gevent-monkey-patch",
		"--home", harness.Async(t), "--stats", s.Path("stats"))
	s.Log.Wait(t, `^WAITS in Greenlet$`)
	for range 2 {
		s.Log.WaitFrom(t, s.Log.Mark(), `^PLAIN$`)
	}
	if n := s.Log.Count(`^WAITS`); n != 1 {
		t.Errorf("it was begun %d times while it waited", n)
	}
	if a := harness.HTTP(t, addr).Get("/free"); a.Body != "served" {
		t.Error(a.Line)
	}
	s.Log.Wait(t, `^FREED$`)
	s.Log.WaitFrom(t, s.Log.Mark(), `^FREED$`)
	harness.Eventually(t, "the statistics tell how each ended", func() bool {
		list := statsOf(t, s.Path("stats"))["signals"].([]any)
		waits, plain := list[0].(map[string]any), list[1].(map[string]any)
		return waits["ended"] == "ok" && plain["ended"] == "LookupError"
	})
}

// TestTimersThatAreNone: what no schedule can be made of is refused where it is asked for, or told
// in a line that names it.
func TestTimersThatAreNone(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import uwsgi
uwsgi.register_signal(1, "", print)
answers = []
for call in (lambda: uwsgi.add_timer(1, float("nan")), lambda: uwsgi.add_rb_timer(1, float("inf")),
        lambda: uwsgi.add_cron(1, 10**20, -1, -1, -1, -1), lambda: uwsgi.add_file_monitor(1, "x" * 5000),
        lambda: uwsgi.register_signal(1, "x" * 5000, print)):
    try:
        answers.append(call())
    except Exception as exc:
        answers.append(type(exc).__name__)
uwsgi.add_timer(1, 0)
uwsgi.add_timer(1, -3)
uwsgi.add_rb_timer(1, 10**20)
uwsgi.add_cron(1, 60, -1, -1, -1, -1)

def application(environ, start_response):
    start_response("200 OK", [])
    return [repr(answers).encode()]
`)
	said := []string{`uwsgi signals: timer of signal 1: 0 seconds are none`,
		`uwsgi signals: timer of signal 1: -3 seconds are none`,
		`uwsgi signals: rbtimer of signal 1: 1e\+20 seconds are none`,
		`uwsgi signals: cron of signal 1: the minute 60 never comes: write -1 for every`}
	s.Start("--http", addr, "--module", "app", "--master")
	for _, line := range said {
		s.Log.Wait(t, `^`+line+`$`)
	}
	want := "['ValueError', 'ValueError', 'OverflowError', 'OSError', 'ValueError']"
	if a := harness.HTTP(t, addr).Get("/"); a.Body != want {
		t.Error(a.Body)
	}
}
