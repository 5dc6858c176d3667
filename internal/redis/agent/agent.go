// Package agent is the process that talks to Redis, with go-redis: package redis says what for.
package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
	"uwsgi/internal/redis"
)

// agent answers the other processes of an instance.
type agent struct {
	owner string             // of leases: the supervisor's life
	board *redis.Board       // what it counts; nil = nothing
	peer  func(net.Conn) int // a descriptor of the process that made a connection, -1 = unknown

	mu      sync.Mutex // guards what follows
	servers map[string]*server
	leases  map[string]*lease
	held    map[string]*client // who holds a job, by its token
}

func newAgent(owner string, peer func(net.Conn) int) *agent {
	return &agent{owner: owner, peer: peer, servers: map[string]*server{}, leases: map[string]*lease{},
		held: map[string]*client{}}
}

// Serve is the agent's life: args are its own, without the name. It ends with its supervisor.
func Serve(args []string) int {
	defer crash.Guard()
	runtime.GOMAXPROCS(2)
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "this program is started by uwsgi")
		return 1
	}
	// of the group; the lifeline says when
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGTERM)
	board, err := redis.OpenBoard(os.NewFile(redis.BoardFD, "board"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "uwsgi-redis:", err)
		return 1
	}
	a := newAgent(args[0], peer)
	a.board = board
	crash.Go(func() { a.admit(os.NewFile(redis.DoorFD, "door")) })
	_, _ = os.NewFile(redis.LifelineFD, "lifeline").Read(make([]byte, 1))
	a.giveUp()
	return 0
}

// admit takes the connections that come through the door.
func (a *agent) admit(door *os.File) {
	fd := int(door.Fd())
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4*8))
	for {
		n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			continue
		}
		for i := range messages {
			fds, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				continue
			}
			for _, fd := range fds {
				f := os.NewFile(uintptr(fd), "connection")
				conn, err := net.FileConn(f)
				f.Close()
				if err == nil {
					crash.Go(func() { a.converse(conn) })
				}
			}
		}
	}
}

// client is one connection, and what it holds.
type client struct {
	agent *agent
	conn  net.Conn
	pidfd int // of the process that made it; -1: it is gone

	mu   sync.Mutex
	held map[string]*hold // jobs, by name; nil: the connection is over
}

// operations are what can be asked; a has what stands behind the URL. One that returns errTaken
// has taken the connection over, to its end.
var operations = map[string]struct {
	args int
	do   func(ctx context.Context, c *client, s *server, a []string) ([]string, error)
}{
	"check":  {0, func(context.Context, *client, *server, []string) ([]string, error) { return nil, nil }},
	"ping":   {0, ping},
	"put":    {5, putJob},
	"claim":  {1, claimJob},
	"hold":   {3, holdJob},
	"begin":  {2, beginJob},
	"end":    {4, endJob},
	"jobs":   {0, listJobs},
	"job":    {1, showJob},
	"retry":  {1, retryJob},
	"drop":   {1, dropJob},
	"watch":  {0, watchJobs},
	"lease":  {1, watchLease},
	"lord":   {1, holdsLease},
	"once":   {3, claimMinute},
	"yield":  {1, yieldLease},
	"get":    {2, cacheGet},
	"num":    {2, cacheNum},
	"set":    {4, cacheSet},
	"update": {4, cacheUpdate},
	"del":    {2, cacheDel},
	"exists": {2, cacheExists},
	"clear":  {1, cacheClear},
	"keys":   {1, cacheKeys},
	"arith":  {5, cacheArith},
}

// local are those that Redis is not asked for.
var local = map[string]bool{"check": true, "lease": true, "lord": true, "watch": true}

// ofCaches are those whose second argument is a cache.
var ofCaches = map[string]bool{"get": true, "num": true, "set": true, "update": true, "del": true, "exists": true,
	"clear": true, "keys": true, "arith": true}

// errTaken ends a connection whose request has had it to its end.
const errTaken = refusal("the connection is over")

func (a *agent) converse(conn net.Conn) {
	c := &client{agent: a, conn: conn, pidfd: a.peer(conn), held: map[string]*hold{}}
	defer c.leave()
	for first := true; ; first = false {
		request, err := redis.ReadFrame(conn)
		if err != nil || first && hungUp(conn) { // it waited at the door, and nobody for the answer
			return
		}
		answer, err := a.answer(c, request)
		if errors.Is(err, errTaken) {
			return
		}
		if err != nil {
			err = redis.WriteFrame(conn, "-", err.Error())
		} else {
			err = redis.WriteFrame(conn, append([]string{"+"}, answer...)...)
		}
		if err != nil {
			return
		}
	}
}

func (a *agent) answer(c *client, request []string) ([]string, error) {
	if len(request) < 2 {
		return nil, errors.New("no request")
	}
	op, ok := operations[request[0]]
	if !ok || len(request)-2 != op.args {
		return nil, fmt.Errorf("there is no operation %q with %d arguments", request[0], len(request)-2)
	}
	s, err := a.server(request[1])
	if err != nil {
		return nil, err
	}
	var answer []string
	if s.away.Load() && !local[request[0]] {
		err = errAway
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), redis.PatienceFor(request))
		defer cancel()
		answer, err = op.do(ctx, c, s, request[2:])
		err = s.judge(err)
	}
	if err != nil && ofCaches[request[0]] {
		figures := s.figures(request[2])
		if figures.Failed.Add(1); isFull(err) {
			figures.Full.Add(1)
		}
	}
	return answer, err
}

func ping(ctx context.Context, _ *client, s *server, _ []string) ([]string, error) {
	return nil, s.Ping(ctx).Err()
}

// leave lets go of what a client held: its process has ended, or gone over to another connection.
func (c *client) leave() {
	c.conn.Close()
	c.mu.Lock()
	held := c.held
	c.held = nil
	c.mu.Unlock()
	for _, h := range held {
		close(h.gone)
	}
	for _, h := range held {
		<-h.stopped
	}
	if c.pidfd >= 0 {
		unix.Close(c.pidfd)
	}
}

// peer is a descriptor of the process that made a connection.
func peer(conn net.Conn) int {
	pidfd := -1
	control(conn, func(fd int) {
		var err error
		if pidfd, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD); err == nil {
			return
		}
		pidfd = -1
		if cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			if pidfd, err = unix.PidfdOpen(int(cred.Pid), 0); err != nil {
				pidfd = -1
			}
		}
	})
	if pidfd >= 0 && hungUp(conn) { // the number may be another's by now
		unix.Close(pidfd)
		pidfd = -1
	}
	return pidfd
}

func control(conn net.Conn, f func(fd int)) {
	if raw, err := conn.(*net.UnixConn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}

// hungUp reports whether the other end of a connection is closed.
func hungUp(conn net.Conn) (yes bool) {
	control(conn, func(fd int) { yes = ready(fd, unix.POLLHUP) })
	return yes
}

// ended reports whether the process of a pidfd has.
func ended(pidfd int) bool { return pidfd < 0 || ready(pidfd, unix.POLLIN) }

func ready(fd int, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n > 0 && fds[0].Revents&events != 0
		}
	}
}

// say writes a line to the log.
func say(text string) { fmt.Fprintln(os.Stderr, "[redis] "+strings.ReplaceAll(text, "\n", " ")) }
