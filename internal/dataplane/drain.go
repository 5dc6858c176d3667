package dataplane

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/boot"
	"uwsgi/internal/request"
	"uwsgi/internal/sys"
)

// message is one packet of the control socket; see internal/loader for the wire.
type message struct {
	Op      string `json:"op"`
	Reason  string `json:"reason,omitempty"`
	Error   string `json:"error,omitempty"`
	Code    int    `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Level   string `json:"level,omitempty"`
	Core    int    `json:"core,omitempty"`
	Started int64  `json:"started,omitempty"`
	Handoff bool   `json:"handoff,omitempty"`
	Close   bool   `json:"close,omitempty"`
}

// Tell sends a message to the supervisor.
func (e *Engine) Tell(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return unix.Sendto(e.control, b, unix.MSG_NOSIGNAL, nil)
}

// Say is Tell for the bridge: op with one text.
func (e *Engine) Say(op, text string) error {
	return e.Tell(message{Op: op, Reason: text, Message: text})
}

// receive obeys one message of the supervisor's. End of file: it is gone, and so shall we be.
func (e *Engine) receive() {
	var buf [4096]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(e.control, buf[:], oob, unix.MSG_CMSG_CLOEXEC)
	if err == unix.EINTR || err == unix.EAGAIN {
		return
	}
	if err != nil || n == 0 {
		e.orphaned()
		return
	}
	fd := oneDescriptor(oob[:oobn])
	var m message
	if json.Unmarshal(buf[:n], &m) == nil {
		e.obey(m, fd)
	} else if fd >= 0 {
		unix.Close(fd)
	}
}

// obey does what the supervisor said; fd is the descriptor that came with it, -1 for none.
func (e *Engine) obey(m message, fd int) {
	switch m.Op {
	case boot.OpServe:
		e.serve()
	case boot.OpPart:
		e.parting.Store(true)
	case boot.OpDrain:
		e.drain(m.Reason, m.Handoff, m.Close)
	case boot.OpCancel:
		e.cancel(m.Core, m.Started)
	case boot.OpHarakiri:
		e.house.harakiri(m.Core, m.Started)
		e.Drain("harakiri", true)
		e.settleStuck()
	case boot.OpGiveUp:
		e.house.giveUp()
		e.settleStuck()
	case boot.OpReopenLog:
		if fd >= 0 {
			e.log.replace(fd)
			fd = -1
		}
	case boot.OpPause:
		e.hinder(paused)
		e.stopListening()
	case boot.OpResume:
		e.relieve(paused)
		e.listenAgain()
	}
	if fd >= 0 {
		unix.Close(fd) // nothing else takes one
	}
}

// orphanGrace is how long requests may still run once the supervisor is gone: nobody would answer
// for them later.
const orphanGrace = 700 * time.Millisecond

func (e *Engine) orphaned() {
	e.house.note("worker %d (pid: %d): the supervisor is gone, this worker ends", e.slot, os.Getpid())
	unix.EpollCtl(e.house.epfd, unix.EPOLL_CTL_DEL, e.control, nil)
	if e.settings.NoOrphans {
		unix.Exit(1)
	}
	time.AfterFunc(orphanGrace, func() { unix.Exit(1) }) // first: nothing that Drain waits for may keep it from ending
	e.Drain("orphan", false)
}

// Drain stops taking connections, lets requests finish and makes the cores leave Run. Idle
// connections are handed to the other workers; where there are none they are waited for a moment
// and then closed. It may be called more than once, from any thread.
func (e *Engine) Drain(reason string, handoff bool) { e.drain(reason, handoff, false) }

// drain is Drain; closing: the listening sockets end with the instance, and what waits in their
// queues is answered first.
func (e *Engine) drain(reason string, handoff, closing bool) {
	e.drainMu.Lock()
	defer e.drainMu.Unlock()
	e.handoff.Store(handoff && e.boot.HandoffFD > 0)
	first := e.enter(draining)
	if first {
		e.stopListening()
		e.row.Accepting.Store(0)
		e.patience.Store(monotonic() + int64(handoffWait))
		e.lingerUntil.Store(monotonic() + int64(lastGrace))
		time.AfterFunc(lastGrace, e.dismissIdle)
	}
	if closing {
		e.active.Add(1) // the cores stay for what waits
		go e.emptyQueues()
	}
	if !first {
		return
	}
	if e.boot.HandoffInFD > 0 {
		unix.EpollCtl(e.epfd, unix.EPOLL_CTL_DEL, e.boot.HandoffInFD, nil)
	}
	for i := range e.conns {
		if int64(i) > e.highest.Load() {
			break
		}
		cn := e.conns[i].Load()
		if cn == nil || !cn.claim() {
			continue
		}
		if cn.active { // a part of a request is here: it is served
			e.giveBack(cn)
		} else {
			e.retire(cn)
		}
	}
	e.passOn()
	e.passOnQueued()
	e.enter(leaving)
	e.wakeAll()
}

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

// wakeAll gives every core a token, so that each looks at the phase.
func (e *Engine) wakeAll() {
	e.wake(len(e.cores))
	if e.pool != nil {
		wake(e.pool.wakefd, len(e.cores))
	}
}

func (e *Engine) wake(tokens int) { wake(e.wakefd, tokens) }

func wake(fd, tokens int) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(tokens))
	unix.Write(fd, b[:])
}

// handed is what travels with a connection that is handed on.
type handed struct {
	Listener string `json:"l"` // its name: the other worker may be of a generation with other sockets
	Protocol string `json:"x"`
	Addr     string `json:"a"`
	Port     string `json:"p"`
	Served   int    `json:"s"`
}

// handoffWait is how long a draining worker waits, in all, for the others to take its idle
// connections.
const handoffWait = time.Second

// retire parts with a connection that this worker owns and of whose next request it has read
// nothing: another worker gets it, or its client is waited for a moment, or it is closed.
func (e *Engine) retire(cn *conn) {
	if e.handoff.Load() && e.handOn(cn) {
		// Ours must be closed without telling the client: the connection lives on in the message.
		e.drop(cn)
		return
	}
	switch {
	case cn.readable(): // its next request has come: it is served here
		e.enqueue(cn)
	case monotonic() < e.lingerUntil.Load():
		e.setActive(cn, true) // the cores stay for it
		if !e.park(cn, until(time.Duration(e.headTimeout))) {
			e.enqueue(cn)
		}
	default:
		e.close(cn)
	}
}

// lastGrace is how long a draining worker waits for the next request on connections that nobody
// else can take. A front end connects, or takes a connection that it has kept, right before it
// asks, and would tell its client of a bad gateway.
const lastGrace = 500 * time.Millisecond

// dismissIdle closes the connections that have said nothing in that time.
func (e *Engine) dismissIdle() {
	e.drainMu.Lock()
	defer e.drainMu.Unlock()
	if e.phase() == left {
		return
	}
	if !e.handoff.Load() {
		e.passOn() // by workers that have heard of the end later
	}
	for i := range e.conns {
		if int64(i) > e.highest.Load() {
			break
		}
		cn := e.conns[i].Load()
		if cn == nil || !cn.claim() {
			continue
		}
		if len(cn.in) > 0 || cn.body.open() {
			e.giveBack(cn)
			continue
		}
		e.retire(cn)
	}
}

// keepsOpen says that a connection may go on though this worker leaves: another one gets it. Where
// there is none, HTTP has a word for its end; FastCGI has not, so that its client is given a moment
// for its next request.
func (e *Engine) keepsOpen(cn *conn) bool {
	return e.handoff.Load() && cn.plain || !cn.lis.proto.delimits && monotonic() < e.lingerUntil.Load()
}

func (e *Engine) handOn(cn *conn) bool {
	if !cn.plain { // what is between the socket and the request cannot travel
		return false
	}
	b, err := json.Marshal(handed{cn.lis.Name, cn.lis.Protocol, cn.peer.Addr, cn.peer.Port, cn.served})
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
		var h handed
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

// oneDescriptor is the descriptor that came with a message, -1 for none. The room for one may have
// held two (CMSG_SPACE(3)): such a message is nobody's, and they are closed.
func oneDescriptor(oob []byte) int {
	all := sys.Descriptors(oob)
	if len(all) == 1 {
		return all[0]
	}
	for _, fd := range all {
		unix.Close(fd)
	}
	return -1
}
