package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Redis is a real server of its own, on a unix socket, which keeps on the disk what it has.
type Redis struct {
	Dir string

	t    testing.TB
	args []string
	cmd  *exec.Cmd
}

// StartRedis starts one, with further arguments, and skips the test where there is none to start.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server (apt-get install redis-server)")
	}
	memory := "/dev/shm" // where nothing waits for a disk
	if !Exists(memory) {
		memory = ""
	}
	dir, err := os.MkdirTemp(memory, "rd") // short: it is the path of a socket
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{Dir: dir, t: t, args: args}
	t.Cleanup(func() {
		r.Kill()
		os.RemoveAll(dir)
	})
	r.Start()
	r.Do("set", "uwsgi:known", "1") // it is believed to remember from the beginning
	return r
}

// URL names it, with further parameters, such as "lease=1s".
func (r *Redis) URL(parameters string) string {
	return "redis+unix://" + filepath.Join(r.Dir, "s") + "?" + parameters
}

// Start starts it again, and waits until it answers.
func (r *Redis) Start() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", filepath.Join(r.Dir, "s"),
		"--unixsocketperm", "777", "--dir", r.Dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "",
		"--loglevel", "warning"}, r.args...)...)
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	Eventually(r.t, "redis-server answers", func() bool { return r.Do("ping") == "PONG" })
}

// Kill ends it at once.
func (r *Redis) Kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// Do is the answer to a command, as redis-cli shows it.
func (r *Redis) Do(args ...string) string {
	out, err := exec.Command("redis-cli", append([]string{"-s", filepath.Join(r.Dir, "s")}, args...)...).Output()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}
