package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Request is one line a client sends.
type Request struct {
	Command string `json:"command"`
	Arg     string `json:"arg,omitempty"`
}

// Answer is the one line that comes back, once the command is done.
type Answer struct {
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"`
}

// Handler carries out one command; its text or error is the answer.
type Handler func(ctx context.Context, arg string) (string, error)

// ErrNoControl: no instance with a control socket has that process id.
var ErrNoControl = errors.New("no control socket")

// controlName is the abstract socket of an instance. An abstract name needs no folder and goes with the process; who may speak on it
// is decided by SO_PEERCRED.
// SocketPrefix is what the abstract names of control sockets begin with; the process id follows.
const SocketPrefix = "@uwsgi-control-"

func controlName(pid int) string { return SocketPrefix + strconv.Itoa(pid) }

const (
	maxRequest     = 64 << 10
	requestTimeout = 5 * time.Second // to send a request, once connected
	maxControl     = 32              // clients at a time
)

// Socket is the control socket of an instance.
type Socket struct {
	l        *net.UnixListener
	handlers map[string]Handler
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// Serve opens the control socket of process pid and answers on it until Close. Only root and the user that runs the instance are heard.
func Serve(pid int, handlers map[string]Handler) (*Socket, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: controlName(pid), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Socket{l: l, handlers: handlers, cancel: cancel}
	s.wg.Go(func() { s.accept(ctx) })
	return s, nil
}

// Close ends what is under way without an answer and waits for it.
func (s *Socket) Close() error {
	s.cancel()
	err := s.l.Close()
	s.wg.Wait()
	return err
}

func (s *Socket) accept(ctx context.Context) {
	slots := make(chan struct{}, maxControl)
	for {
		c, err := s.l.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of descriptors: not at full speed
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
			s.wg.Go(func() {
				defer func() { <-slots }()
				s.answer(ctx, c)
			})
		default:
			c.Close()
		}
	}
}

func (s *Socket) answer(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	cred, err := peer(c)
	if err != nil {
		return
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		reply(c, Answer{Message: fmt.Sprintf("user %d may not control this instance", cred.Uid)})
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(requestTimeout))
	var req Request
	if err := json.NewDecoder(io.LimitReader(c, maxRequest)).Decode(&req); err != nil {
		reply(c, Answer{Message: "a request is one JSON object: " + err.Error()})
		return
	}
	h, ok := s.handlers[req.Command]
	if !ok {
		reply(c, Answer{Message: fmt.Sprintf("there is no command %q", req.Command)})
		return
	}
	text, err := h(ctx, req.Arg)
	if err != nil {
		reply(c, Answer{Message: err.Error()})
		return
	}
	reply(c, Answer{OK: true, Message: text})
}

func reply(c net.Conn, a Answer) {
	b, err := json.Marshal(a)
	if err != nil {
		return
	}
	_ = c.SetWriteDeadline(time.Now().Add(requestTimeout))
	_, _ = c.Write(append(b, '\n'))
}

func peer(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return cred, cerr
}

// ControlExists says whether process pid has a control socket.
func ControlExists(pid int) bool {
	c, err := dial(pid)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// dial connects to the control socket of pid and makes sure that it is that process's: anybody can take an abstract name.
func dial(pid int) (*net.UnixConn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: controlName(pid), Net: "unix"})
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, ErrNoControl
	}
	if err != nil {
		return nil, fmt.Errorf("control socket of process %d: %w", pid, err)
	}
	cred, err := peer(c)
	if err != nil || int(cred.Pid) != pid {
		c.Close()
		return nil, ErrNoControl
	}
	return c, nil
}

// Ask sends one request to the instance with process id pid and waits for the answer, which may take as long as the command does.
func Ask(pid int, req Request) (Answer, error) {
	c, err := dial(pid)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	b, err := json.Marshal(req)
	if err != nil {
		return Answer{}, err
	}
	if _, err := c.Write(append(b, '\n')); err != nil {
		return Answer{}, fmt.Errorf("control socket of process %d: %w", pid, err)
	}
	var a Answer
	if err := json.NewDecoder(c).Decode(&a); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the instance ended before it answered")
		}
		return Answer{}, fmt.Errorf("control socket of process %d: %w", pid, err)
	}
	return a, nil
}
