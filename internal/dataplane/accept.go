package dataplane

import "golang.org/x/sys/unix"

// accept takes connections while more wait and nothing speaks against it.
func (c *Core) accept(l *listener) {
	e := c.eng
	for c.acceptOne(l) && !c.lastSlow && c.backoff.worth() && e.listens() {
	}
}

// acceptOne takes one connection and serves it. False: there was none.
func (c *Core) acceptOne(l *listener) bool {
	if c.eng.full() {
		c.eng.pauseAccepting(unix.EMFILE)
		return false
	}
	salen := uint32(unix.SizeofSockaddrAny)
	fd, errno := accept(l.FD, &c.sa, &salen)
	if errno != 0 {
		c.backoff.missed()
		if outOfDescriptors(errno) {
			c.eng.pauseAccepting(errno)
		}
		return false
	}
	c.backoff.hit()
	cn := c.eng.newConn(fd, l)
	if cn == nil {
		return true
	}
	setPeer(cn, &c.sa)
	c.serve(cn)
	return true
}

// acceptBackoff decides whether to try accept() once more instead of asking epoll: under load there
// mostly is a connection, otherwise the try costs a call for nothing, so each miss makes the next
// try rarer.
type acceptBackoff struct{ row, skip, penalty int }

// maxAccepts is how many connections a core serves in a row while those it has already wait.
const maxAccepts = 32

func (a *acceptBackoff) worth() bool {
	if a.row >= maxAccepts {
		a.row = 0
		return false
	}
	if a.skip > 0 {
		a.skip--
		a.row = 0
		return false
	}
	a.row++
	return true
}

func (a *acceptBackoff) hit() {
	if a.row > 0 {
		a.penalty = 0
	}
}

func (a *acceptBackoff) missed() {
	if a.row > 0 {
		a.penalty = min(2*a.penalty+1, 63)
		a.skip = a.penalty
	}
	a.row = 0
}
