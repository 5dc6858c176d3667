package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// asyncVenv is the virtualenv of packaging/async.txt, made where it is missing; "" with what the
// script said where it cannot be, and where the server that is tested cannot serve its Python.
var asyncVenv = sync.OnceValues(func() (dir, said string) {
	if os.Getenv("UWSGI_E2E_ASYNC") == "no" {
		return "", "UWSGI_E2E_ASYNC=no"
	}
	script := filepath.Join(Root(), "packaging", "deps.sh")
	out, err := exec.Command(script, "async").CombinedOutput()
	path, err2 := exec.Command(script, "venv").Output()
	dir = strings.TrimSpace(string(path))
	if _, err3 := os.Stat(filepath.Join(dir, "complete")); err != nil || err2 != nil || err3 != nil {
		return "", strings.TrimSpace(string(out))
	}
	return dir, ""
})

// Async is the virtualenv that has the frameworks of asynchronous Python, and the servers beside
// us. The test is left out where they cannot be had: that takes the network once.
func Async(t testing.TB) string {
	t.Helper()
	dir, said := asyncVenv()
	if dir == "" {
		t.Skip(said)
	}
	return dir
}
