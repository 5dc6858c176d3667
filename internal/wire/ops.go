package wire

// What the processes tell each other, "op" of a message; internal/loader/doc.go is the wire's
// document.
const (
	// Supervisor to loader.
	OpFork = "fork"
	OpQuit = "quit"
	// OpSpool starts the processes of the spooler, or has them replaced.
	OpSpool = "spool"

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
	// Mule to supervisor, beside Ready and Log.
	OpBusy = "busy"

	// Supervisor to worker.
	OpSignal    = "signal"
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

// KindMule is a process of Python that is no worker: it has no data plane and no row on the
// scoreboard.
const KindMule = "mule"
