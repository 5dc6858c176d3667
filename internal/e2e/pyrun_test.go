package e2e

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// pyrunFunctions is a script that uses what the instance around it has.
const pyrunFunctions = `
import os, sys
import uwsgi
print(__name__, __file__, sys.argv, uwsgi.worker_id(), uwsgi.mule_id(), uwsgi.numproc)
print(uwsgi.workers()[0]["pid"] == os.getpid(), uwsgi.opt["pyrun"], sys.modules["__main__"].__file__)
import beside
print("cache", uwsgi.cache_set("k", b"v"), uwsgi.cache_get("k"), uwsgi.cache_get("other"))
print("queue", uwsgi.queue_push(b"q"), uwsgi.queue_pop())
uwsgi.metric_inc("visits")
print("metric", uwsgi.metric_get("visits"))
uwsgi.lock()
print("lock", uwsgi.is_locked())
uwsgi.unlock()
uwsgi.register_rpc("f", lambda word: word + b"!")
print("rpc", uwsgi.call(b"f", b"hello"))
uwsgi.register_signal(5, "worker1", lambda n: print("signal", n))
uwsgi.signal(5)
uwsgi.signal_wait()
try:
    uwsgi.signal(5, "/another/server")
except OSError as exc:
    print("no", exc)
print("mule", uwsgi.mule_msg(b"from the script"))
print("spool", b"/jobs/uwsgi_spoolfile_on_" in uwsgi.spool({b"word": b"from the script"}))
uwsgi.signal_wait(6)  # raised by the spooler once both were there
sys.stdout.flush()
if os.fork() == 0:
    print("child")
    sys.exit(9)
os.wait()
print("stdin", sys.stdin.read())
sys.exit(3)
`

const pyrunServices = `
import os, time
import beside  # of the script's folder
import uwsgi

here = os.getcwd()  # a job runs in its folder

def mule(message):
    open(here + "/of-mule", "wb").write(message)

def spooler(job):
    while not os.path.exists(here + "/of-mule"):
        time.sleep(0.01)
    open(here + "/of-spooler", "wb").write(job[b"word"])
    uwsgi.signal(6)
    return uwsgi.SPOOL_OK

uwsgi.mule_msg_hook, uwsgi.spooler = mule, spooler
application = mule
`

// TestPyrun: a script has the uwsgi module and what the configuration has beside it, the streams of
// its caller, and an exit status of its own; a server with the same configuration may run
// meanwhile.
func TestPyrun(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("deploy/script.py", pyrunFunctions)
	s.Write("deploy/beside.py", "")
	s.Write("app.py", pyrunServices)
	if err := os.Mkdir(s.Path("jobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.Write("u.ini", "[uwsgi]\nmaster = true\nhttp-socket = "+l.Addr().String()+"\nwsgi-file = app.py\nlogto = u.log\n"+
		"pidfile = pid\nstats = stats.sock\nprocesses = 2\ncache2 = name=c,items=10\nqueue = 4\nmetric = visits\n"+
		"mule = true\nspooler = jobs\n")
	cmd := s.Command("u.ini", "--pyrun", "deploy/script.py", "--pyargv", "one two")
	cmd.Stdin = strings.NewReader("typed")
	out, errs, code := outcome(t, cmd)
	want := `__main__ deploy/script.py ['deploy/script.py', 'one', 'two'] 1 0 1
True b'deploy/script.py' deploy/script.py
cache True b'v' None
queue True b'q'
metric 1
lock True
rpc b'hello!'
signal 5
no unable to deliver signal 5 to node /another/server
mule True
spool True
child
stdin typed
`
	if code != 3 || out != want {
		t.Errorf("exit status %d, it prints\n%s\nwant\n%s\n%s", code, out, want, errs)
	}
	for name, text := range map[string]string{"of-mule": "from the script", "of-spooler": "from the script"} {
		if got := readFile(t, s.Path(name)); got != text {
			t.Errorf("%s has %q", name, got)
		}
	}
	for _, name := range []string{"pid", "stats.sock", "u.log"} {
		if harness.Exists(s.Path(name)) {
			t.Errorf("it makes %s, which is the server's", name)
		}
	}
	if pids := s.Processes(); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

var spawned = regexp.MustCompile(`spawned uWSGI .*\n`)

// TestPyrunEnds: how a script ends is how the command ends.
func TestPyrunEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		code   int
		says   string // the end of what it writes to standard error, before the server's goodbye
	}{
		"returns": {"print(1)", 0, ""},
		"raises": {"x = 1\nraise ValueError('so')", 1, "Traceback (most recent call last):\n" +
			"  File \"s.py\", line 2, in <module>\n    raise ValueError('so')\nValueError: so\n"},
		"no python": {"x = (", 1, "SyntaxError: '(' was never closed\n"},
		"words":     {"raise SystemExit('words')", 1, "words\n"},
		"killed":    {"import os; os.kill(os.getpid(), 9)", 137, "the script s.py was killed by signal 9"},
		"a hook": {"import sys\nsys.excepthook = lambda *e: print('hook', e[0].__name__, file=sys.stderr)\n1 / 0", 1,
			"hook ZeroDivisionError\n"},
		"broken app": {"print(1)", 0, "No module named 'nosuch'"},
		"interrupt":  {"raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"},
		"a thread": {"import sys, threading, time\ndef late():\n    time.sleep(0.1)\n" +
			"    print('late', file=sys.stderr)\nthreading.Thread(target=late).start()", 0, "late\n"},
		"exits": {"import atexit, sys\natexit.register(lambda: print('bye', file=sys.stderr))", 0, "bye\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Write("s.py", c.script)
			args := []string{"--pyrun", "s.py"}
			if name == "broken app" {
				args = append(args, "--module", "nosuch")
			}
			_, errs, code := outcome(t, s.Command(args...))
			if code != c.code {
				t.Errorf("exit status %d, want %d:\n%s", code, c.code, errs)
			}
			// the supervisor may tell of the fork in the middle of what the script says
			if !strings.Contains(spawned.ReplaceAllString(errs, ""), c.says) {
				t.Errorf("no %q in\n%s", c.says, errs)
			}
		})
	}
}

// TestPyrunStops: SIGTERM to the command ends the script, which may clean up.
func TestPyrunStops(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("s.py", "import time\ntry:\n    open('there', 'w')\n    time.sleep(60)\nfinally:\n    open('clean', 'w')\n")
	cmd := s.Command("--pyrun", "s.py")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the script to run", func() bool { return harness.Exists(s.Path("there")) })
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil || !harness.Exists(s.Path("clean")) {
		t.Errorf("%v, cleaned up: %v", err, harness.Exists(s.Path("clean")))
	}
}

// outcome is what a command prints, and its exit status.
func outcome(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
