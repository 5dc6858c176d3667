package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/spool"
)

// spoolerApp puts jobs; each writes a line when it runs: who ran it and what it got. It imports and
// runs under uWSGI, too.
const spoolerApp = `
import os, signal, sys, time
import uwsgi
from uwsgidecorators import spool, spoolraw

def note(text):
    fd = os.open(os.path.join(HERE, "ran"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, (text + "\n").encode())
    os.close(fd)

HERE = os.path.dirname(os.path.abspath(__file__))
WHO = os.environ.get("WHO", "ours")

@spool
def plain(args):
    note("%s plain %s %s %s" % (WHO, args["n"], args["body"], os.getcwd() == uwsgi.spoolers[0].decode()))

@spool(pass_arguments=True)
def pickled(a, b=0):
    note("%s pickled %d" % (WHO, a + b))

@spoolraw
def failing(args):
    note("failing")
    raise ValueError("it fails")

@spoolraw
def deadly(args):
    note("deadly")
    if not os.path.exists(os.path.join(HERE, "alive")):
        open(os.path.join(HERE, "alive"), "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return uwsgi.SPOOL_OK

@spoolraw
def stuck(args):
    note("stuck")
    while not os.path.exists(os.path.join(HERE, "free")):
        time.sleep(0.01)
    note("freed")
    return uwsgi.SPOOL_OK

def application(environ, start_response):
    what = environ["PATH_INFO"].strip("/")
    try:
        if what == "plain":
            for n in range(3):
                plain({"n": str(n)}, body="x" * 100000)
        elif what == "pickled":
            pickled(40, b=2)
        elif what == "later":
            plain(n="9", body="later", at=str(int(time.time()) + 2))
        elif what == "priority":
            plain(n="7", body="first", priority="4")
        elif what == "raw":
            return answer(start_response, uwsgi.spool({b"ud_spool_func": b"plain", b"ud_spool_ret": b"-2", b"n": b"5", b"body": b"raw"}))
        elif what == "bad":
            uwsgi.spool({b"a": "text"})
        else:
            globals()[what]()
    except ValueError as exc:
        return answer(start_response, str(exc).encode())
    return answer(start_response, b"put")

def answer(start_response, body):
    start_response("200 OK", [])
    return [body]
`

// spoolerSite is a folder with the application and a spool folder.
func spoolerSite(t *testing.T) *harness.Server {
	t.Helper()
	s := harness.New(t)
	s.LooseFDs() // the spooler's processes come after it is ready
	s.Write("app.py", spoolerApp)
	if err := os.Mkdir(s.Path("jobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// ranJobs are the lines that jobs have written.
func ranJobs(s *harness.Server) []string {
	text, _ := os.ReadFile(s.Path("ran"))
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func waitRan(t *testing.T, s *harness.Server, line string, times int) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("%d lines %q, there is %q", times, line, ranJobs(s)), func() bool {
		n := 0
		for _, l := range ranJobs(s) {
			if strings.HasPrefix(l, line) {
				n++
			}
		}
		return n >= times
	})
}

func spooled(t *testing.T, s *harness.Server) []spool.Job {
	t.Helper()
	f, err := spool.Open(s.Path("jobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	jobs, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func noJobs(t *testing.T, s *harness.Server) {
	t.Helper()
	harness.Eventually(t, "an empty folder", func() bool { return len(spooled(t, s)) == 0 })
}

// TestSpooler: what is put is run at once, though the spooler looks every hour by itself only.
func TestSpooler(t *testing.T) {
	t.Parallel()
	s, addr := spoolerSite(t), harness.Addr(t)
	s.Start("--http", addr, "--module", "app", "-p", "2", "--spooler", "jobs", "--spooler-frequency", "3600")
	s.Log.Wait(t, `^spawned the uWSGI spooler on dir .*/jobs with pid \d+$`)
	site := harness.HTTP(t, addr)
	for _, path := range []string{"/plain", "/pickled", "/priority", "/later"} {
		if a := site.Get(path); a.Body != "put" {
			t.Fatalf("%s: %s %q", path, a.Line, a.Body)
		}
	}
	for _, n := range []string{"0", "1", "2"} {
		waitRan(t, s, "ours plain "+n+" "+strings.Repeat("x", 100000)+" True", 1)
	}
	waitRan(t, s, "ours pickled 42", 1)
	waitRan(t, s, "ours plain 7 first", 1)
	waitRan(t, s, "ours plain 9 later", 1)
	if a := site.Get("/bad"); a.Body != "spooler callable dictionary must contains only bytes" {
		t.Errorf("%s %q", a.Line, a.Body)
	}
	noJobs(t, s)
}

// TestSpoolerSync: a job is on the disk, and so is its name, before uwsgi.spool() returns; with
// spooler-sync=false it waits for no disk.
func TestSpoolerSync(t *testing.T) {
	for args, want := range map[string]string{"--spooler-sync": "2", "--spooler-sync=false": "0", "": "2"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.LooseFDs() // the spooler's come after it is ready
			s.Write("jobs/.keep", "")
			s.Write("app.py", `
import os, uwsgi
synced = []
fsync = os.fsync
def counted(fd):
    synced.append(fd)
    fsync(fd)
os.fsync = counted
uwsgi.spooler = lambda job: uwsgi.SPOOL_OK
def application(environ, start_response):
    start_response("200 OK", [])
    synced.clear()
    uwsgi.spool({b"a": b"b"})
    return [b"%d" % len(synced)]
`)
			s.Start(append(strings.Fields(args), "--http", addr, "--module", "app", "--master", "--spooler", "jobs")...)
			if a := harness.HTTP(t, addr).Get("/"); a.Body != want {
				t.Errorf("it syncs %s times, not %s", a.Body, want)
			}
		})
	}
}

// TestSpoolerDrainsUWSGIsFolder: jobs that uWSGI has put are run here.
func TestSpoolerDrainsUWSGIsFolder(t *testing.T) {
	t.Parallel()
	s, addr, theirs := spoolerSite(t), harness.Addr(t), harness.Addr(t)
	// It serves the folder only as somebody else's.
	realUWSGI(t, s, theirs, "--spooler", s.Write("none/.keep", "")[:len(s.Path("none"))],
		"--spooler-external", s.Path("jobs"))
	for n := range 3 {
		put := fmt.Sprintf("import uwsgi\nprint(uwsgi.spool({b'spooler': %q.encode(), b'ud_spool_func': b'plain', "+
			"b'ud_spool_ret': b'-2', b'n': b'%d', b'body': b'theirs'}))",
			s.Path("jobs"), n)
		if a := harness.HTTP(t, theirs).Do("POST", "/eval", strings.NewReader(put)); a.Status != 200 {
			t.Fatalf("%s %q", a.Line, a.Body)
		}
	}
	if n := len(spooled(t, s)); n != 3 {
		t.Fatalf("uWSGI has put %d jobs", n)
	}
	s.Start("--http", addr, "--module", "app", "--spooler", "jobs")
	for n := range 3 {
		waitRan(t, s, fmt.Sprintf("ours plain %d theirs True", n), 1)
	}
	noJobs(t, s)
}

// TestUWSGIDrainsOurFolder: jobs that were put here are run by uWSGI.
func TestUWSGIDrainsOurFolder(t *testing.T) {
	t.Parallel()
	s, addr, theirs := spoolerSite(t), harness.Addr(t), harness.Addr(t)
	s.Start("--http", addr, "--module", "app", "--spooler-external", "jobs")
	for _, path := range []string{"/plain", "/pickled", "/raw", "/later"} {
		if a := harness.HTTP(t, addr).Get(path); a.Status != 200 || a.Body != "put" &&
			!strings.Contains(a.Body, "uwsgi_spoolfile_on_") {
			t.Fatalf("%s: %s %q", path, a.Line, a.Body)
		}
	}
	realUWSGI(t, s, theirs, "--spooler", s.Path("jobs"), "--spooler-frequency", "1")
	for n := range 3 {
		waitRan(t, s, fmt.Sprintf("theirs plain %d %s True", n, strings.Repeat("x", 100000)), 1)
	}
	waitRan(t, s, "theirs pickled 42", 1)
	waitRan(t, s, "theirs plain 5 raw", 1)
	waitRan(t, s, "theirs plain 9 later", 1)
	noJobs(t, s)
}

// realUWSGI starts uWSGI with the application of s until the test ends. /eval of it runs the body.
func realUWSGI(t *testing.T, s *harness.Server, addr string, args ...string) {
	t.Helper()
	s.Write("theirs.py", `
import app

def application(environ, start_response):
    exec(environ["wsgi.input"].read())
    start_response("200 OK", [])
    return [b"done"]
`)
	cmd := exec.Command("uwsgi-core", append([]string{"--plugins", "python3,http", "--die-on-term",
		"--master", "--http-socket", addr,
		"--chdir", s.Dir, "--module", "theirs"}, args...)...)
	// Debian has uWSGI's decorators in a package of their own; ours run there, too.
	decorators, err := os.ReadFile("../python/uwsgidecorators.py")
	if err != nil {
		t.Fatal(err)
	}
	s.Write("theirs/uwsgidecorators.py", string(decorators))
	cmd.Env = append(os.Environ(), "WHO=theirs", "PYTHONPATH="+s.Path("theirs"))
	log, err := os.Create(s.Path("theirs.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("uWSGI:\n%s", text)
		}
	})
	harness.Eventually(t, "uWSGI", func() bool { return listens(addr) })
}

func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// TestSpoolerFailures: a job that fails is tried again and given up, one that kills its process is
// run again, and uwsgi spool shows and retries them.
func TestSpoolerFailures(t *testing.T) {
	t.Parallel()
	s, addr := spoolerSite(t), harness.Addr(t)
	s.Allow(`OOOPS the spooler`, `Traceback`)
	s.Start("--http", addr, "--module", "app", "--spooler", "jobs", "--spooler-frequency", "1",
		"--spooler-attempts", "2")
	site := harness.HTTP(t, addr)
	site.Get("/deadly")
	waitRan(t, s, "deadly", 2)
	s.Log.Wait(t, `^OOOPS the spooler is no more\.\.\.trying respawn\.\.\. \(pid: \d+, it was killed by .*\)$`)
	site.Get("/failing")
	s.Log.Wait(t, `uwsgi_spoolfile_on_.* failed 2 times: given up`)
	jobs := spooled(t, s)
	if len(jobs) != 1 || jobs[0].State != spool.Failed || !strings.Contains(jobs[0].Why, "ValueError: it fails") {
		t.Fatalf("%+v", jobs)
	}
	out, err := s.Command("spool", "jobs", "show", filepath.Base(jobs[0].Name)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ud_spool_func = failing") ||
		!strings.Contains(string(out), "ValueError: it fails") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := s.Command("spool", "jobs", "retry", "--failed").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	waitRan(t, s, "failing", 3)
	harness.Eventually(t, "it is given up again", func() bool {
		jobs := spooled(t, s)
		return len(jobs) == 1 && jobs[0].State == spool.Failed
	})
	if out, err := s.Command("spool", "jobs", "drop", "--failed").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	noJobs(t, s)
}

// TestSpoolerReload: a job in hand is finished, though the code is reloaded, and not run beside
// that; a stop waits for it.
func TestSpoolerReload(t *testing.T) {
	t.Parallel()
	s, addr := spoolerSite(t), harness.Addr(t)
	s.Start("--http", addr, "--module", "app", "--spooler", "jobs", "--spooler-frequency", "1")
	site := harness.HTTP(t, addr)
	site.Get("/stuck")
	waitRan(t, s, "stuck", 1)
	s.Reload()
	site.Get("/raw")
	waitRan(t, s, "ours plain 5 raw", 1) // by a process of the new generation, which looks at the other job, too
	s.Write("free", "")
	waitRan(t, s, "freed", 1)
	noJobs(t, s)
	if got := strings.Count(strings.Join(ranJobs(s), "\n"), "stuck"); got != 1 {
		t.Errorf("it was run %d times: %q", got, ranJobs(s))
	}
}

// TestSpoolerHarakiri: a job that takes too long is killed, its stack logged, and run again.
func TestSpoolerHarakiri(t *testing.T) {
	t.Parallel()
	s, addr := spoolerSite(t), harness.Addr(t)
	s.Allow(`OOOPS the spooler`, `HARAKIRI`)
	s.Start("--http", addr, "--module", "app", "--spooler", "jobs", "--spooler-frequency", "1",
		"--spooler-harakiri", "2")
	harness.HTTP(t, addr).Get("/stuck")
	s.Log.Wait(t, `^\*\*\* HARAKIRI ON THE SPOOLER \(pid: \d+\) \*\*\*$`)
	s.Log.Wait(t, `app\.py", line \d+ in stuck`)
	waitRan(t, s, "stuck", 2)
	s.Write("free", "")
	waitRan(t, s, "freed", 1)
	noJobs(t, s)
}
