package dataplane

import (
	"encoding/json"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/sys"
	"uwsgi/internal/wire"
)

// Tell sends a message to the supervisor.
func (e *Engine) Tell(m wire.Report) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return unix.Sendto(e.control, b, unix.MSG_NOSIGNAL, nil)
}

// Say is Tell for the bridge: op with one text.
func (e *Engine) Say(op, text string) error {
	return e.Tell(wire.Report{Op: op, Reason: text, Message: text})
}

// receive obeys one message of the supervisor. End of file means that the supervisor is gone, so
// this worker ends too.
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
	var m wire.Order
	if json.Unmarshal(buf[:n], &m) == nil {
		e.obey(m, fd)
	} else if fd >= 0 {
		unix.Close(fd)
	}
}

// obey does what the supervisor said; fd is the descriptor that came with it, -1 for none.
func (e *Engine) obey(m wire.Order, fd int) {
	switch m.Op {
	case wire.OpServe:
		e.serve()
	case wire.OpPart:
		e.parting.Store(true)
	case wire.OpDrain:
		e.drain(m.Reason, m.Handoff, m.Close)
	case wire.OpCancel:
		e.cancel(m.Core, m.Started)
	case wire.OpHarakiri:
		e.house.harakiri(m.Core, m.Started)
		e.Drain("harakiri", true)
		e.settleStuck()
	case wire.OpGiveUp:
		e.house.giveUp()
		e.settleStuck()
	case wire.OpReopenLog:
		if fd >= 0 {
			e.log.replace(fd)
			fd = -1
		}
	case wire.OpPause:
		e.hinder(paused)
		e.stopListening()
	case wire.OpSignal:
		e.signals.put(m.Signal)
		e.wake(1)
	case wire.OpWithdraw:
		e.withdraw(m.Signal)
	case wire.OpLook:
		e.lookAgain()
	case wire.OpResume:
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

// oneDescriptor is the descriptor that came with a message, -1 for none. The buffer for one may
// have received two (CMSG_SPACE(3)): such a message is invalid, and both are closed.
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
