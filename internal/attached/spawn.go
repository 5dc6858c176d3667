package attached

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
)

// Process is a running command.
type Process interface {
	PID() int
	Wait() string // how it ended: "exited with status 1", "killed by signal 9"
	Signal(sig syscall.Signal) error
}

// Command is what to start.
type Command struct {
	Shell      string // for /bin/sh -c
	Dir        string
	Env        []string            // nil = this process's
	Stdin      bool                // keep this process's
	Stderr     *os.File            // stdout and stderr; nil = this process's stderr
	Credential *syscall.Credential // nil = this user
	Group      bool                // a session of its own, and signals go to its whole group
	Free       bool                // it outlives this process
}

// Spawner starts processes that die with this one, kill -9 included. PR_SET_PDEATHSIG follows the
// thread that forked, so one thread does all the forking and lives until Close.
type Spawner struct {
	jobs chan func()
	once sync.Once
	done chan struct{}
}

// NewSpawner makes a spawner; Close ends it.
func NewSpawner() *Spawner {
	s := &Spawner{jobs: make(chan func()), done: make(chan struct{})}
	crash.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(s.done)
		for job := range s.jobs {
			job()
		}
	})
	return s
}

// Close ends the thread, and by that every process that still runs.
func (s *Spawner) Close() {
	s.once.Do(func() { close(s.jobs) })
	<-s.done
}

// Start starts a command; it returns as soon as that runs.
func (s *Spawner) Start(sp Command) (Process, error) {
	cmd := exec.Command("/bin/sh", "-c", sp.Shell)
	cmd.Dir, cmd.Env = sp.Dir, sp.Env
	if sp.Stdin {
		cmd.Stdin = os.Stdin
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if sp.Stderr != nil {
		cmd.Stdout, cmd.Stderr = sp.Stderr, sp.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: sp.Group, Credential: sp.Credential}
	if !sp.Free {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	result := make(chan error, 1)
	s.jobs <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return nil, fmt.Errorf("%s: %w", sp.Shell, err)
	}
	return &child{cmd: cmd, group: sp.Group}, nil
}

// child is a command. Its process id, which is its group's too, is nobody else's until it is
// reaped, and only until then it is signalled.
type child struct {
	cmd   *exec.Cmd
	group bool

	mu     sync.Mutex // held while it is reaped or signalled
	reaped bool
}

func (c *child) PID() int { return c.cmd.Process.Pid }

func (c *child) Wait() string {
	for unix.Waitid(unix.P_PID, c.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reaped = true
	return ending(c.cmd.Wait())
}

func (c *child) Signal(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return os.ErrProcessDone
	}
	if c.group {
		return syscall.Kill(-c.PID(), sig)
	}
	return c.cmd.Process.Signal(sig)
}

// success is how a command ends that has nothing to complain of.
const success = "exited with status 0"

// ending says how a command ended.
func ending(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return success
	case errors.As(err, &exit):
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return fmt.Sprintf("killed by signal %d", ws.Signal())
		}
		return fmt.Sprintf("exited with status %d", exit.ExitCode())
	case errors.Is(err, syscall.ECHILD):
		return "ended" // somebody else waited for it
	}
	return err.Error()
}

// afterOr waits for d or for stop, and reports whether stop came.
func afterOr(stop <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-stop:
		return true
	case <-t.C:
		return false
	}
}
