package e2e

import (
	"strconv"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// An application that holds lock 0 in /hold until a file of the name in the query is there.
const locking = `
import multiprocessing, os, threading, time, uwsgi
from uwsgidecorators import lock

def until(what):
    for _ in range(4000):
        if what():
            return True
        time.sleep(0.005)

def hold(environ):
    uwsgi.lock()
    print("held by pid", os.getpid(), flush=True)
    until(lambda: os.path.exists(environ["QUERY_STRING"]))
    uwsgi.unlock()
    return "held"

def held(environ):
    return str(uwsgi.is_locked())

def take(environ):
    print("wants it", flush=True)
    uwsgi.lock(0)
    uwsgi.unlock()
    return "taken"

def more(environ):
    out = []
    for number in (1, 2, 3, -1):
        try:
            uwsgi.lock(number)
            uwsgi.unlock(number)
            uwsgi.unlock(number)  # not locked: no error
            out.append("ok")
        except ValueError as exc:
            out.append(str(exc))
    return ", ".join(out)

def threads(environ):
    inside, most = [], []
    @lock
    def alone():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.005)
        inside.pop()
    crowd = [threading.Thread(target=alone) for _ in range(8)]
    for t in crowd: t.start()
    for t in crowd: t.join()
    return "%d times, %d at once" % (len(most), max(most))

def child(environ):
    def ask(queue):
        queue.put(uwsgi.is_locked(0))
        uwsgi.lock(1)  # its own, and given back when it ends
        queue.put(uwsgi.is_locked(1))
    context = multiprocessing.get_context("fork")
    uwsgi.lock(0)
    queue = context.Queue()
    process = context.Process(target=ask, args=(queue,))
    process.start()
    answers = [queue.get(), queue.get()]
    process.join()
    answers.append(uwsgi.is_locked(1))
    uwsgi.unlock(0)
    return repr(answers)

def spawned(environ):
    import outside
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(outside.ask)

def application(environ, start_response):
    start_response("200 OK", [])
    return [globals()[environ["PATH_INFO"].strip("/")](environ).encode()]
`

// TestLocks: uwsgi.lock excludes the other workers, and is free again when its holder dies.
func TestLocks(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", locking)
	s.Write("outside.py", "try:\n    import uwsgi\n    answer = 'a server'\nexcept ImportError as exc:\n    answer = "+
		"str(exc)\ndef ask():\n    return answer\n")
	s.Start("--http", addr, "--module", "app", "-p", "2", "--locks", "2", "--stats", s.Path("stats"))
	site := harness.HTTP(t, addr)
	holder := func() int {
		return int(statsOf(t, s.Path("stats"))["locks"].([]any)[0].(map[string]any)["user 0"].(float64))
	}
	if a := site.Get("/held"); a.Body != "False" {
		t.Errorf("before: %s", a.Body)
	}
	for path, want := range map[string]string{
		"/more": "ok, ok, Invalid lock number, Invalid lock number", "/threads": "8 times, 1 at once", "/child": "[True, True, False]",
		"/spawned": "No module named 'uwsgi'",
	} {
		if a := site.Get(path); a.Body != want {
			t.Errorf("%s: %q, not %q", path, a.Body, want)
		}
	}
	answers := make(chan string, 2)
	ask := func(path string) { // over a connection of its own: it occupies a worker
		go func() {
			if a, err := harness.HTTP(t, addr).Try("GET", path, nil); err == nil {
				answers <- a.Body
			} else {
				answers <- "none"
			}
		}()
	}
	mark := s.Log.Mark()
	ask("/hold?go")
	if pid := s.Log.WaitFrom(t, mark, `^held by pid (\d+)`)[1]; strconv.Itoa(holder()) != pid {
		t.Errorf("the statistics say that %d has the lock, not %s", holder(), pid)
	}
	if a := site.Get("/held"); a.Body != "True" {
		t.Errorf("while the other worker has it: %s", a.Body)
	}
	ask("/take")
	s.Log.WaitFrom(t, mark, "^wants it")
	s.Write("go", "")
	if a, b := <-answers, <-answers; a+b != "heldtaken" && a+b != "takenheld" {
		t.Errorf("%s, %s", a, b)
	}
	mark = s.Log.Mark()
	ask("/hold?never")
	pid, _ := strconv.Atoi(s.Log.WaitFrom(t, mark, `^held by pid (\d+)`)[1])
	ask("/take")
	s.Log.WaitFrom(t, mark, "^wants it")
	s.Allow("^DAMN ! worker")
	harness.Signal(t, pid, syscall.SIGKILL)
	if a, b := <-answers, <-answers; a+b != "nonetaken" && a+b != "takennone" {
		t.Errorf("after the holder was killed: %s, %s", a, b)
	}
	if pid := holder(); pid != 0 {
		t.Errorf("the statistics say that %d has a lock that nobody has", pid)
	}
}

// The workers of the old generation and of the new one exclude each other, though there are more of
// the new ones.
func TestLocksAcrossReload(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", locking)
	s.LooseFDs()
	s.Write("uwsgi.ini", "[uwsgi]\nhttp = "+addr+"\nmodule = app\nprocesses = 1\n")
	s.Start("--ini", "uwsgi.ini")
	held := make(chan string)
	go func() {
		a, err := harness.HTTP(t, addr).Try("GET", "/hold?go", nil)
		if err != nil {
			t.Error(err)
		}
		held <- a.Body
	}()
	s.Log.Wait(t, "^held by pid")
	s.Write("uwsgi.ini", "[uwsgi]\nhttp = "+addr+"\nmodule = app\nprocesses = 2\n")
	s.Reload()
	if a := harness.HTTP(t, addr).Get("/held"); a.Body != "True" {
		t.Errorf("in the new generation: %s", a.Body)
	}
	s.Write("go", "")
	if body := <-held; body != "held" {
		t.Errorf("%q", body)
	}
	if a := harness.HTTP(t, addr).Get("/take"); a.Body != "taken" {
		t.Errorf("%q", a.Body)
	}
}
