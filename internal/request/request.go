// Package request is the neutral form of one request, whatever protocol brought it: what every
// parser fills and the one policy after them judges. It does no I/O and allocates nothing once its
// buffers have grown.
package request

// Var is one CGI variable as two spans of Request.Arena. Its layout is shared with bridge.h.
type Var struct {
	KeyOff, KeyLen, ValOff, ValLen uint32
}

func (v *Var) value() Span { return Span{v.ValOff, v.ValLen} }

// Peer is the client's end of the connection, formatted once when it was accepted. Without an Addr
// (unix sockets) REMOTE_ADDR is 0.0.0.0 as in uWSGI; without a Port there is no REMOTE_PORT.
type Peer struct{ Addr, Port string }

// Request is one request's head. A parser fills Arena, Vars and the fields of its own protocol;
// Finish judges them and fills the rest. Everything in it is valid until Reset.
type Request struct {
	Arena []byte // the bytes the Vars point into; owned by the Request or, for the uwsgi protocol, the packet itself
	Vars  []Var

	// Set where the protocol knows it; else false: by http1, and KeepAlive for FastCGI too.
	HTTP10    bool // the client speaks HTTP/1.0
	KeepAlive bool // the client wants to send another request on the connection after this one
	Chunked   bool // the body is chunked; its length is unknown until it is read
	Expect100 bool // the client waits for 100 Continue

	// Set by the parser of the uwsgi protocol, from the packet's header; 0 for all others.
	Modifier1, Modifier2 byte

	// Set by Finish, from the variables.
	ContentLength int64 // 0 when there is none
	HasLength     bool  // a Content-Length was given
	Head          bool  // REQUEST_METHOD is HEAD
	Upgrade       bool  // the client asks for another protocol, of HTTP_UPGRADE
	Method        Span
	URI           Span // REQUEST_URI
	Path          Span // PATH_INFO
	Protocol      Span // SERVER_PROTOCOL
	RemoteAddr    Span
	HTTPS         bool // url_scheme is https

	// Scan is where an incremental parser stopped (http1, fastcgi). It is the parser's own; Reset
	// clears it.
	Scan Scan

	own      []byte   // the buffer behind Arena while Arena is somebody else's packet
	borrowed bool     // Arena is somebody else's: it is read, never appended to
	index    []uint32 // join.go: hash table of the names that may repeat, positions in Vars + 1
	repeats  []repeat // join.go: the later values of repeated names
}

// Scan is what a parser that was given half a head remembers until it is called with more of it:
// the bytes before Off are done, and the Seen ones from there need not be looked at again.
type Scan struct {
	Off, Seen int
	Flags     uint32
}

// Span is a part of Arena.
type Span struct{ Off, Len uint32 }

// Bytes returns the part of Arena that s names.
func (r *Request) Bytes(s Span) []byte { return r.Arena[s.Off : s.Off+s.Len : s.Off+s.Len] }

// Key returns the name of variable i.
func (r *Request) Key(i int) []byte {
	v := &r.Vars[i]
	return r.Arena[v.KeyOff : v.KeyOff+v.KeyLen]
}

// Val returns the value of variable i.
func (r *Request) Val(i int) []byte {
	v := &r.Vars[i]
	return r.Arena[v.ValOff : v.ValOff+v.ValLen]
}
