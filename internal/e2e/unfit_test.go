package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// pretending runs a script in a Python that takes itself for another one.
const pretending = `#!/bin/sh
exec /usr/bin/python3 -c 'import builtins, io, sys
%s
sys.argv = sys.argv[1:]
__file__ = sys.argv[0]
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"))' "$@"
`

// TestUnfitPython: an interpreter that cannot run the loader is named in one line, with what is
// needed.
func TestUnfitPython(t *testing.T) {
	for name, c := range map[string]struct{ pretence, says string }{
		"old":           {`sys.version_info = (3, 8, 1, "final", 0)`, "CPython 3.9 or newer is needed"},
		"free-threaded": {`sys.abiflags = "t"`, "it is free-threaded, and the library for that, _uwsgi.cp3"},
		"free-threaded with musl": {`sys.abiflags, real = "t", open
builtins.open = lambda path, *a: io.StringIO("7f00-7f01 r--p 0 fe:00 1 /lib/ld-musl-x86_64.so.1\n") if path == "/proc/self/maps" else real(path, *a)`,
			"it is free-threaded and linked with musl"},
		"pypy": {`sys.implementation.name = "pypy"`, "CPython is needed, and this is pypy"},
		"musl": {`real = open
builtins.open = lambda path, *a: io.StringIO("7f00-7f01 r--p 0 fe:00 1 /lib/ld-musl-x86_64.so.1\n") if path == "/proc/self/maps" else real(path, *a)`,
			"it is linked with musl"},
		"with the GIL": {`import os
exists = os.path.exists
os.path.exists = lambda path: not path.endswith("_uwsgi.abi3.so") and exists(path)`,
			"it has the global interpreter lock, and the library for that, _uwsgi.abi3.so, is not in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			refused(t, s, s.Write("env/bin/python3", fmt.Sprintf(pretending, c.pretence)), c.says)
		})
	}
	for _, python := range []string{"2.7.18", "3.6.15", "3.8.18"} { // those that pyenv has here
		t.Run(python, func(t *testing.T) {
			t.Parallel()
			real := filepath.Join("/root/.pyenv/versions", python, "bin/python")
			if _, err := os.Stat(real); err != nil {
				t.Skip("there is no Python ", python)
			}
			s := harness.New(t)
			refused(t, s, s.Write("env/bin/python3", "#!/bin/sh\nexec "+real+` "$@"`+"\n"), "Python "+python+": CPython 3.9 or newer is needed")
		})
	}
}

func refused(t *testing.T, s *harness.Server, python, says string) {
	t.Helper()
	if err := os.Chmod(python, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Write("app.py", version("x"))
	s.Allow(says)
	s.Launch("--http", harness.Addr(t), "--home", "env", "--module", "app")
	if code := s.Exit(); code != 1 {
		t.Errorf("exit status %d", code)
	}
	if n := s.Log.Count(says); n != 1 {
		t.Errorf("said %d times", n)
	}
}

const sandboxed = "-in-a-sandbox"

// sandbox goes on as another program for which pidfd_open does not exist.
func sandbox(argv []string) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_PIDFD_OPEN},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	}
	if err == nil {
		err = syscall.Exec(argv[0], argv, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	os.Exit(70)
}

// TestUnfitKernel: without pidfds nothing is begun, and a line says what is needed.
func TestUnfitKernel(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := harness.New(t)
	s.Under(exe, sandboxed)
	s.Write("app.py", version("x"))
	s.Allow("pidfd_open")
	s.Launch("--socket", s.Path("sock"), "--module", "app", "--pidfile", s.Path("pid"))
	if code := s.Exit(); code != 1 {
		t.Errorf("exit status %d", code)
	}
	if text := strings.TrimSpace(s.Log.String()); !strings.Contains(text,
		"pidfd_open: function not implemented: Linux 5.4 or newer is needed") || strings.Contains(text, "\n") {
		t.Errorf("said: %s", text)
	}
}

// TestShimRunsAsTheUser: a version manager's script that PATH leads to runs as the application
// does, for PATH may lead to the application's own.
func TestShimRunsAsTheUser(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	shim := s.Write("shims/python3", `#!/bin/sh
echo "$(id -u) $(id -g) $(id -G) $(pwd) $HINT" >> "$TOLD"
exec /usr/bin/python3 "$@"
`)
	if err := os.Chmod(shim, 0o755); err != nil {
		t.Fatal(err)
	}
	told := s.Write("told", "")
	if err := os.Chmod(told, 0o666); err != nil {
		t.Fatal(err)
	}
	s.Write("site/app.py", version("x"))
	s.Start("--http", addr, "--module", "app", "--chdir", "site", "--uid", "www-data", "--gid", "www-data", "--env",
		"HINT=hinted", "--env", "TOLD="+told,
		"--env", "PATH="+s.Path("shims")+":/usr/bin:/bin")
	s.Reload()
	if got, line := readFile(t, told), "33 33 33 "+s.Path("site")+" hinted\n"; got != line+line {
		t.Errorf("%q, not twice %q", got, line)
	}
}
