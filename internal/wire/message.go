package wire

// Fork is an OpFork: what a loader is told of the worker that it shall fork.
type Fork struct {
	Op     string `json:"op"`
	Kind   string `json:"kind,omitempty"` // KindMule, …; "" = a worker
	Slot   int    `json:"slot"`           // its number among those of its kind
	Row    int    `json:"row"`
	Reason string `json:"reason"`
	First  bool   `json:"first"` // none of the slot has served yet: the -once hooks run
	Again  bool   `json:"again"` // as Boot.Again
	Trial  bool   `json:"trial"` // its generation is not in force yet: a warmup that fails refuses it
}

// Order is everything else that the supervisor says to a loader or a worker; each op uses some of
// the fields.
type Order struct {
	Op      string `json:"op"`
	Reason  string `json:"reason,omitempty"`
	Handoff bool   `json:"handoff,omitempty"` // idle connections go to other workers
	Close   bool   `json:"close,omitempty"`   // the instance ends: what waits in its own sockets' queues is answered
	Core    int    `json:"core,omitempty"`
	Started int64  `json:"started,omitempty"` // which request of that core: monotonic ns
	Signal  int    `json:"signal,omitempty"`  // OpSignal: uWSGI's number, 0…255
}

// Report is everything that a loader or a worker says to the supervisor; each op uses some of the
// fields.
type Report struct {
	Op        string `json:"op"`
	Slot      int    `json:"slot,omitempty"`
	Row       int    `json:"row,omitempty"`
	PID       int    `json:"pid,omitempty"`
	Status    uint32 `json:"status,omitempty"` // as wait(2) gives it
	Apps      []App  `json:"apps,omitempty"`
	Python    string `json:"python,omitempty"` // "3.11.2"
	Error     string `json:"error,omitempty"`
	Exclusive bool   `json:"exclusive,omitempty"` // a lock or an address was in use
	Code      int    `json:"code,omitempty"`      // what to exit with
	Reason    string `json:"reason,omitempty"`
	Message   string `json:"message,omitempty"`
	Trace     string `json:"trace,omitempty"`  // a traceback, several lines
	Within    int64  `json:"within,omitempty"` // ms, below 0 = any time
	Done      bool   `json:"done,omitempty"`   // a task, for the statistics
	Level     string `json:"level,omitempty"`  // debug, info, warning, error
}

// App is one application that was imported.
type App struct {
	Mount   string  `json:"mount"`
	Seconds float64 `json:"seconds"` // what importing it took
	Source  string  `json:"source"`

	Interface string `json:"interface"` // wsgi, asgi
}

// Handed is what travels with a connection from one worker to another.
type Handed struct {
	Listener string `json:"l"` // its name: the other worker may be of a generation with other sockets
	Protocol string `json:"x"`
	Addr     string `json:"a"`
	Port     string `json:"p"`
	Served   int    `json:"s"` // requests so far
}
