package e2e

import (
	"net"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// oracleRequest is one request, asked in one way.
type oracleRequest struct {
	name    string
	bytes   string // what is sent
	where   func(side) string
	fastcgi bool
	// the client says that nothing more comes: uWSGI's http11-socket waits for that whatever
	// Connection says
	half bool
}

func (r *oracleRequest) ask(t *testing.T, at side) seen {
	t.Helper()
	c := harness.Send(t, r.where(at), r.bytes)
	if r.half {
		c.(*net.TCPConn).CloseWrite()
	}
	return take(at, c, r.fastcgi)
}

// The requests over HTTP, to the http-socket and through nginx.
var oracleHTTP = []struct{ name, request string }{
	{"plain GET", "GET /some/path?a=1&b=%20 HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n"},
	{"POST with everything", "POST /a%20b/c%2Fd/caf%C3%A9?x=1&y=%20z HTTP/1.1\r\nHost: example.test:8080\r\nUser-Agent: ua/1\r\nAccept: */*\r\n" +
		"Content-Type: text/x-test\r\nContent-Length: 5\r\nX-Custom: v1\r\nX_Under: u\r\nX-Custom: v2\r\nConnection: close\r\n\r\nhello"},
	{"HEAD", "HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
	{"HTTP/1.0", "GET /old HTTP/1.0\r\n\r\n"},
	{"HTTP/1.0 with Host", "GET /old HTTP/1.0\r\nHost: x\r\n\r\n"},
	{"chunked", "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
	{"absolute form", "GET http://other.test/abs?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
	{"Proxy header", "GET / HTTP/1.1\r\nHost: x\r\nProxy: evil:80\r\nConnection: close\r\n\r\n"},
	{"cookies twice", "GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n\r\n"},
	{"latin-1 header", "GET / HTTP/1.1\r\nHost: x\r\nX-Name: caf\xe9\r\nConnection: close\r\n\r\n"},
	{"empty header", "GET / HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nX-Space:   a  \r\nConnection: close\r\n\r\n"},
	{"dots in path", "GET /a/../b/./c//d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
	{"OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
	{"PUT without a body", "PUT /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	{"X-Forwarded", "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"},
	{"authorization", "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\nConnection: close\r\n\r\n"},
	{"no Host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"},
	{"bad version", "GET / HTTP/3.7\r\nHost: x\r\nConnection: close\r\n\r\n"},
	{"bad percent", "GET /%zz%4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
}

// The requests that only a front end of its own kind can make: uwsgi packets.
func oraclePackets() map[string]struct {
	vars harness.Vars
	body string
} {
	r := harness.Request("GET", "/p", "q=1")
	return map[string]struct {
		vars harness.Vars
		body string
	}{
		"as nginx":           {r, ""},
		"a body":             {harness.Request("POST", "/p", "").With("CONTENT_LENGTH", "4", "CONTENT_TYPE", "text/plain"), "body"},
		"HTTPS=on":           {r.With("HTTPS", "on"), ""},
		"HTTPS=off":          {r.With("HTTPS", "off"), ""},
		"UWSGI_SCHEME":       {r.With("UWSGI_SCHEME", "https"), ""},
		"X-Forwarded-Proto":  {r.With("HTTP_X_FORWARDED_PROTO", "https"), ""},
		"SCRIPT_NAME":        {r.With("SCRIPT_NAME", "/s", "PATH_INFO", "/s/p"), ""},
		"one variable":       {harness.Vars{"REQUEST_METHOD": "GET"}, ""},
		"Transfer-Encoding":  {harness.Request("POST", "/p", "").With("CONTENT_LENGTH", "4", "HTTP_TRANSFER_ENCODING", "chunked"), "body"},
		"bad CONTENT_LENGTH": {harness.Request("POST", "/p", "").With("CONTENT_LENGTH", "4x"), "body"},
		"HTTP/1.0":           {r.With("SERVER_PROTOCOL", "HTTP/1.0"), ""},
		"latin-1":            {r.With("HTTP_X_NAME", "caf\xe9", "PATH_INFO", "/caf\xc3\xa9"), ""},
		"wsgi variables":     {r.With("wsgi.errors", "no stream", "wsgi.version", "2", "wsgi.url_scheme", "ftp", "wsgi.input", "no stream", "uwsgi.node", "elsewhere"), ""},
		"custom variable":    {r.With("MY_VAR", "1", "REMOTE_USER", "anna", "HTTP_PROXY", "evil:80", "HTTP_X_UNDER_SCORE", "u"), ""},
	}
}

// oracleCases are the functions of cases.py whose answers are compared too.
var oracleCases = strings.Fields(`plain keywords twice exc_info_before late never status_int status_short status_bare header_crlf header_tuple header_int header_wide
	header_latin1 header_large header_same write write_text many several empty raw_bytes text none fails_first fails_after_start fails_at_first_block fails_midway
	fails_in_close too_short too_long no_content not_modified file file_seek file_no_descriptor file_after_write file_yielded`)

func oracleRequests() (out []*oracleRequest) {
	add := func(name, bytes string, where func(side) string) *oracleRequest {
		r := &oracleRequest{name: name, bytes: bytes, where: where}
		out = append(out, r)
		return r
	}
	direct := func(s side) string { return s.http }
	socket := func(s side) string { return s.socket }
	for _, r := range oracleHTTP {
		add("http-socket, "+r.name, r.request, direct)
		add("http11-socket, "+r.name, r.request, func(s side) string { return s.http11 }).half = true
		if r.name != "bad percent" { // the NUL that uWSGI makes of it ends the path on its way through the router
			add("http, "+r.name, r.request, func(s side) string { return s.router })
		}
		if r.name != "bad version" { // nginx answers that itself
			add("nginx, "+r.name, r.request, func(s side) string { return s.front })
		}
	}
	gateways := func(name string, v harness.Vars, body string) {
		add("uwsgi, "+name, string(v.Packet())+body, socket)
		add("fastcgi, "+name, string(v.FastCGI(body)), func(s side) string { return s.fastcgi }).fastcgi = true
		add("scgi, "+name, string(v.SCGI(body)), func(s side) string { return s.scgi })
	}
	for name, p := range oraclePackets() {
		gateways(name, p.vars, p.body)
	}
	twice := harness.Packet("REQUEST_METHOD", "GET", "PATH_INFO", "/", "QUERY_STRING", "", "HTTP_X_A", "1", "HTTP_X_A",
		"2", "HTTP_COOKIE", "a=1", "HTTP_COOKIE", "b=2", "MINE", "1", "MINE", "2")
	add("uwsgi, names twice", string(twice), socket)
	for _, c := range oracleCases {
		add("http-socket, case "+c, "GET /case/"+c+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", direct)
		gateways("case "+c, harness.Request("GET", "/case/"+c, ""), "")
	}
	for _, c := range []string{"plain", "many"} {
		add("http-socket, HEAD of case "+c, "HEAD /case/"+c+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", direct)
	}
	return out
}
