package redis

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
)

// Agent is the supervisor's end: it keeps an agent running.
type Agent struct {
	Door *Door

	print    func(string)
	life     *os.File // closed: the agent ends
	end      *os.File // of the agent
	owner    string
	binary   string
	cred     *syscall.Credential
	stop     chan struct{}
	finished chan struct{}

	mu  sync.Mutex
	pid int
}

// Start starts an agent, and another one whenever it ends. binary is this program,
// cred who it runs as, nil = this user.
func Start(binary string, cred *syscall.Credential, print func(string)) (*Agent, error) {
	door, err := NewDoor()
	if err != nil {
		return nil, err
	}
	end, life, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	a := &Agent{Door: door, print: print, life: life, end: end, owner: rand.Text(), binary: binary, cred: cred,
		stop: make(chan struct{}), finished: make(chan struct{})}
	crash.Go(a.run)
	return a, nil
}

const (
	quick   = 3 * time.Second // an agent that lived no longer is waited for before the next
	longest = 30 * time.Second
)

func (a *Agent) run() {
	defer close(a.finished)
	delay := time.Duration(0)
	for {
		began := time.Now()
		cmd := exec.Command(a.binary)
		cmd.Args = []string{agentName, a.owner}
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		cmd.ExtraFiles = []*os.File{a.Door.Out, a.end}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.cred}
		err := cmd.Start()
		if err == nil {
			a.set(cmd.Process.Pid)
			err = cmd.Wait()
			a.set(0)
		}
		select {
		case <-a.stop:
			return
		default:
		}
		if time.Since(began) > quick {
			delay = 0
		}
		how := "ended"
		if err != nil {
			how = err.Error()
		}
		a.print(fmt.Sprintf("[redis] the agent is started again in %s: %s", delay, how))
		select {
		case <-a.stop:
			return
		case <-time.After(delay):
		}
		delay = min(longest, max(time.Second, 2*delay))
	}
}

func (a *Agent) set(pid int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pid = pid
}

// PID is the agent's process id, 0 while there is none.
func (a *Agent) PID() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pid
}

// Stop ends the agent, which leaves its leases to others; nil has nothing to end.
func (a *Agent) Stop() {
	if a == nil {
		return
	}
	close(a.stop)
	a.life.Close()
	select {
	case <-a.finished:
	case <-time.After(2 * patience):
		a.mu.Lock()
		if a.pid > 1 {
			_ = syscall.Kill(a.pid, syscall.SIGKILL)
		}
		a.mu.Unlock()
		<-a.finished
	}
	a.Door.In.Close()
	a.Door.Out.Close()
	a.end.Close()
}
