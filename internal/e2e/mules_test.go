package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// herd is an application whose requests send messages: /N?TEXT to mule N, /f?TEXT to the farm f,
// /call?N a call of N bytes, /fill?N fills mule N's queue. Each mule tells what it got.
const herd = `
import os, time, uwsgi
from uwsgidecorators import mulefunc

def heard(message):
    text = message.decode()
    print("HEARD", text[:40], uwsgi.mule_id(), os.getpid(), flush=True)
    if text.startswith("hang"):
        time.sleep(600)
    if text == "fatal":
        os.kill(os.getpid(), 9)
    if text == "hold":
        while not os.path.exists("go"):
            time.sleep(0.01)  # why: a file has no event to wait for
        print("DONE", text, flush=True)
    if text == "busy":
        time.sleep(0.5)  # why: it is busy for a while after it was told to leave
        print("DONE", text, flush=True)

@mulefunc
def work(data, key=None):
    print("WORKED", len(data), key, uwsgi.mule_id() > 0, flush=True)

dispatch = uwsgi.mule_msg_hook
uwsgi.mule_msg_hook = lambda m: dispatch(m) if m[:1] == b"\x80" else heard(m)

def application(environ, start_response):
    path, query = environ["PATH_INFO"][1:], environ["QUERY_STRING"]
    if path == "call":
        sent = work(b"x" * int(query), key="k")
    elif path == "f":
        sent = uwsgi.mule_msg(query.encode(), b"f")
    elif path == "fill":
        sent = 0
        while uwsgi.mule_msg(b"z" * 1000, int(query)):
            sent += 1
    else:
        sent = uwsgi.mule_msg(query.encode(), int(path))
    start_response("200 OK", [])
    return [repr(sent).encode()]
`

// startHerd starts it; ask sends a message and wants that answer.
func startHerd(t *testing.T, args ...string) (s *harness.Server, ask func(path, want string)) {
	t.Helper()
	s = harness.New(t)
	addr := harness.Addr(t)
	s.Write("app.py", herd)
	s.LooseFDs() // its mules come after it is ready
	s.Start(append([]string{"--http", addr, "--module", "app", "--master"}, args...)...)
	return s, func(path, want string) {
		t.Helper()
		if a := harness.HTTP(t, addr).Get(path); a.Body != want {
			t.Errorf("%s: %q, and not %q", path, a.Body, want)
		}
	}
}

// pidOf is the process of a mule that the log tells of first, from a mark on.
func pidOf(t *testing.T, s *harness.Server, mark, mule int) int {
	t.Helper()
	m := s.Log.WaitFrom(t, mark, fmt.Sprintf(`pawned uWSGI mule %d \((?:new )?pid: (\d+)\)`, mule))
	pid, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestMules: messages get to the mule, to any and to one of a farm, a call's arguments however
// long, with the application imported before and after the fork.
func TestMules(t *testing.T) {
	for _, lazy := range [][]string{nil, {"--lazy-apps"}} {
		t.Run(strings.Join(lazy, ""), func(t *testing.T) {
			t.Parallel()
			s, ask := startHerd(t, append([]string{"--mules", "2", "--mule", "--farm", "f:2,3"}, lazy...)...)
			ask("/2?two", "True")
			s.Log.Wait(t, `^HEARD two 2 \d+$`)
			ask("/0?any", "True")
			s.Log.Wait(t, `^HEARD any [123] \d+$`)
			ask("/f?farm", "True")
			s.Log.Wait(t, `^HEARD farm [23] \d+$`)
			for _, n := range []string{"10", "70000", "3000000"} {
				ask("/call?"+n, "True")
				s.Log.Wait(t, `^WORKED `+n+` k True$`)
			}
		})
	}
}

// TestMulePrograms: a script is __main__ in its mule, a function is called; one that ends is
// started again, later and later.
func TestMulePrograms(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	addr := harness.Addr(t)
	s.Write("app.py", herd+"\ndef program():\n    print('FUNCTION', uwsgi.mule_id(), flush=True)\n    while True:\n"+
		"        print('GOT', uwsgi.mule_get_msg(timeout=600), flush=True)\n")
	s.Write("script.py", "import uwsgi\nprint('SCRIPT', __name__, uwsgi.mule_id(), uwsgi.worker_id(), flush=True)\n")
	s.LooseFDs() // its mules come after it is ready
	s.Allow(`^OOOPS mule 1 .* exited with status 0`)
	s.Start("--http", addr, "--module", "app", "--mule=script.py", "--mule=app:program()")
	s.Log.Wait(t, `^SCRIPT __main__ 1 0$`)
	s.Log.Wait(t, `^FUNCTION 2$`)
	s.Log.Wait(t, `^mule 1 ends too soon: it is started again in 250ms$`)
	s.Log.Wait(t, `^mule 1 ends too soon: it is started again in 500ms$`)
	if a := harness.HTTP(t, addr).Get("/2?m"); a.Body != "True" {
		t.Errorf("%q", a.Body)
	}
	s.Log.Wait(t, `^GOT b'm'$`)
}

// TestAMessageOutlivesItsMule: what a mule had in hand when it was killed, and what waits, is given
// to the next, once; what kills three of them is given up.
func TestAMessageOutlivesItsMule(t *testing.T) {
	t.Parallel()
	s, ask := startHerd(t, "--mules", "1")
	ask("/1?hang", "True")
	mark := 0
	for range 3 {
		pid := pidOf(t, s, mark, 1)
		s.Log.Wait(t, fmt.Sprintf(`^HEARD hang 1 %d$`, pid))
		if mark == 0 {
			ask("/1?after", "True")
		}
		mark = s.Log.Mark()
		harness.Signal(t, pid, syscall.SIGKILL)
		s.Tolerate(`^OOOPS mule 1 .* killed by signal 9`)
	}
	s.Log.Wait(t, `^mule 1: a message of 4 bytes has ended 3 processes, and is given up$`)
	s.Log.Wait(t, `^HEARD after 1 `)
	if n := s.Log.Count(`^HEARD after `); n != 1 {
		t.Errorf("it was given %d times", n)
	}
}

// TestMuleQueueFull: a full queue refuses, and what it has taken is still there after a reload.
func TestMuleQueueFull(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	addr := harness.Addr(t)
	s.Write("app.py", herd)
	s.LooseFDs() // its mules come after it is ready
	s.Start("--http", addr, "--module", "app", "--master", "--mules", "1")
	get := harness.HTTP(t, addr).Get
	get("/1?hold")
	s.Log.Wait(t, `^HEARD hold `)
	n, err := strconv.Atoi(get("/fill?1").Body)
	if err != nil || n < 10 {
		t.Fatalf("%d messages fit: %v", n, err)
	}
	if a := get("/1?" + strings.Repeat("y", 1000)); a.Body != "False" {
		t.Errorf("a full queue says %s", a.Body)
	}
	s.Log.Wait(t, `^the queue of messages \(mule 1\) is full: the message is refused$`)
	s.Reload()
	s.Write("go", "")
	s.Log.Wait(t, `^DONE hold$`)
	harness.Eventually(t, "all messages are given", func() bool { return s.Log.Count(`^HEARD zzz`) >= n })
	get("/1?end")
	s.Log.Wait(t, `^HEARD end `)
	if given := s.Log.Count(`^HEARD zzz`); given != n {
		t.Errorf("%d of %d messages were given", given, n)
	}
	if held := s.Log.Count(`^HEARD hold `); held != 1 {
		t.Errorf("what was done at the reload was given %d times", held)
	}
}

// TestMuleHarakiri: a mule that takes too long for a message is ended, and the log shows where it
// was.
func TestMuleHarakiri(t *testing.T) {
	t.Parallel()
	s, ask := startHerd(t, "--mules", "1", "--mule-harakiri", "1")
	s.Allow(`^\*\*\* HARAKIRI ON MULE 1 `, `^OOOPS mule 1 .* killed by signal 9`)
	ask("/1?hang", "True")
	s.Log.Wait(t, `^\*\*\* HARAKIRI ON MULE 1 \(pid: \d+\): busy for \d+ seconds \*\*\*$`)
	s.Log.Wait(t, `^  File ".*app.py", line \d+ in heard$`)
	s.Log.Wait(t, `^Respawned uWSGI mule 1 `)
}

// TestBusyMuleAtAStop: a mule finishes its message, and then ends, at a reload and at a stop.
func TestBusyMuleAtAStop(t *testing.T) {
	t.Parallel()
	s, ask := startHerd(t, "--mules", "1")
	ask("/1?busy", "True")
	s.Log.Wait(t, `^HEARD busy `)
	s.Reload()
	s.Log.Wait(t, `^DONE busy$`)
	mark := s.Log.Mark()
	s.Log.Wait(t, `^Respawned uWSGI mule 1 `)
	ask("/1?busy", "True")
	s.Log.WaitFrom(t, mark, `^HEARD busy `)
	s.Signal(syscall.SIGTERM)
	s.Log.WaitFrom(t, mark, `^DONE busy$`)
	s.Log.WaitFrom(t, mark, `^mule 1 \(pid: \d+\) buried after \d+ seconds$`)
	if n := s.Log.Count(`^HEARD busy `); n != 2 {
		t.Errorf("two messages were given %d times", n)
	}
}

// TestNoMules: who uses none has nothing of them.
func TestNoMules(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import sys, uwsgi
def application(environ, start_response):
    start_response("200 OK", [])
    try:
        uwsgi.mule_msg(b"x")
    except ValueError as exc:
        return [("%s %s %s" % (exc, uwsgi.mule_id(), uwsgi.in_farm())).encode()]
`)
	s.Start("--http", addr, "--module", "app", "--master")
	if a := harness.HTTP(t, addr).Get("/"); a.Body != "no mule configured 0 None" {
		t.Errorf("%q", a.Body)
	}
	if n := len(s.Processes()); n != 3 {
		t.Errorf("there are %d processes", n)
	}
}

// TestMulesAlone: an instance whose mules are what it is for needs no application, unless it says
// that it does; a mule of no farm waits for a farm's messages until it is told to leave.
func TestMulesAlone(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.LooseFDs() // the mule's come after it is ready
	s.Write("beside.py", "import sys, uwsgi\nprint('the mule waits', file=sys.stderr, "+
		"flush=True)\nuwsgi.farm_get_msg()\n")
	s.Start("--master", "--mule=beside.py", "--socket", harness.Addr(t))
	s.Log.Wait(t, `^the mule waits$`)
	s.Reload()
	s.Log.Wait(t, `^mule 1 \(pid: \d+\) buried after `)

	needs := harness.New(t)
	needs.Allow("GAME OVER", "^no application is configured")
	needs.Launch("--master", "--mule", "--need-app", "--socket", harness.Addr(t))
	if code := needs.Exit(); code != 22 {
		t.Errorf("with need-app it ends with %d", code)
	}
}

// TestMuleHandlers: a program's own handler of the signal that uWSGI ends mules by is called, and
// what it waits for ends.
func TestMuleHandlers(t *testing.T) {
	for _, name := range []string{"SIGTERM", "SIGINT", "SIGHUP"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.LooseFDs() // the mule's come after it is ready
			s.Write("beside.py", "import signal, sys, uwsgi\n"+
				"def told(number, frame):\n    print('told', number == signal."+name+", file=sys.stderr, flush=True)\n"+
				"signal.signal(signal."+name+", told)\nprint('the mule waits', file=sys.stderr, flush=True)\n"+
				"uwsgi.mule_get_msg()\n")
			s.Start("--master", "--mule=beside.py", "--socket", harness.Addr(t))
			s.Log.Wait(t, `^the mule waits$`)
			s.Reload()
			s.Log.Wait(t, `^told True$`)
			s.Log.Wait(t, `^mule 1 \(pid: \d+\) buried after `)
		})
	}
}

// TestAttendantsAsk: a mule and a job may have the instance reloaded or stopped, a script stopped;
// a job is done first.
func TestAttendantsAsk(t *testing.T) {
	const asks = `
import os, sys, uwsgi
def ask(job=None):
    if os.path.exists(asked):
        return -2
    open(asked, "w").close()
    print("ASKS", uwsgi.%s(), file=sys.stderr, flush=True)
    return -2
asked = os.path.join(os.getcwd(), "asked")
`
	for kind, args := range map[string][]string{
		"mule": {"--mule=asks.py"}, "spooler": {"--spooler", "jobs", "--import", "asks.py"}, "script": {"--pyrun", "asks.py"},
	} {
		for _, what := range []string{"reload", "stop"} {
			if kind == "script" && what == "reload" {
				continue // it runs once
			}
			t.Run(kind+" "+what, func(t *testing.T) {
				t.Parallel()
				s := harness.New(t)
				s.LooseFDs() // those of mules and spoolers come after it is ready
				s.Write("app.py", hello)
				s.Write("jobs/.keep", "")
				text := fmt.Sprintf(asks, what)
				if kind == "spooler" {
					text += "uwsgi.spooler = ask\nos.path.exists(asked) or uwsgi.spool({b'a': b'b'})\n"
				} else {
					text += "ask()\nuwsgi.signal_wait()\n"
				}
				s.Write("asks.py", text)
				s.Launch(append([]string{"--master", "--socket", harness.Addr(t), "--module", "app"}, args...)...)
				if kind == "spooler" { // the others may be ended before they say so
					s.Log.Wait(t, "^ASKS True$")
				}
				if what == "reload" {
					s.Log.Wait(t, `^gracefully \(RE\)spawned uWSGI master process`)
					return
				}
				if code := s.Exit(); code != 0 {
					t.Errorf("it ends with %d", code)
				}
			})
		}
	}
}

// TestFewerMules: what waits for a mule that a reload does away with is given to another, once.
func TestFewerMules(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", herd)
	ini := "[uwsgi]\nhttp = " + addr + "\nmodule = app\nmaster = true\nmules = "
	s.Write("x.ini", ini+"2\n")
	s.LooseFDs() // its mules come after it is ready
	s.Tolerate(`messages for mules or farms that are no more`)
	s.Start("--ini", "x.ini")
	get := harness.HTTP(t, addr).Get
	get("/2?hold")
	s.Log.Wait(t, `^HEARD hold 2 `)
	for _, text := range []string{"one", "two", strings.Repeat("x", 5000)} {
		get("/2?" + text)
	}
	s.Write("x.ini", ini+"1\n")
	s.Reload()
	s.Write("go", "")
	for _, line := range []string{"DONE hold", `HEARD one [12] \d+`, `HEARD two [12] \d+`, `HEARD x+ [12] \d+`} {
		s.Log.Wait(t, `^`+line+`$`)
	}
	if n := s.Log.Count(`^HEARD (one|two|x)`); n != 3 {
		t.Errorf("three messages were given %d times", n)
	}
}

// TestMuleProgramsThatAreNone: what cannot be run is told in one line that names the option; the
// others run, and so does the application.
func TestMuleProgramsThatAreNone(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", herd)
	s.Write("bad.py", "x = 1\nthis is ( no python\n")
	s.Write("needs.py", "import no_module_of_that_name\n")
	s.LooseFDs() // its mules come after it is ready
	said := []string{
		`mule 1: mule = nothere\.py: No such file or directory`,
		`mule 2: mule = bad\.py: line 2: .+`,
		`mule 3: mule = nothere:run\(\): there is no module nothere`,
		`mule 4: mule = app:none\(\): there is no none in app`,
		`mule 5: mule = app:herd\.x\(\): there is no herd in app`,
		`ModuleNotFoundError: No module named 'no_module_of_that_name'`,
	}
	s.Tolerate(`ModuleNotFoundError`)
	s.Allow(`^OOOPS mule [1-6] .* exited with status 1`)
	s.Start("--http", addr, "--module", "app", "--master", "--mule=nothere.py", "--mule=bad.py", "--mule=nothere:run()",
		"--mule=app:none()", "--mule=app:herd.x()", "--mule=needs.py", "--mule")
	for _, line := range said {
		s.Log.Wait(t, `^`+line+`$`)
	}
	if a := harness.HTTP(t, addr).Get("/7?runs"); a.Body != "True" {
		t.Error(a.Line)
	}
	s.Log.Wait(t, `^HEARD runs 7 `)
}
