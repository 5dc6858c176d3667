package request

import "errors"

// Limits bound one request. They come from the options named; 0 means none, except Head, which is
// always set.
type Limits struct {
	Head int   // buffer-size: bytes of the head, or of a packet's variables
	Body int64 // limit-post
	Vars int   // max-vars
}

// Error is why a request is refused. The connection it came on carries nothing more.
type Error struct {
	Status int    // what the client is answered
	Reason string // for the log
	Option string // the option to raise, "" when none would help
}

func (e *Error) Error() string {
	if e.Option != "" {
		return e.Reason + " (option " + e.Option + ")"
	}
	return e.Reason
}

// ErrIncomplete says that the bytes so far are the beginning of a request: call again with more.
var ErrIncomplete = errors.New("request: incomplete")

// Refusals that more than one parser gives. They are values, so that refusing costs no allocation.
var (
	ErrHeadSize   = &Error{431, "request head is larger than the limit", "buffer-size"}
	ErrVars       = &Error{431, "request has more variables than the limit", "max-vars"}
	ErrBodySize   = &Error{413, "request body is larger than the limit", "limit-post"}
	ErrLength     = &Error{400, "CONTENT_LENGTH is not a number", ""}
	ErrTwoLengths = &Error{400, "CONTENT_LENGTH is given twice with different values", ""}
	ErrTwoHosts   = &Error{400, "Host is given twice with different values", ""}
	ErrTwoTypes   = &Error{400, "Content-Type is given twice with different values", ""}

	ErrTwoAuthorizations = &Error{400, "Authorization is given twice with different values", ""}
)
