package e2e

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// suspended reports whether a process was sent SIGSTOP.
func suspended(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return bytes.Contains(b, []byte("State:\tT"))
}

// A worker that the supervisor does not know to serve may be killed at any moment, so it must not
// have taken a request: here the supervisor is stopped before it can hear of any.
func TestNoRequestBeforeTheSupervisorKnows(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import glob, os, signal, time, uwsgi
def still(task):
    with open(task + "/stat") as f:
        return f.read().rpartition(")")[2].split()[0] == "T"
def hook():
    if uwsgi.worker_id() == 1:
        os.kill(uwsgi.masterpid(), signal.SIGSTOP)
        while not all(map(still, glob.glob("/proc/%d/task/*" % uwsgi.masterpid()))):
            time.sleep(0.001)
        open("stopped", "w").close()
    while not os.path.exists("stopped"):  # none is ready before
        time.sleep(0.001)
uwsgi.post_fork_hook = hook
def application(environ, start_response):
    print("a request has begun", flush=True)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"fine"]
`)
	s.Launch("--http", addr, "--module", "app", "-p", "3")
	harness.Eventually(t, "the supervisor is stopped", func() bool { return suspended(s.PID) })
	var waiting []func()
	for range 6 {
		c := harness.Send(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		waiting = append(waiting, func() {
			if a := harness.Parse(t, c, "GET"); a.Body != "fine" {
				t.Errorf("%s %q", a.Line, a.Body)
			}
		})
	}
	if harness.Within(300*time.Millisecond, func() bool { return s.Log.Count("a request has begun") > 0 }) {
		t.Error("a worker serves that counts as starting")
	}
	s.Signal(syscall.SIGCONT)
	for _, answered := range waiting {
		answered()
	}
}
