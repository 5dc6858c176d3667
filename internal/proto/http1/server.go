// Package http1 parses HTTP/1.0 and HTTP/1.1 requests (RFC 9112) into CGI variables, and decodes
// chunked bodies. It is strict: a request that two parsers could read differently is refused, since
// the other parser may be a proxy in front that let it through for what it took it to be. It does
// no I/O and allocates nothing once a Request's buffers have grown.
package http1

import (
	"strings"
	"sync"

	"uwsgi/internal/request"
)

// Server holds what is the same for every request of one listener. Its fields are not changed once
// Parse has been called.
type Server struct {
	ServerName string // SERVER_NAME
	ServerPort string // SERVER_PORT
	HostAsName bool   // … unless the request has a Host, which is it then
	ScriptName bool   // SCRIPT_NAME is set, to the empty string
	Vars       []Var  // further variables: http-var, UWSGI_ROUTER, HTTPS …

	once sync.Once
	tmpl template
}

// Var is a variable that every request of a listener has.
type Var struct{ Name, Value string }

// template is the beginning of every request: an arena with all constant texts, and the variables
// that point into it, those that each request sets at the end.
type template struct {
	arena  []byte
	vars   []request.Var
	fixed  []string     // HTTP_ names among Server.Vars: what a client says of them does not count
	http10 request.Span // "HTTP/1.0"
	http11 request.Span // "HTTP/1.1"
	host   request.Span // "HTTP_HOST"
}

// Positions of the variables that each request sets, from the first of them.
const (
	varMethod = iota
	varURI
	varPath
	varQuery
	varProtocol
	varRemoteAddr
	varRemotePort // the last, so that it can be cut off where there is no port
	varsSet
)

var setNames = [varsSet]string{"REQUEST_METHOD", "REQUEST_URI", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL",
	"REMOTE_ADDR", "REMOTE_PORT"}

func (s *Server) prepare() {
	t := &s.tmpl
	text := func(v string) request.Span {
		t.arena = append(t.arena, v...)
		return request.Span{Off: uint32(len(t.arena) - len(v)), Len: uint32(len(v))}
	}
	add := func(name, value string) {
		k, v := text(name), text(value)
		t.vars = append(t.vars, request.Var{KeyOff: k.Off, KeyLen: k.Len, ValOff: v.Off, ValLen: v.Len})
	}
	add("SERVER_NAME", s.ServerName)
	add("SERVER_PORT", s.ServerPort)
	if s.ScriptName {
		add("SCRIPT_NAME", "")
	}
	for _, v := range s.Vars {
		add(v.Name, v.Value)
		if strings.HasPrefix(v.Name, "HTTP_") {
			t.fixed = append(t.fixed, v.Name)
		}
	}
	for _, name := range setNames {
		add(name, "")
	}
	t.http10, t.http11, t.host = text("HTTP/1.0"), text("HTTP/1.1"), text("HTTP_HOST")
}

// nameByHost makes Host, port and all, the SERVER_NAME, which is the first of the template's
// variables.
func (s *Server) nameByHost(r *request.Request) {
	if host, ok := r.Lookup("HTTP_HOST"); ok && host.Len > 0 {
		r.Vars[0].ValOff, r.Vars[0].ValLen = host.Off, host.Len
	}
}
