package dataplane

import "uwsgi/internal/request"

// Kind says what an Event is; the values are those of evented.h.
type Kind int

// Kinds of events.
const (
	NoEvent       Kind = iota
	RequestBegins      // call an application: App, Request, what there is of the body
	BodyComes          // more of a request's body: Data, More
	MessageComes       // a WebSocket message: Opcode, Data
	RoomToWrite        // the client has taken enough of what Send could not write at once
	ClientGone         // the client is gone, or has ended its side
	CancelIt           // the request is past its deadline: cancel it
	DrainIt            // the worker leaves: end what does not end by itself
	Leave              // the worker has drained: end the loop
	SignalComes        // run the handler of the uWSGI signal Code
)

// Event is one thing that happened on the connections of a Loop. Its spans are valid until the next
// call of Next or Read.
type Event struct {
	Kind     Kind
	Exchange int

	App       int // index of the application
	Request   *request.Request
	Socket    string // the path of the unix socket that the client connected to; "": none
	WebSocket bool   // Request is a WebSocket handshake
	Takeable  bool   // … of a WSGI application, which may take the connection: see Exchange.Take
	BodyFD    int    // a file with the body, to be closed by the receiver; -1: none

	Data   []byte // of the body, or a message
	More   bool   // more of the body comes
	Opcode int    // of the message, RFC 6455 §5.2
	Code   int    // of a close, RFC 6455 §7.4; number of a signal
}
