package harness

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// StartGunicorn starts gunicorn with an application, and gives the address that it serves HTTP on.
func StartGunicorn(t testing.TB, app string) string {
	t.Helper()
	dir, addr := t.TempDir(), Addr(t)
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	venv := Venv(t, OtherPython())
	cmd := exec.Command(filepath.Join(venv, "bin", "gunicorn"), "--bind", addr,
		"--no-control-socket", "app:application")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	Eventually(t, "gunicorn on "+addr, func() bool {
		select {
		case <-ended:
			t.Fatalf("gunicorn ended: %s", out.String())
		default:
		}
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}
