package loader_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"uwsgi/internal/loader"
	"uwsgi/internal/loader/loadertest"
	"uwsgi/internal/needs"
)

// bystander is a process that is none of the loader's. It has to outlive the test.
func bystander(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("the bystander: %v", err)
		}
		cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("the bystander ended with %v", err)
		}
	})
	return cmd.Process.Pid
}

// The application's code is in the loader: whatever process it names, nothing but its own children
// with its own user is believed to be a worker.
func TestForgedWorkers(t *testing.T) {
	self := os.Getpid()
	for _, c := range []struct {
		name string
		pid  func(t *testing.T) int
	}{
		{"another's child", bystander},
		{"the supervisor", func(*testing.T) int { return self }},
		{"the supervisor's parent", func(*testing.T) int { return os.Getppid() }},
		{"init", func(*testing.T) int { return 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			loadertest.Hygiene(t)
			b := start(t, nil, fmt.Sprintf("fork-lies=%d", c.pid(t)))
			next[loader.Loaded](b)
			w := b.fork(1, 0)
			if e := next[loader.Log](b); e.Level != "error" || !strings.Contains(e.Message, "the loader is killed") {
				t.Errorf("logged %+v", e)
			}
			if e := next[loader.ForkFailed](b); e.Worker != w || w.PID() != 0 {
				t.Errorf("%+v, process %d", e, w.PID())
			}
			if e := next[loader.LoaderGone](b); e.Exit.Signal() != syscall.SIGKILL {
				t.Errorf("the loader ended with %+v", e.Exit)
			}
			w.Kill()
		})
	}
}

// A child of the loader's that has got another user's rights is none of the application's any more.
func TestWorkerOfAnotherUser(t *testing.T) {
	needs.Root(t)
	b := start(t, func(s *loader.Spec) { s.Credential = &syscall.Credential{Uid: 0, Gid: 0} }, "forks-as=33")
	next[loader.Loaded](b)
	b.fork(1, 0)
	if e := next[loader.Log](b); !strings.Contains(e.Message, "its uids are [33 33 33 33]") {
		t.Errorf("logged %+v", e)
	}
	next[loader.ForkFailed](b)
	next[loader.LoaderGone](b)
}

// Rows and slots that were not asked for, and a process that is a worker already.
func TestForgedAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"row":  `{"op":"forked","slot":1,"row":7,"pid":1}`,
		"slot": `{"op":"forked","slot":2,"row":0,"pid":1}`,
		"none": `{"op":"forked","slot":1,"row":0,"pid":-1}`,
		"cut":  fmt.Sprintf(`{"op":"forked","slot":1,"row":0,"pid":%d}`, 1<<32+os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil, "fork-says="+answer)
			next[loader.Loaded](b)
			b.fork(1, 0)
			next[loader.Log](b)
			next[loader.ForkFailed](b)
			if e := next[loader.LoaderGone](b); e.Exit.Signal() != syscall.SIGKILL {
				t.Errorf("the loader ended with %+v", e.Exit)
			}
		})
	}
}

// A worker that has ended, and was waited for, before it could be looked at has ended, with its
// status.
func TestReapedBeforeItWasSeen(t *testing.T) {
	b := start(t, nil, "forks-reaped", "dies-early")
	next[loader.Loaded](b)
	w := b.fork(1, 0)
	next[loader.Forked](b)
	if e := next[loader.WorkerGone](b); e.Worker != w || e.Exit.Code() != 1 {
		t.Errorf("gone: %+v", e.Exit)
	}
}

// What a message says is held to what can be: it goes into logs, statistics and exit statuses.
func TestTamedMessages(t *testing.T) {
	b := start(t, nil, `says={"op":"failed","error":"Forged:\u001b[2J\nX=1\u202e`+strings.Repeat("x", 50_000)+`","code":4711}`)
	e := next[loader.Failed](b)
	if !strings.HasPrefix(e.Error, `Forged:\x1b[2J X=1\xe2\x80\xaex`) || len(e.Error) > 9000 {
		t.Errorf("error %.80q, %d bytes", e.Error, len(e.Error))
	}
	if e.Code != 0 {
		t.Errorf("code %d", e.Code)
	}
}

// Descriptors that come over the wire are not taken: closing one can last as long as who made it
// likes.
func TestNoDescriptorIsTaken(t *testing.T) {
	b := start(t, nil, "gives-away")
	next[loader.Loaded](b)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.Contains(target, "given-away") {
			t.Errorf("descriptor %s was taken", e.Name())
		}
	}
}

// Where our own files lie in a folder that the application's user may not enter, the start says so,
// and so does `uwsgi check`.
func TestClosedLibrary(t *testing.T) {
	needs.Root(t)
	dir, err := os.MkdirTemp("/tmp", "uwsgi-loader-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) // 0700
	if err := os.WriteFile(dir+"/loader.py", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cred := &syscall.Credential{Uid: 33, Gid: 33}
	_, started := loader.Start(loader.Spec{Python: "/bin/true", LibDir: dir, Credential: cred})
	for _, err := range []error{started, loader.Fits("/bin/true", dir, cred)} {
		if want := "uid 33 may not enter " + dir + " (mode 0700, of uid 0) (chmod o+x " + dir; err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}
