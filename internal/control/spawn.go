package control

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
)

// process is a running command.
type process interface {
	PID() int
	Wait() string // how it ended: "exited with status 1", "killed by signal 9"
	Signal(sig syscall.Signal) error
}

// spec is a command to start.
type spec struct {
	shell      string // for /bin/sh -c
	dir        string
	env        []string // nil = ours
	stdin      bool     // keep ours
	stderr     *os.File // nil = ours
	credential *syscall.Credential
	group      bool // a session of its own, and signals go to its whole group
	free       bool // it outlives this process
}

// spawner starts processes that die with this one, kill -9 included. PR_SET_PDEATHSIG follows the thread that forked, so one thread does all the
// forking and lives until Close.
type spawner struct {
	jobs chan func()
	once sync.Once
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), done: make(chan struct{})}
	crash.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(s.done)
		for job := range s.jobs {
			job()
		}
	})
	return s
}

// close ends the thread, and by that every process that still runs.
func (s *spawner) close() {
	s.once.Do(func() { close(s.jobs) })
	<-s.done
}

func (s *spawner) start(sp spec) (process, error) {
	cmd := exec.Command("/bin/sh", "-c", sp.shell)
	cmd.Dir, cmd.Env = sp.dir, sp.env
	if sp.stdin {
		cmd.Stdin = os.Stdin
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if sp.stderr != nil {
		cmd.Stdout, cmd.Stderr = sp.stderr, sp.stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: sp.group, Credential: sp.credential}
	if !sp.free {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	result := make(chan error, 1)
	s.jobs <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return nil, fmt.Errorf("%s: %w", sp.shell, err)
	}
	return &child{cmd: cmd, group: sp.group}, nil
}

type child struct {
	cmd   *exec.Cmd
	group bool
}

func (c *child) PID() int { return c.cmd.Process.Pid }

func (c *child) Wait() string { return ending(c.cmd.Wait()) }

func (c *child) Signal(sig syscall.Signal) error {
	if c.group {
		return syscall.Kill(-c.PID(), sig)
	}
	return c.cmd.Process.Signal(sig)
}

// ending says how a command ended.
func ending(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "exited with status 0"
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

// afterOr waits for d or for stop, and says whether stop came.
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
