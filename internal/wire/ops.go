package wire

// What the processes tell each other, "op" of a message; internal/loader/doc.go is the wire's
// document.
const (
	// Supervisor to loader.
	OpFork = "fork"
	OpQuit = "quit"
	OpReap = "reap"

	// Loader to supervisor; Loaded, Failed and Log are a worker's, too.
	OpLoaded     = "loaded"
	OpFailed     = "failed"
	OpLog        = "log"
	OpForked     = "forked"
	OpForkFailed = "forkfailed"
	OpExited     = "exited"

	// Worker to supervisor.
	OpReady    = "ready"
	OpRecycle  = "recycle"
	OpAnswered = "answered"
	OpDeadline = "deadline"
	OpReload   = "reload"
	OpStop     = "stop"

	// Loader or worker to supervisor: what the application registers, raises and has handled
	// (internal/schedule); the message is a JSON object.
	OpRegister = "register"
	OpSchedule = "schedule"
	OpRaise    = "raise"
	OpBegan    = "began"
	OpHandled  = "handled"
	// OpWithdrawn says that what OpWithdraw asks for is not begun, and will not be.
	OpWithdrawn = "withdrawn"
	// OpWaits says that a worker waits for a signal, perhaps before it is ready.
	OpWaits = "waits"
	// Mule or spooler to supervisor, beside Ready, Recycle and Log.
	OpBusy = "busy"

	// Supervisor to worker.
	OpSignal    = "signal"
	OpWithdraw  = "withdraw"
	OpServe     = "serve"
	OpPart      = "part"
	OpDrain     = "drain"
	OpHarakiri  = "harakiri"
	OpCancel    = "cancel"
	OpGiveUp    = "giveup"
	OpPause     = "pause"
	OpResume    = "resume"
	OpLook      = "look"
	OpReopenLog = "accesslog"
)

// What a fork is, beside a worker: processes of Python without a data plane and without a row on
// the scoreboard.
const (
	KindMule    = "mule"
	KindSpooler = "spooler" // of those that run jobs here, not of external folders
	KindScript  = "script"  // what pyrun names, as worker 1; the instance ends with it
)
