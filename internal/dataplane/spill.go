package dataplane

import (
	"bytes"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// spill is what a client has not yet taken of a response that the application is still giving block
// by block. The core appends to it and goes on; the housekeeper, which holds the connection
// meanwhile, writes it as the client takes it. So a slow reader costs a temporary file, and holds a
// Python thread only when it is far behind.
//
// idle: everything appended has been written, so the core may write to the socket. Only the core
// clears it, by appending.
type spill struct {
	fd   int   // a ring in a file without a name
	max  int64 // its size
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
	maxSpill   = 16 << 20 // behind in one response
	maxSpilled = 4 << 30  // in all responses of a worker
	spillPoll  = 5        // ms between two looks whether there is room again
)

// spilling reports whether earlier bytes are still queued, so that new ones must be appended.
func (sp *spill) spilling() bool {
	if sp == nil {
		return false
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return !sp.idle
}

// startSpill moves what the client has not accepted of x.vec into the spill, creating it if needed.
// False: the caller must wait for the client.
func (x *Exchange) startSpill() bool {
	cn := x.cn
	if cn.spill == nil {
		if x.eng.spilled.Load() >= maxSpilled {
			return false
		}
		fd, inRAM, err := temporary()
		if err != nil {
			return false
		}
		sp := &spill{fd: fd, max: x.eng.maxSpill, idle: true}
		if inRAM {
			sp.max = min(sp.max, x.eng.ram.max/16)
			if sp.max == 0 || !x.eng.ram.take(sp.max) {
				unix.Close(fd)
				return false
			}
			sp.held = sp.max
		}
		cn.spill = sp
		x.eng.app.StopStreaming(x.id)
	}
	return x.spillVec()
}

// spillVec moves as much of x.vec into the spill as fits; false if nothing did.
func (x *Exchange) spillVec() bool {
	sp, h := x.cn.spill, &x.eng.house
	put := false
	for x.vec.n > 0 {
		sp.mu.Lock()
		room, at, errno := sp.max-(sp.appended-sp.written), sp.appended%sp.max, sp.errno
		sp.mu.Unlock()
		if errno != 0 {
			x.vec.n = 0
			x.clientGone(errno)
			return true
		}
		p := x.vec.span(0)
		n, err := unix.Pwrite(sp.fd, p[:min(int64(len(p)), room, sp.max-at)], at)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return put
		}
		put = true
		x.vec.advance(n)
		x.eng.spilled.Add(int64(n))
		sp.mu.Lock()
		sp.appended += int64(n)
		idle := sp.idle
		sp.idle = false
		sp.mu.Unlock()
		if idle {
			h.watchSpill(x.cn)
		}
	}
	return true
}

// finishSpill ends the spill if the client has caught up or is gone: the connection is the core's
// again. False: the client is behind.
func (x *Exchange) finishSpill() bool {
	cn, sp := x.cn, x.cn.spill
	if sp == nil {
		return true
	}
	sp.mu.Lock()
	idle, errno := sp.idle, sp.errno
	sp.mu.Unlock()
	if !idle && errno == 0 {
		return false
	}
	cn.heldByHousekeeper.Store(false)
	sp.close(x.eng)
	cn.spill = nil
	if errno != 0 && !x.broken {
		x.clientGone(errno)
	}
	return true
}

// spillTail leaves x.out, the end of the response, to be written behind the spill.
func (x *Exchange) spillTail() {
	x.cn.spill.last = bytes.Clone(x.out)
	x.handedOver = true
}

// end leaves the connection to the housekeeper. False: the client is gone, and the core must close
// the connection.
func (sp *spill) end(h *housekeeper, cn *conn) bool {
	sp.mu.Lock()
	gone, idle := sp.errno != 0, sp.idle
	sp.ended, sp.idle = true, false
	sp.mu.Unlock()
	if !gone && idle {
		h.watchSpill(cn)
	}
	return !gone
}

func (sp *spill) close(e *Engine) {
	unix.Close(sp.fd)
	e.ram.give(sp.held)
	e.spilled.Add(sp.written - sp.appended)
}

// watchSpill asks the housekeeper to write cn's spill; called on a core.
func (h *housekeeper) watchSpill(cn *conn) {
	if !cn.heldByHousekeeper.Load() {
		h.take(cn)
		return
	}
	h.await(cn)
	ev := unix.EpollEvent{Events: unix.EPOLLOUT}
	setData(&ev, cn.tag())
	unix.EpollCtl(h.epfd, unix.EPOLL_CTL_ADD, cn.fd, &ev)
}

// flushSpill writes queued bytes of cn's spill, at most one burst, until the client accepts no
// more.
func (h *housekeeper) flushSpill(cn *conn) {
	sp := cn.spill
	for sent := 0; sent < maxBurst; {
		sp.mu.Lock()
		left, at, ended := sp.appended-sp.written, sp.written%sp.max, sp.ended
		if left == 0 && !ended {
			// Not in the set: the end of the client's side would be told again and again.
			unix.EpollCtl(h.epfd, unix.EPOLL_CTL_DEL, cn.fd, nil)
			cn.deadline.Store(0)
			sp.idle = true
			sp.mu.Unlock()
			return
		}
		sp.mu.Unlock()
		if left == 0 {
			cn.out.mem = sp.last
			sp.close(h.eng)
			cn.spill = nil
			h.progress(cn)
			return
		}
		n, errno := h.copySpill(cn, sp.fd, at, min(left, sp.max-at))
		sent += n
		h.eng.spilled.Add(int64(-n))
		sp.mu.Lock()
		sp.written += int64(n)
		sp.mu.Unlock()
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

// abandon ends a connection whose client does not take the response. While the application is still
// writing to it, the core does that.
func (h *housekeeper) abandon(cn *conn, errno syscall.Errno) {
	if sp := cn.spill; sp != nil {
		sp.mu.Lock()
		if !sp.ended {
			h.release(cn)
			sp.errno = errno
			sp.mu.Unlock()
			return
		}
		sp.mu.Unlock()
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

// copySpill copies up to n bytes of a spill to a socket. (sendfile would lend the socket pages of
// the ring, which are written again before they are sent.)
func (h *housekeeper) copySpill(out *conn, in int, at, n int64) (int, syscall.Errno) {
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
	sent, errno := out.send(h.buf[:k], 0)
	return max(sent, 0), errno // -1 with an error
}
