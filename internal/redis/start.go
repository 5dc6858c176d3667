package redis

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
)

// Binary is the agent's program, in the folder of the worker library.
const Binary = "uwsgi-redis"

// Descriptors of an agent, which Start gives it.
const (
	DoorFD     = 3
	LifelineFD = 4
	BoardFD    = 5
)

// Agent is the supervisor's end: it keeps an agent running.
type Agent struct {
	Door *Door

	board    *Board
	print    func(string)
	life     *os.File // closed: the agent ends
	end      *os.File // of the agent
	figures  *os.File // of the board
	owner    string
	binary   string
	cred     *syscall.Credential
	stop     chan struct{}
	finished chan struct{}

	mu      sync.Mutex
	process *os.Process // nil = none runs
}

// Start starts an agent, and another one whenever it ends. binary is its program, cred who it runs
// as, nil = this user; print gets what it says, a line at a time.
func Start(binary string, cred *syscall.Credential, print func(string)) (*Agent, error) {
	door, err := NewDoor()
	if err != nil {
		return nil, err
	}
	end, life, err := os.Pipe()
	if err != nil {
		door.close()
		return nil, fmt.Errorf("redis: %w", err)
	}
	a := &Agent{Door: door, print: print, life: life, end: end, owner: rand.Text(), binary: binary, cred: cred,
		stop: make(chan struct{}), finished: make(chan struct{})}
	if a.figures, err = NewBoard(); err == nil {
		a.board, err = OpenBoard(a.figures)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	first, err := a.launch()
	if err != nil {
		a.close()
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s, which talks to Redis, is not installed (with pip it is uwsgi[redis])", binary)
		}
		return nil, err
	}
	crash.Go(func() { a.run(first) })
	return a, nil
}

const (
	quick   = 3 * time.Second // an agent that lived no longer is waited for before the next
	longest = 30 * time.Second
	starts  = 10 * time.Second // for the answer of one that has just been started
)

func (a *Agent) launch() (*exec.Cmd, error) {
	cmd := exec.Command(a.binary, a.owner)
	cmd.Stderr = &lines{print: a.print}
	cmd.ExtraFiles = []*os.File{a.Door.Out, a.end, a.figures} // DoorFD, LifelineFD, BoardFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.cred}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	a.set(cmd.Process)
	return cmd, nil
}

func (a *Agent) run(cmd *exec.Cmd) {
	defer close(a.finished)
	delay := time.Duration(0)
	for {
		began, err := time.Now(), error(nil)
		if cmd == nil {
			cmd, err = a.launch()
		}
		how := "it has ended"
		if err == nil {
			err = cmd.Wait()
			a.set(nil)
		}
		if err != nil {
			how = err.Error()
		}
		cmd = nil
		select {
		case <-a.stop:
			return
		default:
		}
		if time.Since(began) > quick {
			delay = 0
		}
		a.print(fmt.Sprintf("[redis] %s is started again in %s: %s", Binary, delay, how))
		select {
		case <-a.stop:
			return
		case <-time.After(delay):
		}
		delay = min(longest, max(time.Second, 2*delay))
	}
}

// Check asks the agent whether it understands a URL; Redis is not asked anything.
func (a *Agent) Check(address string) error {
	conn, err := a.Door.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(starts))
	if err := WriteFrame(conn, "check", address); err != nil {
		return fmt.Errorf("%s: %w", Binary, err)
	}
	answer, err := ReadFrame(conn)
	switch {
	case err != nil:
		return fmt.Errorf("%s does not answer: %w", Binary, err)
	case len(answer) > 1 && answer[0] == "-":
		return errors.New(answer[1])
	}
	return nil
}

func (a *Agent) set(p *os.Process) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.process = p
}

// Figures are those of a cache, by URL and name.
func (a *Agent) Figures(address, cache string) *Figures { return a.board.Of(address, cache) }

// Kill ends the agent at once; another one takes its place.
func (a *Agent) Kill() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.process != nil {
		_ = a.process.Kill() // one that has ended is none
	}
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
	case <-time.After(2 * Patience):
		a.Kill()
		<-a.finished
	}
	a.close()
}

func (a *Agent) close() {
	a.life.Close()
	a.end.Close()
	a.figures.Close() // nil is none
	a.board.close()
	a.Door.close()
}

// longestLine is where a line is cut that the agent does not end.
const longestLine = 16 << 10

// lines prints what is written to it, a line at a time.
type lines struct {
	print func(string)
	rest  []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		switch {
		case !ok && len(line) < longestLine:
			return len(p), nil
		case len(line) > longestLine:
			line, rest = l.rest[:longestLine], l.rest[longestLine:]
		}
		l.print(string(line))
		l.rest = rest
	}
}
