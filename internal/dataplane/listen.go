package dataplane

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"uwsgi/internal/wire"
)

// Ready tells the supervisor that this worker can serve. It takes no connection before the
// supervisor answers "serve": until then it counts as starting, and a starting worker is killed in
// situations where others may finish their requests.
func (e *Engine) Ready() {
	for _, l := range e.listeners {
		if err := l.prepare(e.settings.TCPNodelay); err != nil {
			e.Tell(wire.Report{Op: wire.OpFailed, Error: err.Error(), Code: 1})
			e.cannotServe(err)
			return
		}
	}
	e.house.start()
	e.Tell(wire.Report{Op: wire.OpReady})
}

// serve begins to take connections.
func (e *Engine) serve() {
	e.listenMu.Lock()
	defer e.listenMu.Unlock()
	if e.phase() >= draining {
		return
	}
	err := e.watchHandoffs()
	if err == nil && e.hindrances.Load() == 0 {
		err = e.listen()
	}
	if err != nil {
		e.cannotServe(err)
		return
	}
	e.row.Accepting.Store(1)
	e.enter(serving)
}

// cannotServe ends a worker whose sockets are not what they were: the application has closed them,
// say. The supervisor starts another one.
func (e *Engine) cannotServe(err error) {
	e.house.note("worker %d (pid: %d): %v", e.slot, os.Getpid(), err)
	e.exitCode.Store(1)
	go e.Drain(err.Error(), true)
}

// listenAgain makes the cores listen, unless a hindrance is left.
func (e *Engine) listenAgain() {
	e.listenMu.Lock()
	defer e.listenMu.Unlock()
	if e.listens() {
		if err := e.listen(); err != nil {
			e.cannotServe(err)
		}
	}
}

// lookAgain makes the kernel tell the cores again of what waits: it tells one worker of each
// connection (EPOLLEXCLUSIVE), and that one may have exited before it looked.
func (e *Engine) lookAgain() {
	e.listenMu.Lock()
	defer e.listenMu.Unlock()
	if !e.listens() {
		return
	}
	e.unlisten()
	err := e.listen()
	if err == nil && e.boot.HandoffInFD > 0 {
		unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, e.boot.HandoffInFD, nil)
		err = e.watchHandoffs()
	}
	if err != nil {
		e.cannotServe(err)
	}
}

// stopListening is called after a hindrance or the end of serving was noted.
func (e *Engine) stopListening() {
	e.listenMu.Lock()
	defer e.listenMu.Unlock()
	e.unlisten()
}

// prepare sets what all workers want of a listening socket.
func (l *listener) prepare(nodelay bool) error {
	// A core that comes too late for a connection must not wait for the next one, outside of the
	// scheduler at that.
	if err := unix.SetNonblock(l.FD, true); err != nil {
		return fmt.Errorf("fcntl: listening socket %s: %w", l.Name, err)
	}
	if !l.unix && (nodelay || l.proto.client) {
		unix.SetsockoptInt(l.FD, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // its connections inherit it
	}
	return nil
}

// listen puts the listening sockets into the epoll set. EXCLUSIVE: a new connection wakes one
// worker, not all of them.
func (e *Engine) listen() error {
	for i, l := range e.listeners {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE}
		if e.outer >= 0 {
			setData(&ev, e.outerTag)
		} else {
			setData(&ev, tagListener|uint64(i))
		}
		if err := unix.EpollCtl(e.listenSet(), unix.EPOLL_CTL_ADD, l.FD, &ev); err != nil && err != unix.EEXIST {
			return fmt.Errorf("epoll_ctl: listening socket %s: %w", l.Name, err)
		}
	}
	return nil
}

// unlisten takes them out again.
func (e *Engine) unlisten() {
	for _, l := range e.listeners {
		unix.EpollCtl(e.listenSet(), unix.EPOLL_CTL_DEL, l.FD, nil)
	}
}

// listenSet is the epoll set of the listening sockets.
func (e *Engine) listenSet() int {
	if e.outer >= 0 {
		return e.outer
	}
	return e.epfd
}

// ListenIn watches the listening sockets in the epoll set of Python's event loop, which contains
// ours: a nested set loses EXCLUSIVE, so that each connection would wake all workers. tag is what
// the loop knows our set by: to it, an event of theirs looks like one of our set. Called once more,
// it moves them to where the set is now.
func (e *Engine) ListenIn(epfd int, tag uint64) {
	e.listenMu.Lock()
	defer e.listenMu.Unlock()
	if e.listens() {
		e.unlisten()
	}
	e.outer, e.outerTag = epfd, tag
	if !e.listens() {
		return
	}
	if err := e.listen(); err != nil {
		e.cannotServe(err)
	}
}

// relisten puts this worker behind the others that wait for connections.
func (e *Engine) relisten() {
	e.listenMu.Lock()
	defer e.listenMu.Unlock()
	if !e.listens() {
		return
	}
	e.unlisten()
	if err := e.listen(); err != nil {
		e.cannotServe(err)
	}
}

// watchHandoffs wakes the cores for connections that other workers hand off.
func (e *Engine) watchHandoffs() error {
	if e.boot.HandoffInFD <= 0 {
		return nil
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE}
	setData(&ev, tagHandoff)
	if err := unix.EpollCtl(e.epfd, unix.EPOLL_CTL_ADD, e.boot.HandoffInFD, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: handoff socket: %w", err)
	}
	return nil
}

// emptyQueues answers what still waits to be accepted on the sockets that end with the instance,
// and shuts them: closing the last descriptor would reset their queues. Each worker takes what it
// has a free core for, so that the load is spread as usual; what is left after a moment is divided
// up. An inherited socket stays with the process that made it, and so does its queue, for the next
// instance to serve.
func (e *Engine) emptyQueues() {
	defer e.release()
	end := monotonic() + int64(lastGrace)
	var sa unix.RawSockaddrAny
	for _, l := range e.listeners {
		if l.Inherited {
			continue
		}
		if l.unix {
			unix.Shutdown(l.FD, unix.SHUT_RD) // refuses who comes now, and keeps who waits
		}
		for monotonic() < end || !e.full() {
			if !e.hungry() && monotonic() < end {
				unix.Poll(nil, 1)
				continue
			}
			salen := uint32(unix.SizeofSockaddrAny)
			fd, errno := accept(l.FD, &sa, &salen)
			if outOfDescriptors(errno) && monotonic() < end {
				unix.Poll(nil, 1)
				continue
			}
			if errno == unix.ECONNABORTED || errno == unix.EINTR {
				continue
			}
			if errno != 0 {
				break
			}
			if cn := e.newConn(fd, l); cn != nil {
				setPeer(cn, &sa)
				e.enqueue(cn)
			}
		}
		unix.Shutdown(l.FD, unix.SHUT_RDWR)
	}
}

// hungry reports whether the cores have nothing to do, or soon will.
func (e *Engine) hungry() bool {
	return e.idle() && e.queue.length() < 8*len(e.cores)
}
