package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
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

// socketPrefix begins the abstract names of control sockets. What follows is random: names belong
// to the network namespace, which containers and all users of a host share, and nobody can take one
// before its instance does. /proc/net/unix publishes them, and SO_PEERCRED says whose each of them
// is.
const socketPrefix = "@uwsgi-control-"

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

// Serve opens a control socket of this process and answers on it until Close. Only root and the
// user that runs the instance are heard, and nobody outside of its PID namespace: root of another
// container in the same network is not root of this one.
func Serve(handlers map[string]Handler) (*Socket, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketPrefix + rand.Text(), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Socket{l: l, handlers: handlers, cancel: cancel}
	s.wg.Go(crash.Guarded(func() { s.accept(ctx) }))
	return s, nil
}

// Close ends what is under way without an answer and waits for it. A nil Socket has nothing to
// close.
func (s *Socket) Close() error {
	if s == nil {
		return nil
	}
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
			s.wg.Go(crash.Guarded(func() {
				defer func() { <-slots }()
				s.answer(ctx, c)
			}))
		default:
			c.Close()
		}
	}
}

func (s *Socket) answer(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, crash.Guarded(func() { c.Close() }))
	defer stop()
	cred, err := peer(c)
	if err != nil {
		return
	}
	if cred.Pid == 0 {
		reply(c, Answer{Message: "this instance runs in another PID namespace: ask from there, or send it a signal"})
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
