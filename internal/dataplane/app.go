package dataplane

import (
	"unsafe"

	"uwsgi/internal/request"
)

// Outcome is how one call of the application ended; the values are those of bridge.h.
type Outcome int

// Outcomes of App.Call.
const (
	Done     Outcome = 0 // all that the application gave went through Exchange.Write
	Buffered Outcome = 1 // head and body wait in Response
	File     Outcome = 2 // never leaves the bridge: Exchange.File was called
	Failed   Outcome = 3 // it raised; the traceback is printed
	Exit     Outcome = 4 // it raised SystemExit: answer, then end the worker with Response.ExitCode
	NoApp    Outcome = 5 // there is no application to call

	Cancelled Outcome = 6 // Exchange.Finished alone: it was over its time
)

// Call is one request as the application gets it.
type Call struct {
	Request *request.Request
	App     int    // index of the application
	Body    []byte // the whole body, nil when BodyFD is used
	Socket  bool   // the application may take the connection: see Exchange.Take
	BodyFD  int    // a file that holds the body, -1 for none; the application owns it from here on
}

// Response is what start_response and the application gave so far. The byte slices are the bridge's
// and valid until the next Call on that exchange (Body: until Release).
type Response struct {
	HasHead   bool
	Status    int
	Reason    []byte // "200 OK"
	Head      []byte // "Name: value\r\n" for each header but Connection
	Headers   int
	Length    int64 // Content-Length, -1 when none was given
	Close     bool  // Connection: close
	Upgrade   bool  // Connection: upgrade
	TE        bool  // the application frames by itself
	HasDate   bool
	HasServer bool
	Body      []byte
	Pinned    unsafe.Pointer // keeps Body alive; hand it to Release
	FileFD    int            // Exchange.File: to be closed by the data plane
	FileOff   int64
	FileLen   int64
	Streamed  int64 // bytes of the body that the application's side wrote by itself, see App.Streaming
	Switches  int
	ExitCode  int
}

// App is the interpreter as the data plane sees it: implemented by the bridge in cmd/uwsgi-worker,
// and by a fake in tests. exchange and core are numbers.
type App interface {
	// Call runs the application on the calling thread. It calls Write, File and Finish of that
	// exchange.
	Call(exchange int, c *Call) Outcome
	// Response fills r with what the application has given so far.
	Response(exchange int, r *Response)
	// Sent notes that the head went out, so that start_response can no longer replace it.
	Sent(exchange int)
	// Streaming allows the application's side to write the following blocks of this response to the
	// connection by itself, as they are or as chunks; what the connection does not take goes to
	// Exchange.Rest, what was written is told as Response.Streamed.
	Streaming(exchange int, chunked bool)
	// StopStreaming takes that back: from here on all blocks go through Exchange.Write.
	StopStreaming(exchange int)
	// Serving notes the connection that the exchange answers on, -1 for none.
	Serving(exchange, fd int)
	// Release drops what keeps a Body alive, soon: from any thread.
	Release(pinned unsafe.Pointer)
	// HasAfter reports whether there is something to run when a request is over, AfterRequest runs
	// it.
	HasAfter() bool
	AfterRequest(exchange int)
	// Signals runs pending Python signal handlers on that thread; false: one of them raised, the
	// worker must leave.
	Signals(core int) bool
	// Deliver runs the handler of a uWSGI signal on that thread.
	Deliver(core, number int)
	// HasForked reports whether the application has forked children that may hold copies of our
	// descriptors.
	HasForked() bool
}
