package loader

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/wire"
)

// DumpSignal makes a loader or a worker write every Python thread's stack to its stderr.
const DumpSignal = syscall.Signal(39)

// statusPatience is how long the loader may take to report the status of a worker that has ended,
// before it is called unknown.
const statusPatience = 2 * time.Second

// Worker is one worker process. Its methods send and signal, never wait; a worker that has ended
// takes both without harm.
type Worker struct {
	Loader *Loader
	Kind   string // as in wire.Fork
	Slot   int
	Row    int // of a worker; of another kind, which has none, a number below 0 of its own

	conn    *packetConn
	process *process  // set before Forked is reported
	status  chan Exit // from the loader, which is the parent
}

// PID is the worker's process id, 0 before Forked.
func (w *Worker) PID() int {
	if w.process == nil {
		return 0
	}
	return w.process.pid
}

// Serve tells a worker that is ready to take connections from now on. Until then it may be killed
// without a loss.
func (w *Worker) Serve() error { return w.conn.send(wire.Order{Op: wire.OpServe}) }

// Part tells the worker to serve on, and to ask its clients to go: the instance will stop.
func (w *Worker) Part() error { return w.conn.send(wire.Order{Op: wire.OpPart}) }

// Drain tells the worker to take no more, finish what runs and exit 0; idle connections are handed
// to the other workers or closed.
func (w *Worker) Drain(reason string, handoff bool) error {
	return w.conn.send(wire.Order{Op: wire.OpDrain, Reason: reason, Handoff: handoff})
}

// Stop is Drain at the end of the instance: there is no other worker, and what waits in the queues
// of sockets that end with it is answered. A worker that drains already takes it too.
func (w *Worker) Stop(reason string) error {
	return w.conn.send(wire.Order{Op: wire.OpDrain, Reason: reason, Close: true})
}

// Harakiri tells the worker that a core's request is past its deadline; started says which one:
// what the core's cell has of it, monotonic ns.
func (w *Worker) Harakiri(core int, started int64) error {
	return w.conn.send(wire.Order{Op: wire.OpHarakiri, Core: core, Started: started})
}

// Cancel tells a worker with an event loop that a request is to be cancelled; see Harakiri.
func (w *Worker) Cancel(core int, started int64) error {
	return w.conn.send(wire.Order{Op: wire.OpCancel, Core: core, Started: started})
}

// GiveUp tells the worker that it will be killed in a moment: it answers in the place of the
// requests that it still runs.
func (w *Worker) GiveUp() error { return w.conn.send(wire.Order{Op: wire.OpGiveUp}) }

// Raise has the worker run the handler of a uWSGI signal between two requests.
func (w *Worker) Raise(signal int) error {
	return w.conn.send(wire.Order{Op: wire.OpSignal, Signal: signal})
}

// Withdraw asks for a signal back that Raise has sent: the answer is wire.OpWithdrawn, or OpBegan
// if its handler was begun.
func (w *Worker) Withdraw(signal int) error {
	return w.conn.send(wire.Order{Op: wire.OpWithdraw, Signal: signal})
}

// Look has the worker look at the listening sockets: a connection may wait there that the kernel
// has told a process of that has ended.
func (w *Worker) Look() error { return w.conn.send(wire.Order{Op: wire.OpLook}) }

// Pause makes the worker take no requests until Resume.
func (w *Worker) Pause() error { return w.conn.send(wire.Order{Op: wire.OpPause}) }

// Resume ends Pause.
func (w *Worker) Resume() error { return w.conn.send(wire.Order{Op: wire.OpResume}) }

// ReopenLog makes the worker write its request lines to f from now on; nil makes it reopen what it
// writes to by itself.
func (w *Worker) ReopenLog(f *os.File) error {
	if f == nil {
		return w.conn.send(wire.Order{Op: wire.OpReopenLog})
	}
	return w.conn.send(wire.Order{Op: wire.OpReopenLog}, f)
}

// Signal sends sig to the worker; one without a process is left alone.
func (w *Worker) Signal(sig syscall.Signal) error {
	if w.process == nil {
		return nil
	}
	return w.process.signal(sig)
}

// KnowsDump reports whether Dump would have an effect: a worker that starts cannot tell yet.
func (w *Worker) KnowsDump() bool { return w.process != nil && w.process.knowsDump() }

// Dump has it write where its Python threads are to its stderr.
func (w *Worker) Dump() error { return w.Signal(DumpSignal) }

// Kill ends the worker at once.
func (w *Worker) Kill() error { return w.Signal(syscall.SIGKILL) }

// listen reports what the worker says.
func (w *Worker) listen() {
	for {
		m, err := w.conn.receive()
		if errors.Is(err, errMessage) {
			w.Loader.emit(Log{Loader: w.Loader, Worker: w, Level: "error", Message: err.Error()})
			continue
		}
		if err != nil {
			return
		}
		w.hear(m)
	}
}

func (w *Worker) hear(m wire.Report) {
	emit := w.Loader.emit
	switch m.Op {
	case wire.OpReady:
		emit(WorkerReady{Worker: w})
	case wire.OpLoaded:
		emit(WorkerLoaded{Worker: w, Apps: m.Apps})
	case wire.OpFailed:
		emit(WorkerFailed{Worker: w, Error: m.Error, Brief: m.Message, Trace: m.Trace, Exclusive: m.Exclusive,
			Code: m.Code})
	case wire.OpRecycle:
		emit(WorkerRecycle{Worker: w, Reason: m.Reason})
	case wire.OpReload, wire.OpStop:
		emit(WorkerAsks{Worker: w, What: m.Op, Reason: m.Reason})
	case wire.OpBusy:
		emit(WorkerBusy{Worker: w, Within: time.Duration(m.Within) * time.Millisecond, Over: m.Within == 0,
			Done: m.Done})
	case wire.OpDeadline:
		emit(WorkerDeadline{Worker: w})
	case wire.OpAnswered:
		emit(WorkerAnswered{Worker: w})
	case wire.OpRegister, wire.OpSchedule, wire.OpRaise, wire.OpBegan, wire.OpHandled,
		wire.OpWithdrawn, wire.OpWaits:
		emit(Told{Loader: w.Loader, Worker: w, Op: m.Op, Message: m.Message})
	case wire.OpLog:
		emit(Log{Loader: w.Loader, Worker: w, Level: m.Level, Message: m.Message})
	default:
		emit(Log{Loader: w.Loader, Worker: w, Level: "error",
			Message: fmt.Sprintf("worker %d sent the unknown message %q", w.Slot, m.Op)})
	}
}

// watch reports the worker's end, after everything that it said.
func (w *Worker) watch(heard <-chan struct{}) {
	w.process.wait()
	w.Loader.reap()
	w.conn.hurry()
	<-heard
	exit := w.exit()
	w.Loader.emit(WorkerGone{Worker: w, Exit: exit})
	w.conn.close()
	w.process.close()
}

// exit learns the status of the ended worker: from the loader, or, once that is gone too, as its
// parent by adoption.
func (w *Worker) exit() Exit {
	late := time.NewTimer(statusPatience)
	defer late.Stop()
	select {
	case e := <-w.status:
		return e
	case <-w.Loader.gone:
	case <-late.C:
		return Exit{}
	}
	select {
	case e := <-w.status:
		return e
	default:
		return w.process.reap()
	}
}

func syscallStatus(raw uint32) unix.WaitStatus { return unix.WaitStatus(raw) }
