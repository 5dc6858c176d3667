package loader

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"uwsgi/internal/access"
	"uwsgi/internal/sys"
	"uwsgi/internal/wire"

	"golang.org/x/sys/unix"
)

// Spec is what a loader is started with. The files stay the caller's; Start needs them only while
// it runs.
type Spec struct {
	Python     string   // path of the interpreter
	Args       []string // its options, before the name of loader.py
	LibDir     string
	Dir        string              // working directory, "" = the supervisor's
	Env        []string            // as the application shall see it
	Credential *syscall.Credential // nil = keep the supervisor's
	OwnGroup   bool                // a process group of its own, so that ^C at a terminal reaches the supervisor alone
	Limits     Limits

	Boot       wire.Boot // Start fills in the descriptors, Setenv and Unsetenv
	Listeners  []*os.File
	Scoreboard int             // descriptor of the board
	RequestLog *os.File        // nil = nowhere
	Handoff    [2]*os.File     // the end that is sent to, the end that is received from; nil = none
	Queues     [][2]*os.File   // of Boot.Queues: In, Out
	Hands      []*os.File      // Boot.Hands
	Locks      *os.File        // what uwsgi.lock locks; nil = none
	Alarms     *os.File        // where uwsgi.alarm sends to; nil = nowhere
	Areas      []*os.File      // of Boot.Areas
	Redis      *os.File        // the door to Redis' agent; nil = none
	Stdio      [3]*os.File     // nil = the supervisor's own
	Events     chan<- Event    // where everything is reported
	Done       <-chan struct{} // closed once nobody reads Events any more
}

// firstListener is the descriptor of the first listening socket in a loader.
const firstListener = 6

const (
	tunables = "GLIBC_TUNABLES"
	// room for the data plane's static TLS beside many native libraries
	tunableTLS  = "glibc.rtld.optional_static_tls=4096"
	loaderPy    = "loader.py"
	libraryName = "_uwsgi.abi3.so"
	noFD        = -1
)

// Start starts a loader. It returns as soon as the process runs; whether the application could be
// imported is an event.
func Start(spec Spec) (*Loader, error) {
	if err := reachable(spec.LibDir, spec.Credential); err != nil {
		return nil, err
	}
	files := []*os.File{stdio(spec.Stdio[0], os.Stdin), stdio(spec.Stdio[1], os.Stdout),
		stdio(spec.Stdio[2], os.Stderr)}
	ours, theirs, err := packetPair(fmt.Sprintf("loader %d", spec.Boot.Generation))
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	fds := make([]uintptr, 0, firstListener+len(spec.Listeners)+3)
	for _, f := range append(files, theirs) {
		fd, err := rawFD(f)
		if err != nil {
			ours.close()
			return nil, fmt.Errorf("start loader: descriptor of %s: %w", f.Name(), err)
		}
		fds = append(fds, uintptr(fd))
	}
	boot := spec.Boot
	preloaded, err := preload(spec.Python, filepath.Join(spec.LibDir, libraryName))
	if err != nil {
		ours.close()
		return nil, err
	}
	env := environment(&boot, spec.Env, preloaded)
	extra, err := number(&boot, spec)
	if err != nil {
		ours.close()
		return nil, err
	}
	memfd, err := bootFile(&boot)
	if err != nil {
		ours.close()
		return nil, err
	}
	defer unix.Close(memfd)
	fds = append(fds, uintptr(memfd), uintptr(spec.Scoreboard))
	fds = append(fds, extra...)

	pidfd := -1
	argv := append(append([]string{spec.Python}, spec.Args...), filepath.Join(spec.LibDir, loaderPy), spec.LibDir)
	dir := spec.Dir
	if at, err := os.Getwd(); err == nil && at == dir {
		dir = "" // it need not be entered, which the user may not be allowed to
	}
	pid, _, err := syscall.StartProcess(spec.Python, argv, &syscall.ProcAttr{
		Dir: dir, Env: env, Files: fds,
		Sys: &syscall.SysProcAttr{Credential: spec.Credential, Setpgid: spec.OwnGroup, PidFD: &pidfd},
	})
	if err != nil {
		ours.close()
		return nil, startError(spec, err)
	}
	p, err := childProcess(pid, pidfd)
	if err == nil {
		if err = spec.Limits.apply(pid); err == nil {
			return watchLoader(spec, p, ours), nil
		}
		p.signal(syscall.SIGKILL)
		p.wait()
		p.reap()
		p.close()
	}
	ours.close()
	return nil, err
}

// number puts the descriptors into boot that the files of spec will have in the loader, and returns
// them in that order.
func number(boot *wire.Boot, spec Spec) ([]uintptr, error) {
	var fds []uintptr
	next := func(f *os.File) (int, error) {
		if f == nil {
			return noFD, nil
		}
		fd, err := rawFD(f)
		if err != nil {
			return noFD, fmt.Errorf("start loader: descriptor of %s: %w", f.Name(), err)
		}
		fds = append(fds, uintptr(fd))
		return firstListener + len(fds) - 1, nil
	}
	boot.Listeners = append([]wire.Listener(nil), boot.Listeners...)
	if len(boot.Listeners) != len(spec.Listeners) {
		return nil, fmt.Errorf("start loader: %d listening sockets for %d descriptions",
			len(spec.Listeners), len(boot.Listeners))
	}
	var err error
	for i, f := range spec.Listeners {
		if boot.Listeners[i].FD, err = next(f); err != nil {
			return nil, err
		}
	}
	boot.ScoreboardFD = firstListener - 1
	if boot.RequestLog.FD, err = next(spec.RequestLog); err != nil {
		return nil, err
	}
	if boot.HandoffFD, err = next(spec.Handoff[0]); err != nil {
		return nil, err
	}
	if boot.HandoffInFD, err = next(spec.Handoff[1]); err != nil {
		return nil, err
	}
	if boot.LockFD, err = next(spec.Locks); err != nil {
		return nil, err
	}
	if boot.AlarmFD, err = next(spec.Alarms); err != nil {
		return nil, err
	}
	boot.Areas = append([]wire.Area(nil), boot.Areas...)
	for i, f := range spec.Areas {
		if boot.Areas[i].FD, err = next(f); err != nil {
			return nil, err
		}
	}
	boot.Queues = append([]wire.Queue(nil), boot.Queues...)
	for i, ends := range spec.Queues {
		q := &boot.Queues[i]
		if q.In, err = next(ends[0]); err != nil {
			return nil, err
		}
		if q.Out, err = next(ends[1]); err != nil {
			return nil, err
		}
	}
	boot.Hands = nil
	for _, f := range spec.Hands {
		fd, err := next(f)
		if err != nil {
			return nil, err
		}
		boot.Hands = append(boot.Hands, fd)
	}
	boot.RedisFD, err = next(spec.Redis)
	return fds, err
}

// environment adds to env what the interpreter needs, the library to preload ("" for none) among
// it, and tells boot how to undo it before the application sees it.
func environment(boot *wire.Boot, env []string, preloaded string) []string {
	boot.Unsetenv, boot.Setenv = nil, map[string]string{}
	if preloaded != "" {
		return withVariable(boot, env, "LD_PRELOAD", preloaded)
	}
	return withVariable(boot, env, tunables, tunableTLS)
}

// withVariable gives env with value added to a variable that is a list of such, separated by
// colons.
func withVariable(boot *wire.Boot, env []string, name, value string) []string {
	out := make([]string, 0, len(env)+1)
	for _, kv := range env {
		if old, ok := strings.CutPrefix(kv, name+"="); ok {
			value, boot.Setenv[name] = old+":"+value, old
			continue
		}
		out = append(out, kv)
	}
	if len(boot.Setenv) == 0 {
		boot.Unsetenv = []string{name}
	}
	return append(out, name+"="+value)
}

// bootFile is boot as JSON in a memfd, ready to be read from its start.
func bootFile(boot *wire.Boot) (int, error) {
	body, err := json.Marshal(boot)
	if err != nil {
		return -1, fmt.Errorf("start loader: encode boot: %w", err)
	}
	fd, err := sys.Memfd("uwsgi-boot", int64(len(body)))
	if err != nil {
		return -1, fmt.Errorf("start loader: %w", err)
	}
	for off := 0; off < len(body); {
		n, err := unix.Pwrite(fd, body[off:], int64(off))
		if err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("start loader: write boot: %w", err)
		}
		off += n
	}
	return fd, nil
}

func childProcess(pid, pidfd int) (*process, error) {
	if pidfd < 0 {
		return openProcess(pid)
	}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		unix.Close(pidfd)
		return nil, fmt.Errorf("pidfd of %d: %w", pid, err)
	}
	return newProcess(pid, os.NewFile(uintptr(pidfd), fmt.Sprintf("pidfd of %d", pid)))
}

// reachable says which folder keeps the application's user from our own files: a checkout in root's
// home is the usual one.
func reachable(libDir string, cred *syscall.Credential) error {
	var b *access.Blocked
	if errors.As(access.Check(filepath.Join(libDir, loaderPy), access.Read, cred), &b) {
		return fmt.Errorf("%s, which is a part of this program: %v (%s, or install the program where everybody may "+
			"read it: make install)", filepath.Join(libDir, loaderPy), b, b.Hint())
	}
	return nil
}

func startError(spec Spec, err error) error {
	as := ""
	if c := spec.Credential; c != nil {
		as = fmt.Sprintf(" as uid %d gid %d", c.Uid, c.Gid)
	}
	err = fmt.Errorf("start %s in %q%s: %w", spec.Python, spec.Dir, as, err)
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	for _, way := range []struct {
		path string
		need access.Need
	}{{spec.Dir, access.Enter}, {spec.Python, access.Run}} {
		var b *access.Blocked
		if errors.As(access.Check(way.path, way.need, spec.Credential), &b) {
			return fmt.Errorf("%w: %v (%s)", err, b, b.Hint())
		}
	}
	return err
}

func stdio(f, otherwise *os.File) *os.File {
	if f != nil {
		return f
	}
	return otherwise
}
