package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// startOracle starts the real uWSGI of the distribution with the same application and options.
func startOracle(t *testing.T, threads string) side {
	t.Helper()
	dir, err := os.MkdirTemp("", "or")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o755)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"oracle.py", "cases.py"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(readFile(t, "testdata/"+name)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := newSide(t, dir)
	runOracle(t, dir, oracleArgs(at, threads))
	runOracle(t, dir, oracleRouterArgs(at, threads))
	for _, addr := range []string{at.http, at.router} {
		harness.Eventually(t, "the real uWSGI answers", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	at.front = harness.StartNginx(t, oracleLocation(at)).Addr
	return at
}

func runOracle(t *testing.T, dir string, args []string) {
	t.Helper()
	cmd := exec.Command("uwsgi-core", append([]string{"--plugins", "python3,http", "--die-on-term"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), harness.DebianPath)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
}
