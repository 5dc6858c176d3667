package dataplane

import (
	"encoding/json"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
	"uwsgi/internal/wire"
)

// forwardHandoffs forwards connections that other workers handed off and that the kernel woke this
// worker for, though it takes no more. Where all workers leave they are served here.
func (e *Engine) forwardHandoffs() {
	var mine []*conn
	for len(mine) < maxForwarded {
		cn := e.receiveHandoff()
		if cn == nil {
			break
		}
		mine = append(mine, cn)
	}
	for _, cn := range mine {
		e.letGo(cn)
	}
}

// forwardQueued hands off connections still in the accept queue: the kernel wakes one worker for
// each (EPOLLEXCLUSIVE). If that was this one, the others would notice only a second later. If more
// wait than are taken here, the others are awake anyway.
func (e *Engine) forwardQueued() {
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
				e.letGo(cn)
			}
		}
	}
}

// maxForwarded is more than the queue of the handoff socket holds.
const maxForwarded = 4096

// handoffWait is how long a draining worker waits, in all, for the others to take its idle
// connections.
const handoffWait = time.Second

// sendHandoff sends a connection that has no part of a request to whichever worker is free. False:
// nobody can take it.
func (e *Engine) sendHandoff(cn *conn) bool {
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

// serveHandoff serves a connection that another worker handed off.
func (c *Core) serveHandoff() {
	if cn := c.eng.receiveHandoff(); cn != nil {
		c.serve(cn)
	}
}

// descriptorFree reports whether this process may have one more descriptor.
func (e *Engine) descriptorFree() bool {
	fd, err := unix.FcntlInt(uintptr(e.wakefd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// receiveHandoff takes the next connection that another worker handed off; nil if there is none.
func (e *Engine) receiveHandoff() *conn {
	if e.boot.HandoffInFD <= 0 {
		return nil
	}
	var buf [512]byte
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		if !e.descriptorFree() { // the kernel would close the connection: it stays for another worker
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
