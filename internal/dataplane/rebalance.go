package dataplane

import "golang.org/x/sys/unix"

// rebalance hands connections that no core of this worker is free for to idle workers: those whose
// next request has come, and one that the kernel woke this worker for. It reports whether to look
// again soon: there are connections that may have to wait for long requests.
func (h *housekeeper) rebalance() (again bool) {
	e := h.eng
	if e.boot.HandoffFD <= 0 || e.settings.Processes < 2 {
		return false
	}
	if e.row.Conns.Load() <= int64(len(e.cores)) && !e.anyFetched() {
		return false
	}
	if !e.hold() { // it has begun to drain: that hands on what is idle
		return false
	}
	defer e.release()
	for free := e.idleElsewhere(); free > 0; free-- {
		cn := h.stealReady()
		if cn == nil {
			break
		}
		// A part of a request cannot travel: that connection waits for a core of ours, and so does
		// one that nobody takes.
		if cn.active || !e.sendHandoff(cn) {
			e.enqueue(cn)
			break
		}
		e.drop(cn) // tells the client nothing: the connection lives on in the message
	}
	return true
}

// stealReady takes a connection that has sent something, or a new one, from what a core has fetched
// and not come to, else from the kernel. Events of other kinds will be told again.
func (h *housekeeper) stealReady() *conn {
	e := h.eng
	for _, c := range e.cores {
		for i := range c.tags {
			if cn := h.steal(c.take(i)); cn != nil {
				return cn
			}
		}
	}
	for range perRound {
		var events [1]unix.EpollEvent
		if n, errno := epollWait(e.epfd, events[:], 0); errno != 0 || n == 0 {
			return nil
		}
		if cn := h.steal(tagOf(&events[0])); cn != nil {
			return cn
		}
	}
	return nil
}

// steal takes the connection that an event is about.
func (h *housekeeper) steal(tag uint64) *conn {
	e := h.eng
	if tag&tagListener == 0 {
		return e.ownConn(tag)
	}
	if e.full() || !e.listens() {
		return nil
	}
	l := e.listeners[tag&^tagListener]
	salen := uint32(unix.SizeofSockaddrAny)
	fd, errno := accept(l.FD, &h.sa, &salen)
	if errno != 0 {
		return nil
	}
	cn := e.newConn(fd, l)
	if cn != nil {
		setPeer(cn, &h.sa)
	}
	return cn
}

// idleElsewhere counts the cores of other workers that wait for work.
func (e *Engine) idleElsewhere() int {
	n := 0
	for i := range e.board.Rows() {
		row := e.board.Row(i)
		if i == e.rowIndex || row.PID.Load() == 0 || row.Accepting.Load() == 0 {
			continue
		}
		n += e.board.Used(i) - e.board.Busy(i)
	}
	return n
}
