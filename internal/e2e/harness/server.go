package harness

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readyLine is what a server says when every worker of its first generation can serve.
const readyLine = `^uWSGI is ready`

// Server is one instance of uwsgi.
type Server struct {
	Dir string // a folder of its own, where it is started; anybody may look into it
	Log *Log
	PID int // the supervisor, 0 while it is not started

	t         testing.TB
	mark      string // in the environment of every process of the instance
	env       []string
	cmd       *exec.Cmd
	exited    chan struct{}
	fds       int      // the supervisor's descriptors when it was ready
	allowed   []string // patterns of complaints in the log that the test asks for
	tolerated []string
	keepFDs   bool
	under     []string // what it is started through
	init      bool     // it is process 1 of its own PID namespace
	daemon    bool     // the supervisor is no child of ours
}

// New makes a server that is not started yet. When the test ends it is stopped, and what it left
// behind is a failure.
func New(t testing.TB) *Server {
	t.Helper()
	// short: the path of a unix socket has 107 bytes; and open to the user that uid= names
	dir, err := os.MkdirTemp("", "uw")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{t: t, Dir: dir, Log: newLog(), mark: fmt.Sprintf("UWSGI_E2E_MARK=%d.%d", os.Getpid(), rand.Int64()),
		exited: make(chan struct{})}
	s.Unsetenv("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID")
	t.Cleanup(s.end)
	return s
}

// Path is the absolute path of a file in the server's folder.
func (s *Server) Path(name string) string { return filepath.Join(s.Dir, name) }

// Write makes a file in the server's folder, at one stroke: a worker may import it meanwhile.
func (s *Server) Write(name, text string) string {
	s.t.Helper()
	p := s.Path(name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	fresh := filepath.Join(filepath.Dir(p), ".fresh-"+filepath.Base(p))
	if err := os.WriteFile(fresh, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(fresh, p); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// Copy copies a file or a folder of testdata into the server's folder.
func (s *Server) Copy(from, to string) string {
	s.t.Helper()
	if st, err := os.Stat(from); err != nil {
		s.t.Fatal(err)
	} else if st.IsDir() {
		if err := os.CopyFS(s.Path(to), os.DirFS(from)); err != nil {
			s.t.Fatal(err)
		}
		return s.Path(to)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Write(to, string(b))
}

// Setenv puts NAME=VALUE entries into the environment it is started with.
func (s *Server) Setenv(entries ...string) { s.env = append(s.environ(), entries...) }

// Unsetenv takes names out of it.
func (s *Server) Unsetenv(names ...string) {
	s.env = slices.DeleteFunc(s.environ(), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains(names, name)
	})
}

func (s *Server) environ() []string {
	if s.env == nil {
		s.env = os.Environ()
	}
	return s.env
}

// Under has it started through another program that executes it in its own place (prlimit, unshare,
// a shell's exec …).
func (s *Server) Under(argv ...string) { s.under = argv }

// Init has it be process 1, with a /proc to match, as in a container that shares the network.
func (s *Server) Init() {
	s.init = true
	s.Under("/bin/sh", "-c", `mount --make-private /proc && mount -t proc proc /proc && exec "$0" "$@"`)
}

// Command is the program with arguments, in the server's folder and environment.
func (s *Server) Command(args ...string) *exec.Cmd {
	argv := append(append(slices.Clone(s.under), Binary()), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = s.Dir
	cmd.Env = append(slices.Clone(s.environ()), s.mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.init {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	}
	return cmd
}

// Launch starts it and does not wait.
func (s *Server) Launch(args ...string) {
	s.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = s.Command(args...)
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	w.Close()
	s.PID = s.cmd.Process.Pid
	go s.Log.follow(r)
	go func() {
		s.cmd.Wait()
		close(s.exited)
	}()
}

// Start starts it and waits until it serves.
func (s *Server) Start(args ...string) {
	s.t.Helper()
	s.Launch(args...)
	s.Log.Wait(s.t, readyLine)
	s.fds = len(descriptors(s.PID))
}

// Allow announces complaints in the log that the test provokes: each pattern must come, and what
// matches none fails the test.
func (s *Server) Allow(patterns ...string) { s.allowed = append(s.allowed, patterns...) }

// LooseFDs tells that the supervisor's descriptors will be others at the end than they were at the
// start.
func (s *Server) LooseFDs() { s.keepFDs = true }

// Processes are all living processes of the instance.
func (s *Server) Processes() []int { return marked(s.mark) }

// Signal sends a signal to the supervisor.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	Signal(s.t, s.PID, sig)
}

// Reload has it reload and waits for the new generation.
func (s *Server) Reload() {
	s.t.Helper()
	mark := s.Log.Mark()
	s.Signal(syscall.SIGHUP)
	s.Log.WaitFrom(s.t, mark, `^gracefully \(RE\)spawned uWSGI master process`)
}

// Exit waits for the end of the supervisor and gives its exit status, or the negative signal that
// killed it.
func (s *Server) Exit() int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(Patience):
		s.t.Fatalf("the supervisor did not end within %v:\n%s", Patience, s.Log.tail())
	}
	if len(s.Processes()) == 0 { // nobody writes any more: what they have written is read to its end
		select {
		case <-s.Log.ended:
		case <-time.After(goneWithin): // somebody without our mark: end complains
		}
	}
	if s.daemon {
		return 0
	}
	st := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if st.Signaled() {
		return -int(st.Signal())
	}
	return st.ExitStatus()
}

// Running reports whether the supervisor lives.
func (s *Server) Running() bool {
	select {
	case <-s.exited:
		return false
	default:
		return s.PID != 0
	}
}

// Stop ends it gracefully and checks that it ended well.
func (s *Server) Stop() {
	s.t.Helper()
	s.checkDescriptors()
	s.Signal(syscall.SIGTERM)
	if code := s.Exit(); code != 0 {
		s.t.Errorf("exit status %d after SIGTERM:\n%s", code, s.Log.tail())
	}
}
