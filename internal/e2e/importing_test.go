package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

const ticking = `
import os, signal, threading, time, uwsgi

ticks, at_import = 0, (uwsgi.worker_id(), os.getpid() == uwsgi.masterpid(), os.getpid() != uwsgi.masterpid())

def tick():
    global ticks
    while True:
        time.sleep(0.01)
        ticks += 1

threading.Thread(target=tick, name="the ticker", daemon=True).start()

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/await":
        while not ticks:
            time.sleep(0.01)
        return [b"it ticks"]
    return [repr(at_import).encode()]
`

// Without a master the process that imports the application serves it, with the threads that it has
// started, as under uWSGI.
func TestMasterless(t *testing.T) {
	for args, at := range map[string]string{"-p 1": "(0, True, False)", "--lazy-apps": "(1, False, True)",
		"--lazy-apps --master": "(1, False, True)"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", ticking)
			s.Start(append(strings.Fields(args), "--http", addr, "--module", "app")...)
			site := harness.HTTP(t, addr)
			for range 2 {
				if got := site.Get("/await").Body; got != "it ticks" {
					t.Errorf("%q", got)
				}
				if got := site.Get("/").Body; got != at {
					t.Errorf("while importing: %s, not %s", got, at)
				}
				s.Reload()
			}
		})
	}
}

// TestImportedFiles: each file that is to be imported is, once, though another one or a module of
// Python's has its name, under the name that it has in uWSGI. An instance that has something to run
// beside workers needs no application and no socket.
func TestImportedFiles(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	for _, name := range []string{"a/json.py", "b/json.py", "json.py"} {
		s.Write(name, "import sys\nprint('IMPORTED', __name__, file=sys.stderr, flush=True)\n")
	}
	s.Write("u.ini", "[uwsgi]\nmaster = true\ncron = 59 23 31 12 -1 true\nshared-import = a/json.py\n"+
		"import = b/json.py\nimport = json.py\nimport = ./a/json.py\nimport = a/json.py\n")
	s.Start("u.ini")
	s.Stop()
	var got []string
	for _, line := range s.Log.Lines(0) {
		if name, ok := strings.CutPrefix(line, "IMPORTED "); ok {
			got = append(got, name)
		}
	}
	if want := "a_json b_json json __a_json"; strings.Join(got, " ") != want {
		t.Errorf("imported are %q, not %s", got, want)
	}
}

// Where two workers cannot have side by side what the application takes while it is imported, it is
// imported once for both.
func TestMasterlessExclusive(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	_, port, _ := strings.Cut(harness.Addr(t), ":")
	s.Write("app.py", fmt.Sprintf(exclusive, port))
	s.Start("--http", addr, "--module", "app", "-p", "2")
	s.Log.Wait(t, "^one worker needs what another one holds .*Set master")
	s.Reload()
	if got := harness.HTTP(t, addr).Get("/").Body; got != "held" {
		t.Errorf("%q", got)
	}
}

// A single worker is replaced though the one before it holds what it needs.
func TestMasterlessRecycling(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	_, port, _ := strings.Cut(harness.Addr(t), ":")
	s.Write("app.py", fmt.Sprintf(exclusive, port))
	s.Start("--http", addr, "--module", "app", "--max-requests", "3", "--min-worker-lifetime", "0")
	load := harness.StartLoad(addr, "/", "held", 2, false)
	s.Log.Wait(t, "^the next worker 1 needs what this one holds")
	load.Await(t, 10)
	load.Stop(t)
}

const threadsHold = `
import logging, os, queue, threading, time

often, nested, forever, condition, queued = threading.Lock(), threading.RLock(), threading.Lock(), threading.Condition(), queue.Queue()
log, handler = open("log", "w"), logging.FileHandler("records")
logging.getLogger().addHandler(handler)

def hold():
    while True:
        with often, nested:
            log.write("x")
            log.flush()
            time.sleep(0.2)

def record():
    while True:
        with handler.lock:
            time.sleep(0.1)
        time.sleep(0.001)

def keep():
    with forever:
        time.sleep(3600)

def work():
    while True:
        queued.get()

def wait():
    with condition:
        condition.wait()

for what in (hold, record, keep, work, wait):
    threading.Thread(target=what, name=what.__name__, daemon=True).start()

def free(lock):
    if lock.acquire(timeout=10):
        lock.release()
        return True
    return False

def application(environ, start_response):
    start_response("200 OK", [])
    taken = []
    threads = [threading.Thread(target=lambda: taken.append(queued.get(timeout=10))) for _ in range(2)]
    for thread in threads:
        thread.start()
        queued.put("piece")
    for thread in threads:
        thread.join()
    logging.warning("a record")
    log.write("y")
    log.flush()
    return [repr([free(lock) for lock in (often, nested, forever, condition, handler.lock, queued.mutex)] + taken).encode() + b" of %d" % os.getpid()]
`

// What threads that the import has started hold while a worker is forked is free in the worker: no
// first worker and no later one hangs in it. The log names them.
func TestThreadsOfTheImport(t *testing.T) {
	for _, python := range harness.Pythons() {
		t.Run(python, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Setenv("PATH=" + filepath.Dir(python) + ":/usr/bin:/bin")
			s.Write("app.py", threadsHold)
			s.Start("--http", addr, "--module", "app", "--master")
			s.Log.Wait(t, `no worker has them: "hold", "keep", "record", "wait", "work"\. .*@uwsgidecorators\.postfork, or set lazy-apps`)
			site := harness.HTTP(t, addr)
			for range 4 {
				got, worker, _ := strings.Cut(site.Get("/").Body, " of ")
				if want := "[True, True, True, True, True, True, 'piece', 'piece']"; got != want {
					t.Errorf("%s, not %s", got, want)
				}
				mark := s.Log.Mark()
				harness.Signal(t, atoi(t, worker), syscall.SIGHUP)
				s.Log.WaitFrom(t, mark, "^Respawned uWSGI worker 1")
			}
		})
	}
}

// py-autoreload: a reload that fails is not the last one, and what is saved while one loads is
// seen.
func TestAutoreloadGoesOn(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	slow := "import os, time\nopen('loading', 'w').close()\nwhile os.path.exists('wait'):\n    time.sleep(0.01)\n"
	save := func(text string) {
		t.Helper()
		s.Write("new", text)
		if err := os.Rename(s.Path("new"), s.Path("app.py")); err != nil {
			t.Fatal(err)
		}
	}
	save(version("1"))
	s.Start("--http", addr, "--module", "app", "--master", "-p", "2", "--py-autoreload", "1")
	s.Allow("SyntaxError", "unable to load app", "GAME OVER", "reload failed")
	mark := s.Log.Mark()
	save("broken(\n")
	s.Log.WaitFrom(t, mark, "^reload failed: module = app: SyntaxError")
	s.Write("wait", "")
	save(slow + version("2"))
	harness.Eventually(t, "it loads", func() bool { return harness.Exists(s.Path("loading")) })
	save(version("3"))
	if err := os.Remove(s.Path("wait")); err != nil {
		t.Fatal(err)
	}
	site := harness.HTTP(t, addr)
	harness.Eventually(t, "what was saved last is served", func() bool { return site.Get("/").Body == "3" })
}

// What the application does about SIGCHLD while it is imported holds in the workers.
func TestChildSignal(t *testing.T) {
	for name, c := range map[string]struct{ set, want string }{
		"ignored": {"signal.SIG_IGN", "1"}, "handled": {"note", "note"}, "left": {"signal.SIG_DFL", "0"},
	} {
		for _, master := range []string{"--master", "--master=false"} {
			t.Run(name+" "+master, func(t *testing.T) {
				t.Parallel()
				s, addr := harness.New(t), harness.Addr(t)
				s.Write("app.py", fmt.Sprintf(`
import os, signal
def note(signum, frame):
    pass
signal.signal(signal.SIGCHLD, %s)
def application(environ, start_response):
    start_response("200 OK", [])
    now = signal.getsignal(signal.SIGCHLD)
    return [b"%%s of %%d" %% ((now.__name__ if callable(now) else str(int(now))).encode(), os.getpid())]
`, c.set))
				s.Start("--http", addr, "--module", "app", master)
				site := harness.HTTP(t, addr)
				for range 2 {
					got, worker, _ := strings.Cut(site.Get("/").Body, " of ")
					if got != c.want {
						t.Errorf("%s, not %s", got, c.want)
					}
					mark := s.Log.Mark()
					harness.Signal(t, atoi(t, worker), syscall.SIGHUP)
					s.Log.WaitFrom(t, mark, "^Respawned uWSGI worker 1")
				}
			})
		}
	}
}
