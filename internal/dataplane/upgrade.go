package dataplane

import (
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"uwsgi/internal/proto/websocket"
)

// Take gives the application its own, non-blocking descriptor of the connection, or -1. From here
// on the application frames by itself.
func (x *Exchange) Take() int {
	if x.over || x.headDone || !x.cn.plain || !x.claimAnswer() {
		return -1
	}
	fd, err := x.cn.lend()
	if err != nil {
		return -1
	}
	x.upgraded()
	x.status = 101                      // whatever it answers
	x.cell.Started.Store(math.MaxInt64) // a conversation may take as long as it likes: no harakiri
	x.cn.shared = true
	x.eng.upgrades.lend(x.eng, x.cn)
	return fd
}

// offersSocket reports whether Take may give the connection of the request in hand: the client asks
// for a WebSocket and waits for the answer; rest is what it sent behind the request.
func (x *Exchange) offersSocket(rest []byte) bool {
	return x.req.Upgrade && x.cn.plain && x.cn.lis.raw() && len(rest) == 0 && websocket.Requested(&x.req)
}

// upgrades ends the upgraded requests of a worker that leaves, which would not end by themselves.
type upgrades struct {
	mu   sync.Mutex
	fd   int // an eventfd, readable once the worker drains; 0: nobody has waited yet
	lent map[*conn]struct{}
}

// signal is a descriptor that is readable once the worker drains, -1: there is none left.
func (u *upgrades) signal(e *Engine) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fd == 0 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return -1
		}
		u.fd = fd
		if e.phase() >= draining {
			u.tell()
		}
	}
	return u.fd
}

func (u *upgrades) tell() { unix.Write(u.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// lend notes that the application has a connection. Once the worker drains, reading from it gives
// its end.
func (u *upgrades) lend(e *Engine, cn *conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lent == nil {
		u.lent = map[*conn]struct{}{}
	}
	u.lent[cn] = struct{}{}
	if e.phase() >= draining {
		cn.endReading()
	}
}

func (u *upgrades) takeBack(cn *conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.lent, cn)
}

// end makes every upgraded request end: the worker is draining.
func (u *upgrades) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fd != 0 {
		u.tell()
	}
	for cn := range u.lent {
		cn.endReading()
	}
}

func (u *upgrades) close() {
	if u.fd != 0 {
		unix.Close(u.fd)
	}
}

// endUpgrade says goodbye to the client of a WebSocket once the application has ended, and takes
// back what it was lent.
func (x *Exchange) endUpgrade(outcome Outcome) {
	if x.cn.shared {
		x.eng.upgrades.takeBack(x.cn)
		x.cn.takeBack()
	}
	if x.ws == nil {
		return
	}
	code := websocket.Normal
	switch {
	case outcome == Exit || x.eng.phase() >= draining:
		code = websocket.Restart
	case outcome == Failed:
		code = websocket.Unexpected
	}
	x.closeFrames(code, "")
}

// refuseUpgrade answers for an application that failed because the request was not a handshake.
// False: it was one, or is answered.
func (x *Exchange) refuseUpgrade() bool {
	if x.refusal == nil || x.headDone {
		return false
	}
	x.refuseHandshake(x.refusal)
	return true
}

// part ends the connection of a request that was upgraded. The client may still have something to
// say: its close frame, or what it sent before it got ours. Closing then would reset the connection
// before the client has read ours.
func (x *Exchange) part(cn *conn) {
	if x.ws != nil && x.ws.ended && !x.ws.failed && !cn.unread() {
		x.eng.close(cn)
		return
	}
	x.eng.house.linger(cn)
}
