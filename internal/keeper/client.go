package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/attached"
	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/sys"
)

// Client is the supervisor's side. It is safe for concurrent use; a nil Client refuses everything.
type Client struct {
	plan Plan
	conn conn
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended

	mu      sync.Mutex // guards what follows
	last    uint64
	waiting map[uint64]chan answer
	gone    error // why there will be no more answers
}

type answer struct {
	reply
	fd int // -1 = none
}

// ErrGone is a keeper that has ended: what needs root cannot be done any more.
var ErrGone = errors.New("the keeper, which does what needs root, has ended: a restart brings it back")

var errNone = fmt.Errorf("%w: this instance keeps nothing of root", ErrNotPlanned)

// Start starts a keeper, as the user that this process is: root. binary is this program.
func Start(binary string, plan Plan) (*Client, error) {
	near, far, err := pair()
	if err != nil {
		return nil, err
	}
	defer far.Close()
	plan.Master = os.Getpid()
	written, err := planFile(plan)
	if err != nil {
		near.Close()
		return nil, err
	}
	defer written.Close()
	cmd := exec.Command(binary)
	cmd.Args = []string{name}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr
	cmd.ExtraFiles = []*os.File{far, written}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		near.Close()
		return nil, fmt.Errorf("start the keeper: %w", err)
	}
	c := &Client{plan: plan, conn: near, cmd: cmd, done: make(chan struct{}), waiting: map[uint64]chan answer{}}
	crash.Go(c.read)
	crash.Go(func() {
		defer close(c.done)
		_ = cmd.Wait()
	})
	return c, nil
}

// planFile is a plan in a file without a name.
func planFile(plan Plan) (*os.File, error) {
	body, err := json.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("keeper: encode the plan: %w", err)
	}
	fd, err := sys.Memfd("uwsgi-plan", int64(len(body)))
	if err != nil {
		return nil, fmt.Errorf("keeper: %w", err)
	}
	f := os.NewFile(uintptr(fd), "plan")
	if _, err = f.Write(body); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("keeper: write the plan: %w", err)
	}
	return f, nil
}

// PID is the keeper's process id.
func (c *Client) PID() int { return c.cmd.Process.Pid }

// Close lets the keeper go and waits for its end.
func (c *Client) Close() {
	if c == nil {
		return
	}
	c.conn.Close()
	<-c.done
}

// read hands the answers out until there are no more.
func (c *Client) read() {
	for {
		var a answer
		var err error
		if a.fd, err = c.conn.receive(&a.reply); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.gone = ErrGone
			for _, w := range c.waiting {
				close(w)
			}
			c.waiting = nil
			return
		}
		c.mu.Lock()
		w := c.waiting[a.ID]
		delete(c.waiting, a.ID)
		c.mu.Unlock()
		if w != nil {
			w <- a
		} else if a.fd >= 0 {
			unix.Close(a.fd)
		}
	}
}

// ask sends a request and waits for the answer.
func (c *Client) ask(q request, out *os.File) (answer, error) {
	if c == nil {
		return answer{}, errNone
	}
	w := make(chan answer, 1)
	c.mu.Lock()
	if c.gone != nil {
		defer c.mu.Unlock()
		return answer{}, c.gone
	}
	c.last++
	q.ID = c.last
	c.waiting[q.ID] = w
	c.mu.Unlock()
	fd := -1
	if out != nil {
		fd = int(out.Fd())
	}
	if err := c.conn.send(q, fd); err != nil {
		c.mu.Lock()
		delete(c.waiting, q.ID)
		c.mu.Unlock()
		return answer{}, fmt.Errorf("%w (%w)", ErrGone, err)
	}
	a, ok := <-w
	if !ok {
		return answer{}, ErrGone
	}
	if a.Error != "" {
		return a, &refusal{text: a.Error, errno: syscall.Errno(a.Errno)}
	}
	return a, nil
}

// refusal is what the keeper answers in place of doing it.
type refusal struct {
	text  string
	errno syscall.Errno
}

func (e *refusal) Error() string { return e.text }

func (e *refusal) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// descriptor asks for one.
func (c *Client) descriptor(q request) (answer, error) {
	a, err := c.ask(q, nil)
	if err == nil && a.fd < 0 {
		err = errors.New("the keeper answered without a descriptor")
	}
	return a, err
}

func (c *Client) file(q request) (*os.File, error) {
	a, err := c.descriptor(q)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(a.fd), q.Name), nil
}

// Settle tells the keeper that this process gives root up now.
func (c *Client) Settle() error {
	if c == nil {
		return nil
	}
	_, err := c.ask(request{Verb: verbSettle}, nil)
	return err
}

// Bind implements listen.Keeper for the sockets of the plan.
func (c *Client) Bind(key string) (fd int, dev, inode uint64, err error) {
	a, err := c.descriptor(request{Verb: verbBind, Name: key})
	return a.fd, a.Dev, a.Inode, err
}

// Log opens a log file for appending, with the owner and mode of the plan.
func (c *Client) Log(path string) (*os.File, error) {
	return c.file(request{Verb: verbLog, Name: path})
}

// RotateLog puts a log file aside.
func (c *Client) RotateLog(path string) error {
	_, err := c.ask(request{Verb: verbRotate, Name: path}, nil)
	return err
}

// WritePidfile writes this process's id.
func (c *Client) WritePidfile(path string) error {
	_, err := c.ask(request{Verb: verbPidfile, Name: path}, nil)
	return err
}

// FIFO makes a FIFO that belongs to the application's user, and opens it for reading and writing.
func (c *Client) FIFO(path string) (*os.File, error) {
	return c.file(request{Verb: verbFIFO, Name: path})
}

// Remove unlinks a socket, FIFO or pidfile of the plan.
func (c *Client) Remove(path string) error {
	_, err := c.ask(request{Verb: verbRemove, Name: path}, nil)
	return err
}

// Config opens a file of the first configuration for reading.
func (c *Client) Config(path string) (*os.File, error) {
	return c.file(request{Verb: verbConfig, Name: path})
}

// Hook carries out a hook of root's that the first configuration has, too; what it prints goes to
// out.
func (c *Client) Hook(h option.Hook, out *os.File) error {
	if c == nil {
		return errNone
	}
	for i, k := range c.plan.Hooks {
		if k.Phase == h.Phase && k.Action == h.Action && k.Arg == h.Arg {
			_, err := c.ask(request{Verb: verbHook, Number: i}, out)
			return err
		}
	}
	return ErrNotPlanned
}

// Daemon starts a daemon of the plan; what it prints goes to out.
func (c *Client) Daemon(d Daemon, out *os.File) (attached.Process, error) {
	if c == nil {
		return nil, errNone
	}
	for i, k := range c.plan.Daemons {
		if k.Command == d.Command && k.UID == d.UID && k.GID == d.GID && k.Dir == d.Dir {
			a, err := c.ask(request{Verb: verbDaemon, Number: i}, out)
			if err != nil {
				return nil, err
			}
			return &process{c: c, pid: a.PID}, nil
		}
	}
	return nil, ErrNotPlanned
}

// process is a daemon that the keeper started.
type process struct {
	c   *Client
	pid int
}

func (p *process) PID() int { return p.pid }

func (p *process) Wait() string {
	a, err := p.c.ask(request{Verb: verbWait, Number: p.pid}, nil)
	if err != nil {
		return "ended" // with the keeper
	}
	return a.Text
}

func (p *process) Signal(sig syscall.Signal) error {
	_, err := p.c.ask(request{Verb: verbSignal, Number: p.pid, Signal: int(sig)}, nil)
	return err
}
