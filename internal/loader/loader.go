package loader

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"uwsgi/internal/crash"
	"uwsgi/internal/wire"
)

// Loader is one loader process. Its methods send and signal, never wait (but Wait); what comes of
// it is an Event.
type Loader struct {
	Generation int

	process *process
	conn    *packetConn
	events  chan<- Event
	done    <-chan struct{}
	gone    chan struct{} // closed once the process has ended and all that it said was reported
	tasks   sync.WaitGroup

	mu      sync.Mutex
	pending map[int]*Worker // forks that were asked for and not answered, by row

	credential *syscall.Credential // nil = ours
	workers    map[int]*Worker     // by pid, until the loader reports its exit; of the goroutine listen alone
}

func watchLoader(spec Spec, p *process, conn *packetConn) *Loader {
	l := &Loader{
		Generation: spec.Boot.Generation, process: p, conn: conn, events: spec.Events, done: spec.Done,
		gone: make(chan struct{}), pending: map[int]*Worker{}, credential: spec.Credential, workers: map[int]*Worker{},
	}
	heard := make(chan struct{})
	p.enlist()
	l.tasks.Go(crash.Guarded(func() { defer close(heard); l.listen() }))
	l.tasks.Go(crash.Guarded(func() { l.watch(heard) }))
	return l
}

// PID is the loader's process id.
func (l *Loader) PID() int { return l.process.pid }

// Fork says which worker is asked for, and why.
type Fork struct {
	Kind      string // as in wire.Fork
	Slot, Row int
	Reason    string
	First     bool // no process of the slot has served before: the -once hooks run
	Again     bool // as Boot.Again, of a worker that imports the application itself
	Trial     bool // as in wire.Fork
}

// Fork asks for a worker. It exists at once, its process only after Forked; a loader that is dead
// answers with ForkFailed too. stderr, if not nil, becomes the worker's stderr and stdout.
func (l *Loader) Fork(f Fork, stderr *os.File) (*Worker, error) {
	slot, row := f.Slot, f.Row
	conn, theirs, err := packetPair(fmt.Sprintf("worker %d", slot))
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	w := &Worker{Loader: l, Kind: f.Kind, Slot: slot, Row: row, conn: conn, status: make(chan Exit, 1)}
	files := []*os.File{theirs}
	if stderr != nil {
		files = append(files, stderr)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		conn.close()
		return nil, fmt.Errorf("fork worker %d: loader %d has ended", slot, l.process.pid)
	}
	if l.pending[row] != nil {
		conn.close()
		return nil, fmt.Errorf("fork worker %d: row %d is being forked already", slot, row)
	}
	if err := l.conn.send(wire.Fork{Op: wire.OpFork, Kind: f.Kind, Slot: slot, Row: row,
		Reason: f.Reason, First: f.First,
		Again: f.Again, Trial: f.Trial}, files...); err != nil {
		conn.close()
		return nil, err
	}
	l.pending[row] = w
	return w, nil
}

// Quit tells the loader to exit once its last child is gone.
func (l *Loader) Quit() error { return l.conn.send(wire.Order{Op: wire.OpQuit}) }

// reap tells the loader that a child of its has ended.
func (l *Loader) reap() error { return l.conn.send(wire.Order{Op: wire.OpReap}) }

// Kill ends the loader at once; its workers live on.
func (l *Loader) Kill() error { return l.process.signal(syscall.SIGKILL) }

// KnowsDump reports whether Dump would have an effect: a loader that starts cannot tell yet.
func (l *Loader) KnowsDump() bool { return l.process.knowsDump() }

// Dump has it write where its Python threads are to its stderr.
func (l *Loader) Dump() error { return l.process.signal(DumpSignal) }

// Wait returns once the loader and all its workers have ended and everything was reported or
// Spec.Done was closed.
func (l *Loader) Wait() { l.tasks.Wait() }

// listen reports what the loader says.
func (l *Loader) listen() {
	for {
		m, err := l.conn.receive()
		if errors.Is(err, errMessage) {
			l.emit(Log{Loader: l, Level: "error", Message: err.Error()})
			continue
		}
		if err != nil {
			return
		}
		l.hear(m)
	}
}

func (l *Loader) hear(m wire.Report) {
	switch m.Op {
	case wire.OpLoaded:
		l.emit(Loaded{Loader: l, Apps: m.Apps, Python: m.Python})
	case wire.OpFailed:
		l.emit(Failed{Loader: l, Error: m.Error, Brief: m.Message, Exclusive: m.Exclusive, Code: m.Code})
	case wire.OpForked:
		l.forked(m)
	case wire.OpForkFailed:
		if w := l.take(m.Row); w != nil {
			w.conn.close()
			l.emit(ForkFailed{Worker: w, Error: m.Error})
		}
	case wire.OpExited:
		if w := l.workers[m.PID]; w != nil {
			delete(l.workers, m.PID)
			w.status <- Exit{Known: true, Status: syscallStatus(m.Status)}
		}
	case wire.OpRegister, wire.OpSchedule, wire.OpRaise:
		l.emit(Told{Loader: l, Op: m.Op, Message: m.Message})
	case wire.OpLog:
		l.emit(Log{Loader: l, Level: m.Level, Message: m.Message})
	default:
		l.emit(Log{Loader: l, Level: "error", Message: fmt.Sprintf("loader %d sent the unknown message %q",
			l.process.pid, m.Op)})
	}
}

// forked gives a worker its process. A loader that names another one is ended: the application's
// code is in it, and we may be allowed to do what the application is not.
func (l *Loader) forked(m wire.Report) {
	w := l.take(m.Row)
	err := error(errForged)
	var p *process
	if w != nil && w.Slot == m.Slot && m.PID > 0 && l.workers[m.PID] == nil {
		p, err = l.openWorker(m.PID)
	}
	if errors.Is(err, errForged) {
		l.emit(Log{Loader: l, Level: "error", Message: fmt.Sprintf("loader %d says that process %d is worker %d: "+
			"%v; the loader is killed",
			l.process.pid, m.PID, m.Slot, err)})
		l.Kill()
	}
	if w == nil {
		return
	}
	if err != nil {
		w.conn.close() // end of file is the lifeline: the worker exits
		l.emit(ForkFailed{Worker: w, Error: err.Error()})
		return
	}
	p.enlist()
	w.process = p
	l.workers[m.PID] = w
	l.emit(Forked{Worker: w})
	heard := make(chan struct{})
	l.tasks.Go(crash.Guarded(func() { defer close(heard); w.listen() }))
	l.tasks.Go(crash.Guarded(func() { w.watch(heard) }))
}

func (l *Loader) take(row int) *Worker {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.pending[row]
	delete(l.pending, row)
	return w
}

// watch reports the loader's end.
func (l *Loader) watch(heard <-chan struct{}) {
	l.process.wait()
	l.conn.hurry()
	<-heard
	exit := l.process.reap()
	l.mu.Lock()
	unanswered := l.pending
	l.pending = nil
	l.mu.Unlock()
	close(l.gone)
	for _, w := range unanswered {
		w.conn.close()
		l.emit(ForkFailed{Worker: w, Error: "the loader ended before it answered"})
	}
	l.emit(LoaderGone{Loader: l, Exit: exit})
	l.conn.close()
	l.process.close()
}

func (l *Loader) emit(e Event) {
	select {
	case l.events <- e:
	case <-l.done:
	}
}
