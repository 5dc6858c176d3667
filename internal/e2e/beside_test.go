package e2e

import (
	"sync"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// beside is an application with a signal for each kind of target; /N raises signal N, and ?M:TEXT
// sends mule M a message.
const beside = `
import os, time, uwsgi

def whoami():
    if uwsgi.mule_id():
        return "mule %d" % uwsgi.mule_id()
    return "spooler" if uwsgi.i_am_the_spooler() else "worker %d" % uwsgi.worker_id()

def ran(num):
    print("RAN", num, "in", whoami(), uwsgi.signal_received() == num, flush=True)

for number, target in enumerate(("mule", "mule2", "mules", "farm_f", "farm1", "spooler", "workers", "worker2", "nobody")):
    uwsgi.register_signal(number, target, ran)

async def later(num):
    ran(num)

uwsgi.register_signal(20, "mule1", later)

def passes(num):
    print("PASSES", flush=True)
    uwsgi.signal(20)

uwsgi.register_signal(21, "mule2", passes)
uwsgi.register_signal(22, "spooler", passes)

def hangs(num):
    time.sleep(600)

uwsgi.register_signal(23, "mule3", hangs)

def leaves(num):
    print("LEAVES", os.getpid(), flush=True)
    raise SystemExit(0)

uwsgi.register_signal(24, "mule3", leaves)

def application(environ, start_response):
    uwsgi.signal(int(environ["PATH_INFO"][1:]))
    if environ["QUERY_STRING"]:
        mule, text = environ["QUERY_STRING"].split(":")
        uwsgi.mule_msg(text.encode(), int(mule))
    start_response("200 OK", [])
    return [b"raised"]
`

// TestSignalsBesideWorkers: a signal runs in the mule, farm or spooler that it is registered for,
// in one or in each.
func TestSignalsBesideWorkers(t *testing.T) {
	for name, more := range map[string][]string{"forked": nil, "lazy": {"--lazy-apps"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", beside)
			s.Write("jobs/.there", "")
			s.LooseFDs() // its mules come after it is ready
			s.Start(append([]string{"--http", addr, "--module", "app", "--master", "-p", "2", "--mules", "3",
				"--farm", "f:3", "--spooler", s.Path("jobs")}, more...)...)
			raise := func(n string, want ...string) {
				t.Helper()
				mark := s.Log.Mark()
				if a := harness.HTTP(t, addr).Get("/" + n); a.Body != "raised" {
					t.Error(a.Line, a.Body)
				}
				for _, line := range want {
					s.Log.WaitFrom(t, mark, line)
				}
			}
			raise("0", `^RAN 0 in mule [123] True$`)
			raise("1", `^RAN 1 in mule 2 True$`)
			raise("2", `^RAN 2 in mule 1 True$`, `^RAN 2 in mule 2 True$`, `^RAN 2 in mule 3 True$`)
			raise("3", `^RAN 3 in mule 3 True$`)
			raise("4", `^RAN 4 in mule 3 True$`)
			raise("5", `^RAN 5 in spooler True$`)
			raise("6", `^RAN 6 in worker 1 True$`, `^RAN 6 in worker 2 True$`)
			raise("7", `^RAN 7 in worker 2 True$`)
			s.Tolerate(`nobody`)
			raise("8", `uwsgi signals: signal 8: "nobody" is no target of a signal`)
			raise("20", `^RAN 20 in mule 1 True$`)
			raise("21", `^PASSES$`, `^RAN 20 in mule 1 True$`)
			raise("22", `^PASSES$`, `^RAN 20 in mule 1 True$`)
			if n := s.Log.Count(`^RAN 0 in`); n != 1 {
				t.Errorf("one mule's signal ran %d times", n)
			}
		})
	}
}

// TestSignalsInPrograms: the program of a mule runs handlers in signal_wait() and in
// mule_get_msg(); one that looks at neither keeps no signal from the others.
func TestSignalsInPrograms(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", beside)
	s.Write("waits.py", `
import uwsgi
while True:
    uwsgi.signal_wait(2)
    print("WAITED", uwsgi.signal_received(), flush=True)
`)
	s.Write("gets.py", `
import uwsgi
while True:
    print("GOT", uwsgi.mule_get_msg(signals=True), flush=True)
`)
	s.Write("sleeps.py", "import time\nprint('SLEEPS', flush=True)\ntime.sleep(600)\n")
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "--mule=sleeps.py", "--mule=gets.py", "--mule=waits.py",
		"--mule-reload-mercy", "1")
	s.Log.Wait(t, `^SLEEPS$`)
	raise := func(path string) { harness.HTTP(t, addr).Get(path) }
	raise("/1")
	s.Log.Wait(t, `^RAN 1 in mule 2 True$`)
	raise("/1?2:m")
	s.Log.Wait(t, `^GOT b'm'$`)
	raise("/3") // which is nobody's here
	s.Log.Wait(t, `signal 3 is for "farm_f", which is nobody here`)
	raise("/2")
	s.Log.Wait(t, `^RAN 2 in mule 2 True$`)
	s.Log.Wait(t, `^RAN 2 in mule 3 True$`)
	s.Log.Wait(t, `^WAITED 2$`)
	for range 3 {
		raise("/0")
	}
	harness.Eventually(t, "any mule's signals run", func() bool { return s.Log.Count(`^RAN 0 in mule [23] True$`) == 3 })
	if n := s.Log.Count(`^GOT None`); n != 0 {
		t.Error("who waits for a message gets one")
	}
	if n := s.Log.Count(`^WAITED 0`); n != 0 {
		t.Error("who waits for signal 2 gets that")
	}
}

// TestSignalsAndMessages: a mule runs handlers between messages, another one meanwhile what is for
// any; a handler is held to its deadline, and one that exits ends its mule alone.
func TestSignalsAndMessages(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", beside+`
def heard(message):
    print("HEARD", message, flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)  # why: a file has no event to wait for
    print("DONE", flush=True)

uwsgi.mule_msg_hook = heard
`)
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "--mules", "3", "--mule-harakiri",
		"60", "--cron-harakiri", "1")
	raise := func(path string) { harness.HTTP(t, addr).Get(path) }
	raise("/7?1:held") // for nobody; the message is for mule 1
	s.Tolerate(`signal 7 is for "worker2"`)
	s.Log.Wait(t, `^HEARD b'held'$`)
	raise("/20")
	for range 3 {
		mark := s.Log.Mark()
		raise("/0")
		s.Log.WaitFrom(t, mark, `^RAN 0 in mule [23] True$`)
	}
	if n := s.Log.Count(`^RAN 20`); n != 0 {
		t.Error("a handler runs in the middle of a message")
	}
	s.Write("go", "")
	s.Log.Wait(t, `^DONE$`)
	s.Log.Wait(t, `^RAN 20 in mule 1 True$`)
	s.Allow(`^OOOPS mule 3 `)
	s.Tolerate(`SystemExit|mule 3 ends too soon`)
	raise("/24")
	s.Log.Wait(t, `^LEAVES \d+$`)
	s.Log.Wait(t, `^Respawned uWSGI mule 3 `)
	raise("/2")
	s.Log.Wait(t, `^RAN 2 in mule 3 True$`)
}

// TestHandlersInMulesFail: a handler of a mule past its deadline is ended, its stack is in the log,
// and the mule starts again.
func TestHandlersInMulesFail(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", beside)
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "--mules", "3", "--mule-harakiri", "1")
	s.Allow(`^\*\*\* HARAKIRI ON MULE 3 `, `^OOOPS mule 3 .* killed by signal 9`)
	harness.HTTP(t, addr).Get("/23")
	s.Log.Wait(t, `^\*\*\* HARAKIRI ON MULE 3 \(pid: \d+\): busy for \d+ seconds \*\*\*$`)
	s.Log.Wait(t, `^  File ".*app.py", line \d+ in hangs$`)
	s.Log.Wait(t, `^Respawned uWSGI mule 3 `)
	harness.HTTP(t, addr).Get("/2")
	s.Log.Wait(t, `^RAN 2 in mule 3 True$`)
}

// TestSignalWaitInAWorker: a request waits for a signal, and runs its handler, where there is one.
func TestSignalWaitInAWorker(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import uwsgi
uwsgi.register_signal(30, "", lambda num: print("RAN", num, flush=True))
uwsgi.register_signal(31, "", lambda num: print("RAN", num, flush=True))

def application(environ, start_response):
    uwsgi.signal(31)
    uwsgi.signal(30)
    answer = uwsgi.signal_wait(30)
    uwsgi.signal(32)  # it has no handler
    uwsgi.signal_wait(32)
    start_response("200 OK", [])
    return [repr((answer, uwsgi.signal_received())).encode()]
`)
	s.Start("--http", addr, "--module", "app", "--master")
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "(None, 32)" {
		t.Error(a.Line, a.Body)
	}
	for _, n := range []string{"30", "31"} {
		s.Log.Wait(t, `^RAN `+n+`$`)
	}
}

// TestSignalOfABusyWorker: a signal waits for the end of a request, of whichever worker ends one
// first.
func TestSignalOfABusyWorker(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import os, time, uwsgi
uwsgi.register_signal(0, "", lambda num: print("RAN in", uwsgi.worker_id(), flush=True))

def application(environ, start_response):
    start_response("200 OK", [])
    print("HOLDS", uwsgi.worker_id(), flush=True)
    while not os.path.exists("go%d" % uwsgi.worker_id()):
        time.sleep(0.01)  # why: a file has no event to wait for
    return [b"held"]

def late():
    import threading
    if uwsgi.mule_id():
        while not os.path.exists("raise"):
            time.sleep(0.01)  # why: the same
        uwsgi.signal(0)
        print("RAISED", flush=True)

uwsgi.post_fork_hook = late
`)
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "-p", "2", "--mules", "1")
	var held sync.WaitGroup
	for range 2 {
		c := harness.HTTP(t, addr)
		held.Go(func() { c.Get("/") })
	}
	s.Log.Wait(t, `^HOLDS 1$`)
	s.Log.Wait(t, `^HOLDS 2$`)
	s.Write("raise", "")
	s.Log.Wait(t, `^RAISED$`)
	if s.Log.Count(`^RAN in`) > 0 {
		t.Error("it ran in the middle of a request")
	}
	s.Write("go2", "")
	s.Log.Wait(t, `^RAN in 2$`)
	s.Write("go1", "")
	held.Wait()
}

// TestSignalWaitAfterTheFork: a worker that waits for a signal before it serves gets it, from who
// comes after the workers too, and from the schedule; so does the next one of its number.
func TestSignalWaitAfterTheFork(t *testing.T) {
	for who, raises := range map[string]string{
		"mule":    "if uwsgi.mule_id():\n        uwsgi.signal(17)",
		"spooler": "if uwsgi.i_am_the_spooler():\n        uwsgi.signal(17)",
		"timer":   "uwsgi.add_timer(17, 1)",
	} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("jobs/.keep", "")
			s.Write("app.py", `
import uwsgi
uwsgi.register_signal(17, "workers", lambda num: print("RAN in", uwsgi.worker_id(), flush=True))

def forked():
    if uwsgi.worker_id() == 1:
        uwsgi.signal_wait()
        print("WAITED", uwsgi.signal_received(), flush=True)
    `+raises+`

uwsgi.post_fork_hook = forked

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
`)
			s.LooseFDs() // its mules come after it is ready
			s.Start("--http", addr, "--module", "app", "--master", "-p", "1", "--mules", "1", "--spooler", "jobs")
			for range 2 {
				mark := s.Log.Mark()
				if a := harness.HTTP(t, addr).Get("/"); a.Body != "served" {
					t.Error(a.Line)
				}
				s.Log.Wait(t, `^WAITED 17$`)
				s.Reload()
				s.Log.WaitFrom(t, mark, `^WAITED 17$`)
			}
		})
	}
}

// TestForkedBesides: a child that the application forks in a message, a job or a handler, and that
// comes back from there, ends: it takes nothing of what its parent has in hand.
func TestForkedBesides(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("jobs/.keep", "")
	s.Write("app.py", `
import os, sys, time, uwsgi

def forks(*args):
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        if os.path.exists("exits"):
            sys.exit(3)
        return uwsgi.SPOOL_OK
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 3 * os.path.exists("exits"), status
    print("PARENT", uwsgi.mule_id(), parent == os.getpid(), flush=True)
    return uwsgi.SPOOL_OK

async def waits(*args):
    return forks()

uwsgi.mule_msg_hook = forks
uwsgi.spooler = lambda job: waits() if "waits" in job else forks()
uwsgi.post_fork_hook = lambda: uwsgi.worker_id() or forks()
uwsgi.register_signal(1, "mule", forks)
uwsgi.register_signal(2, "spooler", forks)
uwsgi.register_signal(3, "mule", waits)
uwsgi.register_signal(4, "spooler", waits)
puts = {"/message": lambda: uwsgi.mule_msg(b"x"), "/job": lambda: uwsgi.spool({b"n": b"1"}),
    "/handler": lambda: uwsgi.signal(1), "/spooler": lambda: uwsgi.signal(2),
    "/coroutine": lambda: uwsgi.spool({b"waits": b"1"}), "/mule": lambda: uwsgi.signal(3),
    "/waits": lambda: uwsgi.signal(4)}

def application(environ, start_response):
    puts[environ["PATH_INFO"]]()
    start_response("200 OK", [])
    return [b"put"]
`)
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "--mules", "1", "--spooler", "jobs")
	get := harness.HTTP(t, addr).Get
	const ends = `^pid \d+ was forked by the application in (mule|spooler) 1, and has returned from there: it ends$`
	harness.Eventually(t, "both have forked as they began", func() bool {
		return s.Log.Count(`^PARENT`) == 2 && s.Log.Count(ends) == 2
	})
	for range 2 {
		for _, path := range []string{"/message", "/job", "/handler", "/spooler", "/coroutine", "/mule", "/waits"} {
			mark := s.Log.Mark()
			if a := get(path); a.Body != "put" {
				t.Error(a.Line)
			}
			s.Log.WaitFrom(t, mark, ends)
			s.Log.WaitFrom(t, mark, `^PARENT [01] True$`)
		}
		s.Write("exits", "")
	}
	noJobs(t, s)
	if n := s.Log.Count(`^PARENT`); n != 16 {
		t.Errorf("it came back %d times", n)
	}
}
