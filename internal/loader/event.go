package loader

import (
	"syscall"
	"time"

	"uwsgi/internal/wire"

	"golang.org/x/sys/unix"
)

// Event is something that a loader or one of its workers did. All events of all loaders arrive on
// the one channel of Spec.Events, those of one process in the order in which they happened.
type Event interface{ event() }

// Loaded says that the application is imported, or, with lazy-apps, that the interpreter is up:
// forks may be asked for.
type Loaded struct {
	Loader *Loader
	Apps   []wire.App // none: need-app is off and nothing could be imported, or lazy-apps
	Python string     // "3.11.2"
}

// Failed says that there is no application.
type Failed struct {
	Loader    *Loader
	Error     string
	Brief     string // what is left to say where the log has the traceback already; "" = Error
	Exclusive bool   // a lock or an address was in use: it may work once the old generation is gone
	Code      int    // what to exit with
}

// LoaderGone says that the loader process has ended. Forks that it never answered were reported as
// ForkFailed before. Its workers live on.
type LoaderGone struct {
	Loader *Loader
	Exit   Exit
}

// Forked says that the worker has a process now.
type Forked struct{ Worker *Worker }

// ForkFailed says that the worker will never be; there is no WorkerGone for it.
type ForkFailed struct {
	Worker *Worker
	Error  string
}

// WorkerReady says that the worker could serve: it waits for Worker.Serve.
type WorkerReady struct{ Worker *Worker }

// WorkerLoaded says that the worker has imported the applications itself (lazy-apps).
type WorkerLoaded struct {
	Worker *Worker
	Apps   []wire.App
}

// WorkerFailed says that the worker could not import the application (lazy-apps); it exits next.
type WorkerFailed struct {
	Worker    *Worker
	Error     string
	Brief     string // as of Failed
	Trace     string // the traceback that the log has not, "" for none
	Exclusive bool
	Code      int
}

// WorkerRecycle says that the worker asks to be replaced; it serves on until it is told to drain.
type WorkerRecycle struct {
	Worker *Worker
	Reason string
}

// WorkerAsks is a wish of the application: uwsgi.reload() or uwsgi.stop().
type WorkerAsks struct {
	Worker *Worker
	What   string // "reload" or "stop"
	Reason string // "uwsgi.reload()", or which change of a file py-autoreload has seen
}

// WorkerDeadline says that a request has set itself a deadline that is earlier than Row.NextScan.
type WorkerDeadline struct{ Worker *Worker }

// WorkerBusy says that an attendant begins with something, or that it is over.
type WorkerBusy struct {
	Worker *Worker
	Within time.Duration // that it has to be over in, not above 0 = any
	Over   bool
	Done   bool // it was a task, for the statistics
}

// WorkerAnswered says that the worker is done with a harakiri or with giving up: the 504s are out
// and no other core is busy. It may be killed.
type WorkerAnswered struct{ Worker *Worker }

// Told is what the application says of its signals: wire.OpRegister and those after it.
type Told struct {
	Loader  *Loader
	Worker  *Worker // nil = the loader itself, while it imports
	Op      string
	Message string // a JSON object
}

// Log is a line for the server log.
type Log struct {
	Loader  *Loader
	Worker  *Worker // nil = the loader's own
	Level   string  // debug, info, warning, error
	Message string
}

// WorkerGone says that the worker process has ended. It is the last event of a worker.
type WorkerGone struct {
	Worker *Worker
	Exit   Exit
}

func (Loaded) event()         {}
func (Failed) event()         {}
func (LoaderGone) event()     {}
func (Forked) event()         {}
func (ForkFailed) event()     {}
func (WorkerReady) event()    {}
func (WorkerLoaded) event()   {}
func (WorkerFailed) event()   {}
func (WorkerRecycle) event()  {}
func (WorkerAsks) event()     {}
func (WorkerDeadline) event() {}
func (WorkerBusy) event()     {}
func (WorkerAnswered) event() {}
func (Told) event()           {}
func (Log) event()            {}
func (WorkerGone) event()     {}

// Exit is how a process ended.
type Exit struct {
	Known  bool // false: whoever reaped it did not tell
	Status unix.WaitStatus
}

// Clean reports whether the process ended by itself with status 0.
func (e Exit) Clean() bool { return e.Known && e.Status.Exited() && e.Status.ExitStatus() == 0 }

// Exit statuses of a worker, uWSGI's: that was sent SIGHUP, that has no application, that was sent
// SIGTERM or SIGINT.
const (
	ExitGraceful = 17
	ExitNoApp    = 22
	ExitSignal   = 30
)

// Left reports whether the process ended by itself after finishing its work, told to by us or by a
// signal.
func (e Exit) Left() bool {
	return e.Clean() || e.Code() == ExitGraceful || e.Code() == ExitSignal
}

// Signal is the signal that ended the process, 0 if none did.
func (e Exit) Signal() syscall.Signal {
	if e.Known && e.Status.Signaled() {
		return e.Status.Signal()
	}
	return 0
}

// Code is the exit status, -1 if a signal ended the process or nothing is known.
func (e Exit) Code() int {
	if e.Known && e.Status.Exited() {
		return e.Status.ExitStatus()
	}
	return -1
}
