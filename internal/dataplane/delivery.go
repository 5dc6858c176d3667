package dataplane

import (
	"time"

	"golang.org/x/sys/unix"
)

// The housekeeper's connections. Cores leave it those whose response the client is slow to take, or
// has only to read: it writes what is pending, lingers, and gives the connection back or ends it.

const (
	lingerFor = 2 * time.Second // as long as a refused client may be silent
	maxLinger = 30 * time.Second
)

// take leaves a busy connection to this goroutine, which writes the rest of its response as the
// client takes it.
func (h *housekeeper) take(cn *conn) {
	e := h.eng
	if cn.registered {
		unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
		cn.registered = false
	}
	e.setActive(cn, true)
	cn.deadline.Store(0)
	h.mu.Lock()
	h.inbox = append(h.inbox, cn)
	h.mu.Unlock()
	h.wake()
}

// linger throws away what the client still sends, so that it can read the answer before the
// connection ends (RFC 9112 §9.6): nginx, for one, takes a body that it cannot send for a failure.
func (h *housekeeper) linger(cn *conn) {
	cn.out.linger = true
	h.take(cn)
}

// collect takes over what cores have left.
func (h *housekeeper) collect() {
	var b [8]byte
	unix.Read(h.wakefd, b[:])
	if h.eng.hindered(noDescriptor) && h.resumeAt == 0 {
		h.resumeAt = until(acceptRetry)
	}
	h.mu.Lock()
	inbox := h.inbox
	h.inbox = nil
	h.mu.Unlock()
	for _, cn := range inbox {
		cn.heldByHousekeeper.Store(true)
		h.watch(cn, unix.EPOLL_CTL_ADD)
	}
}

// await restarts the send timeout.
func (h *housekeeper) await(cn *conn) {
	cn.queued.Store(cn.untaken())
	now := monotonic()
	h.eng.expireAt(cn, now+h.eng.timeouts.send)
	h.deadlines.by(now + int64(h.every)) // see check
}

// watch waits for what cn needs next: room to write, or the end of what the client sends.
func (h *housekeeper) watch(cn *conn, op int) {
	ev := unix.EpollEvent{Events: unix.EPOLLOUT}
	if cn.out.linger {
		now := monotonic()
		cn.endWriting()
		ev.Events = unix.EPOLLIN | unix.EPOLLRDHUP
		if cn.out.lingerEnd == 0 {
			cn.out.lingerEnd = now + int64(maxLinger)
		}
		h.eng.expireAt(cn, now+int64(lingerFor))
	} else {
		h.await(cn)
	}
	setData(&ev, cn.tag())
	if unix.EpollCtl(h.epfd, op, cn.fd, &ev) != nil {
		h.abandon(cn, unix.ENOMEM)
	}
}

func (h *housekeeper) forget(cn *conn) {
	h.release(cn)
	h.eng.close(cn)
}

// release ends this goroutine's hold on a connection.
func (h *housekeeper) release(cn *conn) {
	unix.EpollCtl(h.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
	cn.heldByHousekeeper.Store(false)
	cn.deadline.Store(0)
}

func (h *housekeeper) progress(cn *conn) {
	s := &cn.out
	if cn.spill != nil {
		h.flushSpill(cn)
		return
	}
	if s.linger {
		h.discard(cn)
		return
	}
	switch errno := s.write(cn); errno {
	case unix.EAGAIN:
		h.await(cn)
	case 0:
		h.done(cn)
	default:
		h.abandon(cn, errno)
	}
}

// discard reads what a client sends that has its answer already.
func (h *housekeeper) discard(cn *conn) {
	var buf [16 << 10]byte
	for range 16 {
		n, errno := cn.recv(buf[:])
		if errno == unix.EAGAIN {
			break
		}
		if errno != 0 || n == 0 {
			h.forget(cn)
			return
		}
	}
	h.eng.expireAt(cn, min(monotonic()+int64(lingerFor), cn.out.lingerEnd))
}

// done gives a connection whose response is out back to the cores, or ends it.
func (h *housekeeper) done(cn *conn) {
	keep, sending := cn.out.keep, cn.out.sending
	cn.out.reset(h.eng)
	switch {
	case keep:
		h.release(cn)
		h.eng.enqueue(cn)
	case sending || cn.lis.proto.lingers && (len(cn.in) > 0 || cn.unread()):
		cn.out.linger = true
		h.watch(cn, unix.EPOLL_CTL_MOD)
	default:
		h.forget(cn)
	}
}
