package dataplane

import "sync/atomic"

// connState says who owns a connection. Any core may get an event of it; the one that turns idle
// into busy owns it until it turns it back.
type connState int32

const (
	connClosed  connState = iota // in no table
	connIdle                     // waits in the epoll set
	connBusy                     // a core, or the housekeeper, works on it
	connPending                  // busy, and an event came meanwhile
)

var connStateNames = [...]string{"closed", "idle", "busy", "pending"}

func (s connState) String() string { return connStateNames[s] }

// mover is who may change a connection's state.
type mover string

const (
	maker   mover = "maker" // has it from the free list, or new: nobody else knows it
	anybody mover = "anybody"
	owner   mover = "owner"
)

// connMoves is every change of state there is, and who makes it.
var connMoves = []struct {
	from, to connState
	by       mover
}{
	{connClosed, connBusy, maker},
	{connIdle, connBusy, anybody},    // who becomes its owner
	{connBusy, connPending, anybody}, // who has an event of it and comes too late
	{connBusy, connIdle, owner},
	{connPending, connBusy, owner}, // who would leave it and must look again
	{connBusy, connClosed, owner},
	{connPending, connClosed, owner},
}

// ownership is a connection's state with the moves of connMoves.
type ownership struct{ state atomic.Int32 }

func (o *ownership) at() connState { return connState(o.state.Load()) }

func (o *ownership) move(from, to connState) bool {
	return o.state.CompareAndSwap(int32(from), int32(to))
}

// open makes the caller, its maker, the owner.
func (o *ownership) open() { o.state.Store(int32(connBusy)) }

// own makes the caller, who has an event of an idle connection, its owner. False: somebody else
// owns it, and will look again.
func (o *ownership) own() bool {
	for {
		switch o.at() {
		case connIdle:
			if o.move(connIdle, connBusy) {
				return true
			}
		case connBusy:
			if o.move(connBusy, connPending) {
				return false
			}
		default:
			return false
		}
	}
}

// claim is own for a caller without an event.
func (o *ownership) claim() bool { return o.move(connIdle, connBusy) }

// leave ends the caller's ownership. False: an event came meanwhile, so the caller still is the
// owner and must look again.
func (o *ownership) leave() bool {
	if o.move(connBusy, connIdle) {
		return true
	}
	o.state.Store(int32(connBusy))
	return false
}

// missed reports whether an event came since the caller became the owner, who has to look again.
func (o *ownership) missed() bool { return o.move(connPending, connBusy) }

// end is the owner's last move.
func (o *ownership) end() { o.state.Store(int32(connClosed)) }
