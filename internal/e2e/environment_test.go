package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

const look = `
import json, os, sys, threading
at_import = dict(os.environ)
def application(environ, start_response):
    start_response("200 OK", [])
    got = {"environ": dict(os.environ), "at_import": at_import, "argv": sys.argv, "executable": sys.executable, "path": sys.path,
        "cwd": os.getcwd(), "thread": threading.current_thread().name, "main": sorted(vars(sys.modules["__main__"])),
        "umask": os.umask(0), "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups()}
    os.umask(got["umask"])
    got["flags"] = {k: environ[k] for k in ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "wsgi.url_scheme")}
    got["core"] = environ.get("uwsgi.core")
    return [json.dumps(got).encode()]
`

type looked struct {
	Environ    map[string]string `json:"environ"`
	AtImport   map[string]string `json:"at_import"`
	Argv, Path []string
	Executable string
	Cwd        string
	Thread     string
	Main       []string
	Umask      int
	UID, GID   int
	Groups     []int
	Flags      map[string]any
	Core       any
}

func lookAt(t *testing.T, addr string) (l looked) {
	t.Helper()
	a := harness.HTTP(t, addr).Get("/")
	if err := json.Unmarshal([]byte(a.Body), &l); err != nil {
		t.Fatalf("%s %s: %v", a.Line, a.Body, err)
	}
	return l
}

// TestEnvironment: env, unenv and envdir, what the application must not see of ours, and the
// interpreter as it expects it.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", look)
	s.Write("vars/FROM_DIR", "in a file\n")
	s.Write("u.ini", "[uwsgi]\nhttp = "+addr+"\nmodule = app\nenv = GIVEN=a=b c\nenv = TWICE=1\nenv = TWICE=2\nunenv "+
		"= TAKEN\nenvdir = vars\npyargv = one two\numask = 027\nchdir = %d\n")
	s.Setenv("TAKEN=away", "KEPT=yes", "GLIBC_TUNABLES=glibc.malloc.check=0")
	s.Start("--ini", "u.ini")
	l := lookAt(t, addr)
	for name, want := range map[string]string{
		"GIVEN": "a=b c", "TWICE": "2", "FROM_DIR": "in a file", "KEPT": "yes", "TAKEN": "", "GLIBC_TUNABLES": "glibc.malloc.check=0",
		"LISTEN_FDS": "", "NOTIFY_SOCKET": "", "PYTHONPATH": "",
	} {
		if l.Environ[name] != want || l.AtImport[name] != want {
			t.Errorf("%s is %q in a request and %q while importing, not %q", name,
				l.Environ[name], l.AtImport[name], want)
		}
	}
	for name := range l.Environ {
		if _, inherited := os.LookupEnv(name); !inherited &&
			!slices.Contains([]string{"GIVEN", "TWICE", "FROM_DIR", "KEPT", "UWSGI_E2E_MARK", "GLIBC_TUNABLES",
				"UWSGI_ORIGINAL_PROC_NAME", "UWSGI_RELOADS", "LC_CTYPE"}, name) { // the last is Python's (PEP 538)
			t.Errorf("%s=%s is nobody's", name, l.Environ[name])
		}
	}
	if strings.Join(l.Argv, " ") != "uwsgi one two" || l.Path[0] != "." || l.Umask != 0o027 ||
		strings.TrimSuffix(l.Cwd, "/") != s.Dir {
		t.Errorf("argv %q, path %q, umask %o, cwd %s", l.Argv, l.Path, l.Umask, l.Cwd)
	}
	if !strings.Contains(l.Executable, "python") || !slices.Contains(l.Main, "__name__") || len(l.Main) > 8 {
		t.Errorf("sys.executable %s, __main__ holds %q", l.Executable, l.Main)
	}
	for _, p := range l.Path {
		if strings.Contains(p, "lib/uwsgi") && p != l.Path[len(l.Path)-1] {
			t.Errorf("sys.path has the server's folder before the application's: %q", l.Path)
		}
	}
}

// Settings by UWSGI_* variables.
func TestSettingsFromEnvironment(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", look)
	s.Setenv("UWSGI_HTTP="+addr, "UWSGI_MODULE=app", "UWSGI_PROCESSES=2", "UWSGI_DISABLE_LOGGING=1", "UWSGI_THREADS=3")
	s.Start()
	if l := lookAt(t, addr); l.Flags["wsgi.multithread"] != true || l.Flags["wsgi.multiprocess"] != true {
		t.Errorf("%v", l.Flags)
	}
	if n := s.Log.Count(`GET / =>`); n != 0 {
		t.Errorf("disable-logging is not in force")
	}
}

// TestThreads: the flags tell the truth, every thread has a name and a core of its own, and that
// many requests run at once.
func TestThreads(t *testing.T) {
	for args, want := range map[string]struct {
		multithread, multiprocess bool
		core                      bool
	}{"-p 1": {}, "-p 2": {multiprocess: true}, "--threads 3": {multithread: true, core: true},
		"-p 2 --threads 2": {true, true, true}, "--enable-threads": {}} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", look)
			s.Start(append(strings.Fields(args), "--http", addr, "--module", "app")...)
			l := lookAt(t, addr)
			flags := map[string]any{"wsgi.multithread": want.multithread, "wsgi.multiprocess": want.multiprocess,
				"wsgi.run_once": false, "wsgi.url_scheme": "http"}
			if !maps.Equal(l.Flags, flags) || (l.Core != nil) != want.core ||
				!strings.HasPrefix(l.Thread, "uWSGIWorker") {
				t.Errorf("%v, core %v, thread %s", l.Flags, l.Core, l.Thread)
			}
		})
	}
}

// Four requests of one worker meet each other.
func TestThreadsTogether(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import threading
meeting = threading.Barrier(4)
def application(environ, start_response):
    meeting.wait(20)
    start_response("200 OK", [])
    return [threading.current_thread().name.encode()]
`)
	s.Start("--http", addr, "--module", "app", "--threads", "4")
	names := make(chan string)
	for range 4 {
		go func() {
			a, err := harness.HTTP(t, addr).Try("GET", "/", nil)
			if err != nil {
				t.Error(err)
				names <- ""
				return
			}
			names <- a.Body
		}()
	}
	seen := map[string]bool{}
	for range 4 {
		seen[<-names] = true
	}
	for _, core := range []string{"0", "1", "2", "3"} {
		if !seen["uWSGIWorker1Core"+core] {
			t.Errorf("no request ran on core %s: %v", core, seen)
		}
	}
}

// Threads of the application's own run while no request does: the interpreter's lock is free then.
func TestBackgroundThread(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import threading, time
from uwsgidecorators import postfork, thread
@postfork
@thread
def tick():
    for n in range(3):
        time.sleep(0.01)
    print("ticked in the background", flush=True)
def application(environ, start_response):
    start_response("200 OK", [])
    return []
`)
	s.Start("--http", addr, "--module", "app")
	s.Log.Wait(t, "^ticked in the background")
}

// uid and gid, by name and number, from root: nothing of the application runs before.
func TestIdentity(t *testing.T) {
	needs.Root(t)
	for args, want := range map[string][2]int{
		"--uid www-data --gid www-data": {33, 33}, "--uid 33": {33, 33}, "--uid nobody --gid 65534": {65534, 65534}, "--uid 33 --gid 65534": {33, 65534},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Setenv(harness.DebianPath)
			s.Write("app.py", look+"print('imported as', os.getuid(), os.getgid(), os.geteuid(), "+
				"os.getgroups(), flush=True)\n")
			s.Start(append(strings.Fields(args), "--http-socket", s.Path("h.sock"), "--chmod-socket=600",
				"--module", "app", "--vacuum")...)
			s.Log.Wait(t, "^imported as "+itoa(want[0])+" "+itoa(want[1])+" "+itoa(want[0])+" ")
			l := lookAt(t, s.Path("h.sock"))
			if l.UID != want[0] || l.GID != want[1] || slices.Contains(l.Groups, 0) {
				t.Errorf("user %d, group %d, groups %v", l.UID, l.GID, l.Groups)
			}
			s.Stop()
			if harness.Exists(s.Path("h.sock")) {
				t.Errorf("vacuum left the socket")
			}
		})
	}
	for args, says := range map[string]string{"--uid nobody_of_this_name": "nobody_of_this_name",
		"--gid nothing_of_this_name": "nothing_of_this_name"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.Write("app.py", look)
			s.Launch(append(strings.Fields(args), "--http", harness.Addr(t), "--module", "app")...)
			if code := s.Exit(); code != 1 {
				t.Errorf("exit status %d", code)
			}
			s.Log.Wait(t, says)
			s.Tolerate(says)
		})
	}
}

// A descriptor that the shell left open is none of the application's, in the loader or in a worker,
// after a reload either.
func TestInheritedDescriptors(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	secret := s.Write("secret", "of root's shell")
	s.Write("app.py", `import os
def files():
    return [os.readlink("/proc/self/fd/" + n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)]
at_import = files()
def application(environ, start_response):
    start_response("200 OK", [])
    return ["\n".join(at_import + files()).encode()]
`)
	s.Under("/bin/bash", "-c", `exec 9<`+secret+` 250<`+secret+`; exec "$0" "$@"`)
	s.Start("--http", addr, "--module", "app")
	for range 2 {
		if got := harness.HTTP(t, addr).Get("/").Body; !strings.Contains(got, "memfd:") ||
			strings.Contains(got, secret) {
			t.Errorf("open: %s", got)
		}
		s.Reload()
	}
}

// With no-new-privs a set-user-ID program gives nothing; without, sudo and sendmail go on working
// as they do under uWSGI.
func TestNoNewPrivs(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{"": {nil, "0"}, "no-new-privs": {[]string{"--no-new-privs"}, "1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", `import re
def application(environ, start_response):
    start_response("200 OK", [])
    return [re.search("NoNewPrivs:\\s*(\\d)", open("/proc/self/status").read()).group(1).encode()]
`)
			s.Start(append([]string{"--http", addr, "--module", "app"}, c.args...)...)
			if got := harness.HTTP(t, addr).Get("/").Body; got != c.want {
				t.Errorf("NoNewPrivs: %s, want %s", got, c.want)
			}
		})
	}
}

// limit-as holds a worker, which cannot raise it again, to what the option allows and the data
// plane reserved.
func TestAddressSpaceIsHeld(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `import resource
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d %d" % resource.getrlimit(resource.RLIMIT_AS)]
`)
	s.Start("--http", addr, "--module", "app", "--limit-as", "4096")
	var soft, hard int64
	if _, err := fmt.Sscan(harness.HTTP(t, addr).Get("/").Body, &soft, &hard); err != nil || soft <= 4096<<20 ||
		soft > 4096<<21 || hard != soft {
		t.Errorf("soft %d, hard %d, %v", soft, hard, err)
	}
}

// An address space that the application has limited, not limit-as, is named: where a worker cannot
// start in it nothing else would say why.
func TestCrampedAddressSpace(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1700 << 20, resource.RLIM_INFINITY))\n"+
		app("one"))
	s.Tolerate(`fatal error|runtime|goroutine|pthread_create|Aborted|DAMN|exit`) // it may, or may not, be enough
	s.Launch("--http", addr, "--module", "app", "--die-on-term")
	s.Log.Wait(t, `^the address space is limited to 1700 MB .*limit-as leaves them out`)
}
