package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"uwsgi/internal/access"
)

// BinaryEnv names another program to test than the checkout's bin/uwsgi.
const BinaryEnv = "UWSGI_E2E_BINARY"

// Root is the top of the source tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// Binary is the program under test, with its worker library beside it.
func Binary() string {
	if p := os.Getenv(BinaryEnv); p != "" {
		return p
	}
	return filepath.Join(Root(), "bin", "uwsgi")
}

// fewestDescriptors are for a crowd of a thousand clients, whose front end has two for each.
const fewestDescriptors = 4096

// openFiles is how many descriptors a process may have.
var openFiles int

// Main is what a TestMain of end-to-end tests calls. What a login shell hands on is no matter: a
// limit of 1,024 descriptors, a umask that keeps others out, and bytecode, which is stale where a
// test changes a file twice in a second.
func Main(m interface{ Run() int }) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	if openFiles = int(min(limit.Max, 1<<30)); openFiles < fewestDescriptors {
		fmt.Fprintf(os.Stderr, "end-to-end tests need %d descriptors, and `ulimit -Hn` is %d\n", fewestDescriptors, openFiles)
		os.Exit(1)
	}
	syscall.Umask(0o022)
	os.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	for _, p := range []string{Binary(), filepath.Join(filepath.Dir(Binary()), "lib", "uwsgi", "_uwsgi.abi3.so")} {
		if _, err := os.Stat(p); err != nil {
			os.Stderr.WriteString("end-to-end tests need what `make build` makes: " + err.Error() + "\n")
			os.Exit(1)
		}
	}
	done := openToAll()
	code := m.Run()
	done()
	os.Exit(code)
}

// openToAll puts the program where other users may run it: the checkout may lie in a home.
func openToAll() (done func()) {
	library := filepath.Join(filepath.Dir(Binary()), "lib", "uwsgi", "loader.py")
	if access.Check(library, access.Read, &syscall.Credential{Uid: 65534, Gid: 65534}) == nil {
		return func() {}
	}
	dir, err := os.MkdirTemp("", "uwsgi-bin")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.CopyFS(filepath.Join(dir, "bin"), os.DirFS(filepath.Dir(Binary()))))
	}
	if err != nil {
		os.Stderr.WriteString("a copy of the program for other users: " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Setenv(BinaryEnv, filepath.Join(dir, "bin", "uwsgi"))
	return func() { os.RemoveAll(dir) }
}
