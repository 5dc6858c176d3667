package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
)

// maxAnswer bounds what is read of an answer, for whoever sends it is another process. The
// statistics of ten thousand cores take 3 MB.
const maxAnswer = 8 << 20

// Instances are the processes that have a control socket, by their ids in order.
func Instances() []int {
	var pids []int
	eachSocket(func(c *net.UnixConn, pid int) bool {
		c.Close()
		if !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
		return true
	})
	slices.Sort(pids)
	return pids
}

// ControlExists reports whether process pid has a control socket.
func ControlExists(pid int) bool {
	c, err := dial(pid)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Ask sends one request to the instance with process id pid and waits for the answer, which may
// take as long as the command does, or until ctx ends. The answer's text is that process's own and
// may hold anything.
func Ask(ctx context.Context, pid int, req Request) (Answer, error) {
	c, err := dial(pid)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, crash.Guarded(func() { _ = c.SetDeadline(time.Unix(1, 0)) }))()
	a, err := exchange(c, req)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return Answer{}, fmt.Errorf("control socket of process %d: %w", pid, err)
	}
	return a, nil
}

func exchange(c net.Conn, req Request) (Answer, error) {
	b, err := json.Marshal(req)
	if err != nil {
		return Answer{}, err
	}
	_, unsent := c.Write(append(b, '\n'))
	var a Answer
	err = json.NewDecoder(io.LimitReader(c, maxAnswer)).Decode(&a)
	switch {
	case err == nil:
		return a, nil // a user who may not ask is told so before he has
	case unsent != nil:
		return Answer{}, unsent
	case errors.Is(err, io.EOF):
		return Answer{}, errors.New("the instance ended before it answered")
	}
	return Answer{}, err
}

// dial connects to the control socket of process pid.
func dial(pid int) (*net.UnixConn, error) {
	var found *net.UnixConn
	eachSocket(func(c *net.UnixConn, owner int) bool {
		if owner != pid {
			c.Close()
			return true
		}
		found = c
		return false
	})
	if found == nil {
		return nil, ErrNoControl
	}
	return found, nil
}

// eachSocket connects to every control socket of this network namespace whose owner is in this PID
// namespace, until f says that it has enough. f closes the connection.
func eachSocket(f func(c *net.UnixConn, pid int) bool) {
	for _, name := range socketNames() {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name, Net: "unix"})
		if err != nil {
			continue // gone, or its queue is full
		}
		cred, err := peer(c)
		if err != nil || !genuine(cred, standingOf) {
			c.Close()
			continue
		}
		if !f(c, int(cred.Pid)) {
			return
		}
	}
}

// genuine reports whether the process that began to listen with these credentials is the one that
// has its id now, and hears us. The id alone does not tell: a process can end and leave the socket
// to another, and its id to an instance. An instance that has changed its user listens as root.
func genuine(cred *unix.Ucred, of func(pid int) (standing, bool)) bool {
	if cred.Pid <= 0 {
		return false // of another PID namespace
	}
	now, ok := of(int(cred.Pid))
	return ok && !now.inner && (cred.Uid == 0 || cred.Uid == now.uid)
}

// standing is what /proc/PID/status tells of a process: proc(5).
type standing struct {
	uid   uint32 // the user it acts as; the owner of /proc/PID would be root for one that has changed its user
	inner bool   // it is in a PID namespace below this one
}

func standingOf(pid int) (standing, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return standing{}, false
	}
	var s standing
	found := false
	for line := range strings.Lines(string(b)) {
		switch f := strings.Fields(line); {
		case len(f) == 5 && f[0] == "Uid:": // real, effective, saved, of the file system
			n, err := strconv.ParseUint(f[2], 10, 32)
			s.uid, found = uint32(n), err == nil
		case len(f) > 2 && f[0] == "NSpid:": // its id here, and in each namespace below
			s.inner = true
		}
	}
	return s, found
}

// socketNames are the abstract names that control sockets listen at. Anybody can make one: their
// owner is what counts.
func socketNames() []string {
	f, err := os.Open("/proc/self/net/unix")
	if err != nil {
		return nil
	}
	defer f.Close()
	var names []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		// Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is that of a socket that
		// listens.
		fields := strings.Fields(sc.Text())
		if len(fields) == 8 && fields[3] == "00010000" && strings.HasPrefix(fields[7], socketPrefix) {
			names = append(names, fields[7])
		}
	}
	return names
}
