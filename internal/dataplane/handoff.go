package dataplane

import (
	"encoding/json"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
	"uwsgi/internal/wire"
)

// passOn hands on what other workers have handed to whoever comes first. The kernel may have told
// this one, which no longer listens. Where all leave it is served here.
func (e *Engine) passOn() {
	var mine []*conn
	for len(mine) < maxPassed {
		cn := e.takeHanded()
		if cn == nil {
			break
		}
		mine = append(mine, cn)
	}
	for _, cn := range mine {
		e.retire(cn)
	}
}

// passOnQueued hands on connections that wait to be accepted: the kernel tells one worker of each
// (EPOLLEXCLUSIVE), which may have been this one, and the others would look by themselves a second
// later only. Where more wait than are taken the others are awake.
func (e *Engine) passOnQueued() {
	if !e.handoff.Load() {
		return
	}
	var sa unix.RawSockaddrAny
	for _, l := range e.listeners {
		for range 8 {
			salen := uint32(unix.SizeofSockaddrAny)
			fd, errno := accept(l.FD, &sa, &salen)
			if errno != 0 {
				break
			}
			if cn := e.newConn(fd, l); cn != nil {
				setPeer(cn, &sa)
				e.retire(cn)
			}
		}
	}
}

// maxPassed is more than the queue of the handoff socket holds.
const maxPassed = 4096

// handoffWait is how long a draining worker waits, in all, for the others to take its idle
// connections.
const handoffWait = time.Second

func (e *Engine) handOn(cn *conn) bool {
	if !cn.plain { // what is between the socket and the request cannot travel
		return false
	}
	b, err := json.Marshal(wire.Handed{Listener: cn.lis.Name, Protocol: cn.lis.Protocol, Addr: cn.peer.Addr,
		Port: cn.peer.Port, Served: cn.served})
	if err != nil {
		return false
	}
	if cn.registered {
		unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
		cn.registered = false
	}
	rights := unix.UnixRights(cn.fd)
	for {
		err := unix.Sendmsg(e.boot.HandoffFD, b, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if err == nil {
			return true
		}
		// The queue holds a few hundred; a worker may have thousands.
		left := (e.patience.Load() - monotonic()) / int64(time.Millisecond)
		if err != unix.EAGAIN && err != unix.EINTR || left <= 0 || !waitWritable(e.boot.HandoffFD, int(left)) {
			return false
		}
	}
}

// adopt serves a connection that another worker handed on.
func (c *Core) adopt() {
	if cn := c.eng.takeHanded(); cn != nil {
		c.serve(cn)
	}
}

// room says that this process may have one more descriptor.
func (e *Engine) room() bool {
	fd, err := unix.FcntlInt(uintptr(e.wakefd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// takeHanded takes the next connection that another worker handed on; nil: there is none.
func (e *Engine) takeHanded() *conn {
	if e.boot.HandoffInFD <= 0 {
		return nil
	}
	var buf [512]byte
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		if !e.room() { // the kernel would close the connection: it stays for another worker
			return nil
		}
		n, oobn, _, _, err := unix.Recvmsg(e.boot.HandoffInFD, buf[:], oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err != nil || n == 0 {
			return nil
		}
		fd := oneDescriptor(oob[:oobn])
		if fd < 0 {
			continue // no descriptor was left for it: the kernel has closed the connection
		}
		var h wire.Handed
		if json.Unmarshal(buf[:n], &h) != nil {
			unix.Close(fd)
			continue
		}
		lis := e.listenerOf(h.Listener, h.Protocol)
		if lis == nil {
			unix.Close(fd)
			continue
		}
		if cn := e.newConn(fd, lis); cn != nil {
			cn.peer = request.Peer{Addr: h.Addr, Port: h.Port}
			cn.served, cn.unasked = h.Served, askAfter+1 // who had it may not have seen its client take all
			return cn
		}
	}
}
