package e2e

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

var earlyPhases = []string{"asap", "pre-jail", "in-jail", "as-root", "as-user", "pre-app", "post-app"}

const hooked = `
import os
with open(os.environ["NOTES"], "a") as f:
    f.write("the application, %s\n" % os.environ.get("PUT"))
def application(environ, start_response):
    start_response("200 OK", [])
    return [os.getcwd().encode()]
`

// TestHookOrder: the phases of a start, a reload and a stop, in uWSGI's order; the folder of a
// socket may be made as root; a relative socket and the pidfiles but the first lie in the
// application's folder, the hooks before run where the start was.
func TestHookOrder(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	s := harness.New(t)
	s.Write("site/app.py", hooked)
	notes := s.Write("notes", "")
	if err := os.Chmod(s.Path("site"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(notes, 0o666); err != nil {
		t.Fatal(err)
	}
	ini := "[uwsgi]\nmodule = app\nmaster = true\nchdir = site\nprocesses = 1\nsocket = %d/made/one.sock\nsocket = " +
		"two.sock\nchmod-socket = 666\nvacuum = true\n" +
		"env = NOTES=" + notes + "\npidfile = first.pid\npidfile2 = second.pid\nsafe-pidfile = third.pid\nuid = www-data\ngid = www-data\nhook-asap = putenv:PUT=well\nexec-as-root = mkdir made\n"
	for _, p := range slices.Concat(earlyPhases, []string{"post-fork", "accepting", "accepting1", "accepting-once",
		"accepting1-once", "as-user-atexit"}) {
		ini += fmt.Sprintf("hook-%s = exec:echo %s >> %s\n", p, p, notes)
	}
	s.Write("u.ini", ini)
	s.Start("u.ini")
	check := func(when string, want ...string) {
		t.Helper()
		if got := strings.Split(strings.TrimSpace(readFile(t, notes)), "\n"); !slices.Equal(got, want) {
			t.Errorf("%s: %q, not %q", when, got, want)
		}
		if err := os.Truncate(notes, 0); err != nil {
			t.Fatal(err)
		}
	}
	// Between pre-app and post-app the application is imported.
	start := slices.Insert(slices.Clone(earlyPhases), len(earlyPhases)-1, "the application, well")
	once := []string{"post-fork", "accepting", "accepting1", "accepting-once", "accepting1-once"}
	check("start", append(start, once...)...)
	for _, file := range []string{"made/one.sock", "site/two.sock", "first.pid", "site/second.pid", "site/third.pid"} {
		if !harness.Exists(s.Path(file)) {
			t.Errorf("there is no %s", file)
		}
	}
	for _, sock := range []string{"made/one.sock", "site/two.sock"} {
		if a := harness.Uwsgi(t, s.Path(sock), harness.Request("GET", "/", ""), ""); a.Body != s.Path("site") {
			t.Errorf("%s: %s %q", sock, a.Line, a.Body)
		}
	}

	s.Write("u.ini", strings.Replace(ini, "mkdir made", "true", 1))
	mark := s.Log.Mark()
	s.Reload()
	s.Log.WaitFrom(t, mark, "^worker 1 buried")
	check("reload", append(append([]string{"as-user-atexit"}, start...), once...)...)
	worker := atoi(t, s.Log.WaitFrom(t, mark, `^spawned uWSGI worker 1 \(pid: (\d+)`)[1])
	harness.Signal(t, worker, syscall.SIGHUP)
	s.Log.Wait(t, "^Respawned uWSGI worker 1")
	harness.Eventually(t, "the new worker accepts",
		func() bool { return strings.Contains(readFile(t, notes), "accepting1") })
	check("a new worker", "post-fork", "accepting", "accepting1")

	s.Stop()
	check("stop", "as-user-atexit")
	for _, file := range []string{"made/one.sock", "site/two.sock", "first.pid", "site/second.pid", "site/third.pid"} {
		if harness.Exists(s.Path(file)) {
			t.Errorf("vacuum left %s", file)
		}
	}
}

// The actions that have to do with files and others work in a worker as they do before it.
func TestWorkerHookActions(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("x"))
	s.Write("file", "")
	if err := os.Mkdir(s.Path("dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(s.Path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(s.Path("fifo"), os.O_RDWR, 0) // for writing too: it opens without a writer
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fifo.Close() })
	ini := "[uwsgi]\nhttp = " + addr + "\nmodule = app\n"
	for _, hook := range []string{
		"wait_for_fs:file", "wait_for_file:file", "wait_for_dir:dir", "wait_for_socket:" + addr, "sticky:dir", "writefifo:fifo hello there",
		fmt.Sprintf("chown2:file %d %d", os.Getuid(), os.Getgid()), "chown:file " + me(t) + " " + groupOf(t, me(t)),
	} {
		ini += "hook-post-fork = " + hook + "\n"
	}
	s.Write("u.ini", ini)
	s.Start("u.ini")
	got := make([]byte, len("hello there"))
	if _, err := io.ReadFull(fifo, got); err != nil || string(got) != "hello there" {
		t.Errorf("%q, %v", got, err)
	}
	if st, err := os.Stat(s.Path("dir")); err != nil || st.Mode()&os.ModeSticky == 0 {
		t.Errorf("sticky: %v, %v", st.Mode(), err)
	}
}

// One that fails in a worker is named in a line, and the start fails.
func TestWorkerHookFails(t *testing.T) {
	for hook, says := range map[string]string{
		"chmod:nowhere 600":                       `^FATAL hook failed in worker 1 \(post-fork\): .*No such file`,
		"chown:app.py nobody-at-all x":            `^FATAL hook failed in worker 1 \(post-fork\): .*nobody-at-all`,
		"exec:false":                              `^FATAL hook failed in worker 1 \(post-fork\): hook-post-fork: command "false" exited with non-zero code: 1`,
		"unix_signal:15 gracefully_kill_them_all": `hook-post-fork.*write hook-master-start`,
	} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", version("x"))
			s.Tolerate("DAMN|exiting with status 1|FATAL|hook-post-fork|ended 3 times")
			s.Launch("--http", addr, "--module", "app", "--hook-post-fork", hook)
			if code := s.Exit(); code != 1 {
				t.Errorf("exit status %d", code)
			}
			s.Log.Wait(t, says)
		})
	}
}
