package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// rig is a server with the application of testdata/app.py.
type rig struct {
	*harness.Server
	t    *testing.T
	addr string // HTTP
	sock string // the uwsgi protocol, on a unix socket
	fds  int    // descriptors of a worker that has just begun
	file string // of the application
	app  []string
}

// newRig makes one that is not started yet.
func newRig(t *testing.T) *rig {
	t.Helper()
	count(t)
	r := &rig{Server: harness.New(t), t: t, addr: harness.Addr(t), file: "app.py",
		app: []string{"--wsgi-file", "app.py"}}
	r.sock = r.Path("uwsgi.sock")
	r.Copy("testdata/app.py", "app.py")
	r.Setenv(harness.DebianPath)
	r.Setenv(strings.Fields(os.Getenv("UWSGI_CHAOS_ENV"))...) // packaging/sanitize.sh
	return r
}

// start starts one with more arguments.
func start(t *testing.T, args ...string) *rig {
	t.Helper()
	r := newRig(t)
	r.begin(args...)
	return r
}

// code replaces the application's code at once: nobody shall find half of it.
func (r *rig) code(text string) {
	r.t.Helper()
	r.Write("app.new", text)
	if err := os.Rename(r.Path("app.new"), r.Path(r.file)); err != nil {
		r.t.Fatal(err)
	}
}

// args are those that every server here has.
func (r *rig) args(more ...string) []string {
	own := []string{"--http", r.addr, "--socket", r.sock, "--master", "--vacuum", "--disable-logging",
		"--chmod-socket=666"}
	return slices.Concat(own, r.app, more)
}

func (r *rig) begin(args ...string) {
	r.t.Helper()
	r.Start(r.args(args...)...)
	if w := r.workers(); len(w) > 0 {
		r.fds = descriptors(w[0])
	}
	r.t.Cleanup(r.settled) // before the harness stops the server
}

// settled checks, once the clients of the test are gone, that no worker holds more than it began
// with, and that the server leaves no socket file behind. What a killed supervisor leaves it cannot
// take away.
func (r *rig) settled() {
	if r.t.Failed() {
		return
	}
	if r.Running() {
		r.holdsNoMore()
		r.Stop()
	}
	if _, err := os.Lstat(r.sock); err == nil && r.Exit() >= 0 {
		r.t.Errorf("the socket file is left")
	}
}

func (r *rig) holdsNoMore() {
	if r.fds == 0 {
		return
	}
	for _, pid := range r.workers() {
		// One more: what the housekeeper measures queues with is opened when it is needed.
		if !soon(func() bool { return !harness.Alive(pid) || descriptors(pid) <= r.fds+1 }) {
			r.t.Errorf("worker %d began with %d descriptors and has %d:\n%s", pid, r.fds,
				descriptors(pid), describe(pid))
		}
	}
}

// count has a test counted in the summary.
func count(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			tally.failed.Add(1)
		} else {
			tally.passed.Add(1)
		}
	})
}

// soon waits for a condition that nothing announces.
func soon(cond func() bool) bool {
	return harness.Within(harness.Patience, cond)
}

func descriptors(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}

func describe(pid int) string {
	var b strings.Builder
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, f := range files[:min(len(files), 60)] {
		to, _ := os.Readlink(f)
		b.WriteString(filepath.Base(f) + " -> " + to + "\n")
	}
	return b.String()
}

// loader is the process that forks workers; of two generations the younger one.
func (r *rig) loader() int {
	pids := r.children(r.PID)
	if len(pids) == 0 {
		return 0
	}
	return slices.Max(pids)
}

// workers are the processes that serve.
func (r *rig) workers() []int {
	var out []int
	for _, pid := range r.children(r.PID) {
		out = append(out, r.children(pid)...)
	}
	return out
}

func (r *rig) children(pid int) []int {
	var out []int
	for _, p := range r.Processes() {
		if harness.Parent(p) == pid {
			out = append(out, p)
		}
	}
	return out
}

// http is a client that counts.
func (r *rig) http() *harness.Client { return harness.HTTP(r.t, r.addr) }

// expect asks once and wants that answer; of an error the status says that it was provoked.
func (r *rig) expect(status int, path string, contains string) *harness.Answer {
	r.t.Helper()
	tally.sent.Add(1)
	a, err := r.http().Try("GET", path, nil, "Connection: close")
	if err != nil || a.Status != status || !strings.Contains(a.Body, contains) {
		tally.lost.Add(1)
		r.t.Fatalf("GET %s: %+v %v, want %d %q", path, a, err, status, contains)
	}
	note(status)
	return a
}

func note(status int) {
	if status < 400 {
		tally.right.Add(1)
	} else {
		tally.onPurpose.Add(1)
	}
}

// serves checks that the server goes on.
func (r *rig) serves() {
	r.t.Helper()
	for range 10 {
		r.expect(200, "/", "hello")
	}
}

// breaks asks for something that no answer can come to.
func (r *rig) breaks(path string) {
	r.t.Helper()
	tally.sent.Add(1)
	if a, err := r.http().Try("GET", path, nil); err == nil {
		tally.lost.Add(1)
		r.t.Fatalf("GET %s is answered: %+v", path, a)
	}
	tally.onPurpose.Add(1)
}

// serving waits until n workers can serve: the engine's two epoll sets are the last that a worker
// opens, after the Go runtime's.
func (r *rig) serving(n int) {
	r.t.Helper()
	harness.Eventually(r.t, fmt.Sprintf("%d workers that serve", n), func() bool {
		pids := r.workers()
		for _, pid := range pids {
			if strings.Count(describe(pid), "[eventpoll]") < 3 {
				return false
			}
		}
		return len(pids) == n
	})
}

func kill(t *testing.T, pid int) {
	t.Helper()
	harness.Signal(t, pid, syscall.SIGKILL)
}
