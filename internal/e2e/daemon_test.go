package e2e

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestDaemonize: -d FILE in both of its forms, the pidfile, --reload and --stop, as operators type
// them.
func TestDaemonize(t *testing.T) {
	for name, args := range map[string]string{
		"daemonize": "--daemonize d.log --ini u.ini", "d": "-d d.log --ini u.ini", "daemonize2": "--daemonize2 d.log --ini u.ini",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", version("old"))
			s.Write("u.ini", "[uwsgi]\nhttp-socket = "+addr+
				"\nmodule = app\npidfile = p.pid\nvacuum = true\nmaster = true\n")
			s.StartDaemon(s.Path("p.pid"), s.Path("d.log"), strings.Fields(args)...)
			if p := harness.Parent(s.PID); p == syscall.Getpid() {
				t.Errorf("the daemon is still our child")
			}
			s.Write("app.py", version("new"))
			if out, err := s.Command("--reload", "p.pid").CombinedOutput(); err != nil {
				t.Errorf("--reload: %v %s", err, out)
			}
			s.Log.Wait(t, `^gracefully \(RE\)spawned uWSGI master process`)
			if a := harness.HTTP(t, addr).Get("/"); a.Body != "new" {
				t.Errorf("%s %q", a.Line, a.Body)
			}
			if out, err := s.Command("--stop", "p.pid").CombinedOutput(); err != nil {
				t.Errorf("--stop: %v %s", err, out)
			}
			s.Exit()
			if harness.Exists(s.Path("p.pid")) {
				t.Errorf("vacuum left the pidfile")
			}
		})
	}
}

// A daemon that cannot start says so to whoever started it, and exits with its status: daemonize
// for what happens until its sockets are bound, daemonize2 for the application too.
func TestDaemonFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for option, c := range map[string]struct {
		addr, says string
		code       int
	}{
		"--daemonize":  {taken.Addr().String(), "in use", 1},
		"--daemonize2": {harness.Addr(t), "nothing_of_this_name", 22},
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Write("app.py", "import nothing_of_this_name")
			cmd := s.Command(option, s.Path("d.log"), "--http", c.addr, "--module", "app")
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != c.code {
				t.Errorf("%v: %s", err, out.String())
			}
			if log := out.String() + readFile(t, s.Path("d.log")); !strings.Contains(log, c.says) {
				t.Errorf("no reason is given:\n%s", log)
			}
			harness.Eventually(t, "all processes' end", func() bool { return len(s.Processes()) == 0 })
		})
	}
}

// --stop and --reload say what is wrong, with uWSGI's statuses.
func TestPidfileErrors(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Write("empty.pid", "")
	s.Write("gone.pid", "2147483646\n")
	s.Write("word.pid", "abc\n")
	for file, want := range map[string]int{"none.pid": 1, "empty.pid": 1, "word.pid": 1, "gone.pid": 255} {
		for _, option := range []string{"--stop", "--reload"} {
			out, _ := s.Command(option, file).CombinedOutput()
			cmd := s.Command(option, file)
			cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != want || len(out) == 0 {
				t.Errorf("%s %s: status %d, not %d: %s", option, file, code, want, out)
			}
		}
	}
}
