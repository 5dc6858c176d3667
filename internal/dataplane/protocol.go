package dataplane

import (
	"strings"

	"uwsgi/internal/option"
	"uwsgi/internal/proto/fastcgi"
	"uwsgi/internal/proto/http1"
	"uwsgi/internal/proto/scgi"
	"uwsgi/internal/proto/uwsgi"
	"uwsgi/internal/request"
)

// protocol is everything the data plane knows of one protocol; nothing else in this package names
// one. A zero field means what holds for uwsgi, the simplest of them.
type protocol struct {
	parse parser

	// parserOf gives a parser to each listener, in place of parse.
	parserOf func(l *listener, hostname string, s *option.Settings) parser

	// finish is what request.Finish has to know.
	finish request.Options

	// packet is the size of what precedes the head's packet, whose size the log shows; 0: the head
	// has no packet.
	packet int

	// aside answers what was parsed but is not a request (errAside).
	aside func(p []byte) []byte

	// records is how all that is carried is framed; nil: it is not.
	records *records

	// start begins the status line; "": the version that the request came with does.
	start string

	// client: the peer is the client itself, not a web server in front of us. It gets its own
	// timeouts, and is told when it was too late; its responses are not held back (TCP_NODELAY).
	client bool

	// delimits: a response's head says where its body ends, and whether the connection goes on (RFC
	// 9112 §6.3, §9.6), and so the body is as long as it says.
	delimits bool

	// lingers: unread bytes would make close() reset the connection under an answer that the peer
	// still has to read (RFC 9112 §9.6).
	lingers bool

	// endUnseen: peers do not look for the end that the protocol gives a response, but for that of
	// the connection.
	endUnseen bool
}

// parser gives the length of the head at the start of buf, and fills r and what conn keeps of a
// request; as http1.Server.Parse.
type parser func(cn *conn, buf []byte, r *request.Request, lim *request.Limits) (int, error)

// records is how a protocol frames what it carries: the head and the body of a response, and the
// body of a request. id is the request's number on its connection.
type records struct {
	max    int                                          // bytes that one of a response holds
	begin  func(dst []byte, id uint16, n int) []byte    // appends what stands before n bytes
	append func(dst []byte, id uint16, p []byte) []byte // appends p as records
	end    func(dst []byte, id uint16) []byte           // appends what ends the response

	// body takes the body out of p, where it stays: n bytes of the used ones. rest takes what is
	// still to come, nil: the body has ended.
	body func(id uint16, p []byte) (n, used int, rest decoder, err error)
}

// decoder takes a body out of what frames it, piece by piece. It never writes more than it has
// read, so dst may be src. With done, what follows nSrc is the next request.
type decoder interface {
	Decode(dst, src []byte) (nDst, nSrc int, done bool, err error)
}

// errAside is a parser's result for bytes that are not a request: buf[:n] is answered by
// protocol.aside.
var errAside error = fastcgi.ErrManagement

// protocols has them by the names that option.Protocols lists.
var protocols = map[string]*protocol{
	"uwsgi": {
		parse:  parseUwsgi,
		packet: 4,
	},
	"http": {
		parserOf: httpParser,
		finish:   request.Options{HTTP: true},
		start:    "HTTP/1.1 ",
		client:   true,
		delimits: true,
		lingers:  true,
	},
	"fastcgi":     fastCGI("Status: "),
	"fastcgi-nph": fastCGI("HTTP/1.1 "),
	"scgi":        {parse: parseSCGI, start: "Status: "},
	"scgi-nph":    {parse: parseSCGI, start: "HTTP/1.1 "},
}

func fastCGI(start string) *protocol {
	return &protocol{
		parse:     parseFastCGI,
		finish:    request.Options{Ends: true},
		aside:     func(p []byte) []byte { return fastcgi.AppendReply(nil, p) },
		start:     start,
		endUnseen: true, // nginx
		records: &records{
			max: fastcgi.MaxContent,
			begin: func(dst []byte, id uint16, n int) []byte {
				h := fastcgi.StdoutHeader(id, n)
				return append(dst, h[:]...)
			},
			append: fastcgi.AppendStdout,
			end: func(dst []byte, id uint16) []byte {
				return fastcgi.AppendEnd(dst, id, 0, fastcgi.Complete)
			},
			body: func(id uint16, p []byte) (n, used int, rest decoder, err error) {
				in := fastcgi.Stdin{ID: id}
				n, used, done, err := in.Decode(p, p)
				if err == nil && !done {
					left := in // in itself must not escape: most bodies are whole
					rest = &left
				}
				return n, used, rest, err
			},
		},
	}
}

func parseUwsgi(_ *conn, buf []byte, r *request.Request, lim *request.Limits) (int, error) {
	return uwsgi.Parse(buf, r, lim)
}

func parseSCGI(_ *conn, buf []byte, r *request.Request, lim *request.Limits) (int, error) {
	return scgi.Parse(buf, r, lim)
}

func parseFastCGI(cn *conn, buf []byte, r *request.Request, lim *request.Limits) (int, error) {
	n, begin, err := fastcgi.Parse(buf, r, lim)
	cn.id, r.KeepAlive = begin.ID, begin.KeepConn
	return n, err
}

func httpParser(l *listener, hostname string, s *option.Settings) parser {
	server := &http1.Server{ServerName: hostname, ServerPort: l.port, ScriptName: true,
		HostAsName: s.HTTPHostAsName && l.Option == "http"}
	for _, v := range s.HTTPVars {
		if k, val, ok := strings.Cut(v, "="); ok {
			server.Vars = append(server.Vars, http1.Var{Name: k, Value: val})
		}
	}
	return func(cn *conn, buf []byte, r *request.Request, lim *request.Limits) (int, error) {
		return server.Parse(buf, r, lim, cn.peer)
	}
}

// chunks takes a chunked body apart, whose chunks may have that many bytes, 0 = any number.
func (e *Engine) chunks(most int64) decoder {
	return &http1.Chunked{MaxBody: e.limits.Body, MaxChunk: most}
}
