// Package accesslog writes request lines: uWSGI's default one, or a log-format compiled once.
// Everything that came from the network or from the application is written with its control bytes
// escaped as \xHH, so that no request can forge a line; uWSGI writes them raw.
package accesslog

import "uwsgi/internal/request"

// Entry is one finished request, as its core knows it.
type Entry struct {
	Req *request.Request // nil where nothing of it is known

	PID, WorkerID, CoreID int
	App                   int   // -1 = none was chosen
	AppRequests           int64 // of this application in this worker; -1 without one
	TotalRequests         int64 // of the whole instance

	Start    int64 // wall clock, ns
	Duration int64 // ns, from the start of reading the request to the end of the response

	Status      int
	Body, Head  int64 // bytes of the response
	Headers     int
	Switches    int
	Via         string // "sendfile", "offload", "route", or ""
	Packet      int    // bytes of the packet's variables; 0 = count them from Req
	RSS, VSZ    int64  // bytes; 0 where memory is not measured
	WriteErrors int64
	LogVars     []LogVar // uwsgi.set_logvar
	Forced      bool     // uwsgi.log_this_request

	style style // of what is being written
}

// LogVar is a variable that the application set for the log. Of two with one name the later counts.
type LogVar struct{ Key, Val []byte }

// micros is the duration as uWSGI counts it; a clock that went backwards makes it 0.
func (e *Entry) micros() int64 { return max(e.Duration, 0) / 1000 }

// text is the value of a variable of the request, nil if it is not there.
func (e *Entry) text(name string) []byte {
	if e.Req == nil {
		return nil
	}
	span, _ := e.Req.Lookup(name)
	return e.Req.Bytes(span)
}

// vars is what uWSGI counts as vars: names and values.
func (e *Entry) vars() int {
	if e.Req == nil {
		return 0
	}
	return 2 * len(e.Req.Vars)
}

// packet is the size of the packet's variables.
func (e *Entry) packet() int {
	if e.Packet == 0 && e.Req != nil {
		return e.Req.PacketSize()
	}
	return e.Packet
}

// modifiers are those of the uwsgi protocol's packet.
func (e *Entry) modifiers() (first, second int64) {
	if e.Req == nil {
		return 0, 0
	}
	return int64(e.Req.Modifier1), int64(e.Req.Modifier2)
}
