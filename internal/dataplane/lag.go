package dataplane

import (
	"bytes"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// lag is what a client has not taken yet of a response that the application is still giving block by block. The core appends to it and goes on;
// the housekeeper, who has the connection meanwhile, writes it as the client takes it. So a slow reader costs a temporary file, and holds a
// Python thread only when it is far behind.
//
// While it is idle, all is written and the core may use the socket; it alone ends that, by appending.
type lag struct {
	fd   int   // a ring in a file without a name
	most int64 // its size
	held int64 // bytes of it that are in memory, see Engine.ram

	mu       sync.Mutex
	appended int64
	written  int64
	idle     bool
	ended    bool          // no more comes: the connection is the housekeeper's for good
	errno    syscall.Errno // the client is gone: the connection is the core's again
	last     []byte        // goes out behind the ring
}

const (
	lagMost  = 16 << 20 // behind in one response
	lagTotal = 4 << 30  // in all responses of a worker
	lagLook  = 5        // ms between two looks whether there is room again
)

// behind says that nothing may be written but behind the lag.
func (l *lag) behind() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.idle
}

// divert appends to the lag what the client does not take of x.vec, and begins one if there is none. False: it must be waited for.
func (x *Exchange) divert() bool {
	cn := x.cn
	if cn.lag == nil {
		if x.eng.lagging.Load() >= lagTotal {
			return false
		}
		fd, inRAM, err := temporary()
		if err != nil {
			return false
		}
		l := &lag{fd: fd, most: x.eng.lagMost, idle: true}
		if inRAM {
			l.most = min(l.most, x.eng.ram.most/16)
			if l.most == 0 || !x.eng.ram.take(l.most) {
				unix.Close(fd)
				return false
			}
			l.held = l.most
		}
		cn.lag = l
		x.eng.app.Diverted(x.id)
	}
	return x.putOff()
}

// putOff appends of x.vec what there is room for. False: for nothing.
func (x *Exchange) putOff() bool {
	l, h := x.cn.lag, &x.eng.house
	put := false
	for x.vec.n > 0 {
		l.mu.Lock()
		room, at, errno := l.most-(l.appended-l.written), l.appended%l.most, l.errno
		l.mu.Unlock()
		if errno != 0 {
			x.vec.n = 0
			x.clientGone(errno)
			return true
		}
		p := x.vec.span(0)
		n, err := unix.Pwrite(l.fd, p[:min(int64(len(p)), room, l.most-at)], at)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return put
		}
		put = true
		x.vec.advance(n)
		x.eng.lagging.Add(int64(n))
		l.mu.Lock()
		l.appended += int64(n)
		idle := l.idle
		l.idle = false
		l.mu.Unlock()
		if idle {
			h.follow(x.cn)
		}
	}
	return true
}

// caughtUp ends the lag if the client has caught up, or is gone: the connection is the core's again. False: it is behind.
func (x *Exchange) caughtUp() bool {
	cn, l := x.cn, x.cn.lag
	if l == nil {
		return true
	}
	l.mu.Lock()
	idle, errno := l.idle, l.errno
	l.mu.Unlock()
	if !idle && errno == 0 {
		return false
	}
	cn.house.Store(false)
	l.close(x.eng)
	cn.lag = nil
	if errno != 0 && !x.broken {
		x.clientGone(errno)
	}
	return true
}

// trail leaves x.out, the end of the response, to be written behind the lag.
func (x *Exchange) trail() {
	x.cn.lag.last = bytes.Clone(x.out)
	x.handedOver = true
}

// end leaves the connection to the housekeeper. False: the client is gone, it is the core's to close.
func (l *lag) end(h *housekeeper, cn *conn) bool {
	l.mu.Lock()
	gone, idle := l.errno != 0, l.idle
	l.ended, l.idle = true, false
	l.mu.Unlock()
	if !gone && idle {
		h.follow(cn)
	}
	return !gone
}

func (l *lag) close(e *Engine) {
	unix.Close(l.fd)
	e.ram.give(l.held)
	e.lagging.Add(l.written - l.appended)
}

// follow has the housekeeper write cn's lag: from a core.
func (h *housekeeper) follow(cn *conn) {
	if !cn.house.Load() {
		h.take(cn)
		return
	}
	h.await(cn)
	ev := unix.EpollEvent{Events: unix.EPOLLOUT}
	setData(&ev, cn.tag())
	unix.EpollCtl(h.epfd, unix.EPOLL_CTL_ADD, cn.fd, &ev)
}

// catchUp writes of cn's lag what the client takes, a turn at most.
func (h *housekeeper) catchUp(cn *conn) {
	l := cn.lag
	for sent := 0; sent < turn; {
		l.mu.Lock()
		left, at, ended := l.appended-l.written, l.written%l.most, l.ended
		if left == 0 && !ended {
			// Not in the set: the end of the client's side would be told again and again.
			unix.EpollCtl(h.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
			cn.deadline.Store(0)
			l.idle = true
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		if left == 0 {
			cn.out.mem = l.last
			l.close(h.eng)
			cn.lag = nil
			h.progress(cn)
			return
		}
		n, errno := h.move(cn.fd, l.fd, at, min(left, l.most-at))
		sent += n
		h.eng.lagging.Add(int64(-n))
		l.mu.Lock()
		l.written += int64(n)
		l.mu.Unlock()
		switch {
		case errno == 0:
		case errno == unix.EAGAIN:
			h.await(cn)
			return
		default:
			h.abandon(cn, errno)
			return
		}
	}
}

// abandon ends a connection whose client does not take the response; while the application still writes to it, it is for the core to do.
func (h *housekeeper) abandon(cn *conn, errno syscall.Errno) {
	if l := cn.lag; l != nil {
		l.mu.Lock()
		if !l.ended {
			h.release(cn)
			l.errno = errno
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
	s := &cn.out
	switch {
	case s.linger: // it has its answer
	case errno == unix.ENODATA:
		h.note("%s", s.cutShort())
		if s.endedByClose {
			cn.reset()
		}
	default:
		s.writeErrs.Add(1)
		if s.subject != "" {
			h.note("%s: %s", s.subject, h.eng.writeErrorText(errno))
		}
		if errno == unix.ETIMEDOUT {
			cn.reset()
		}
	}
	h.forget(cn)
}

// move copies up to n bytes of a lag to a socket. (sendfile would lend the socket pages of the ring, which are written again before they are sent.)
func (h *housekeeper) move(out, in int, at, n int64) (int, syscall.Errno) {
	if h.buf == nil {
		h.buf = make([]byte, 64<<10)
	}
	k, err := unix.Pread(in, h.buf[:min(n, int64(len(h.buf)))], at)
	switch {
	case err == unix.EINTR:
		return 0, 0
	case err != nil:
		return 0, err.(syscall.Errno)
	case k == 0:
		return 0, unix.EIO
	}
	sent, errno := send(out, h.buf[:k], 0)
	return max(sent, 0), errno // -1 with an error
}
