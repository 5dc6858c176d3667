package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/needs"
)

// An instance hears root and the account that it runs as, and nobody else; and root is not led to
// it by a pidfile that somebody else has written.
func TestControlledByItsAccount(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	const account, stranger = 33, 65534
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", version("one"))
	s.Start("--http", addr, "--module", "app", "--uid", fmt.Sprint(account), "--gid", fmt.Sprint(account),
		"--pidfile", s.Path("p.pid"), "--master")
	s.Write("strange.pid", fmt.Sprintln(s.PID))
	if err := os.Chown(s.Path("strange.pid"), stranger, -1); err != nil {
		t.Fatal(err)
	}
	as := func(uid int, args ...string) (string, int) {
		t.Helper()
		cmd := s.Command(args...)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
		out, _ := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
	}
	for _, c := range []struct {
		uid  int
		args []string
		says string
		code int
	}{
		{account, []string{"--reload", "p.pid"}, "reloaded", 0},
		{0, []string{"reload", "p.pid"}, "reloaded", 0},
		{account, []string{"reload", fmt.Sprint(s.PID)}, "reloaded", 0},
		{stranger, []string{"--reload", "p.pid"}, "user 65534 may not control this instance", 1},
		{stranger, []string{"--stop", "p.pid"}, "Operation not permitted", 255},
		{0, []string{"--stop", "strange.pid"}, "belongs to user 65534 and names process", 1},
		{0, []string{"--reload", "strange.pid"}, "belongs to user 65534 and names process", 1},
	} {
		if out, code := as(c.uid, c.args...); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("user %d: %s: status %d: %s", c.uid, strings.Join(c.args, " "), code, out)
		}
	}
	reloads := func() int { return s.Log.Count(`^gracefully \(RE\)spawned uWSGI master process`) }
	harness.Eventually(t, "three reloads", func() bool { return reloads() >= 3 }) // the log is read beside the commands
	if n := reloads(); n != 3 {
		t.Errorf("%d reloads", n)
	}
	if out, code := as(account, "--stop", "p.pid"); code != 0 {
		t.Errorf("--stop by the account: status %d: %s", code, out)
	}
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
