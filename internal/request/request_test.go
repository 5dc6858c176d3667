package request

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var testLimits = &Limits{Head: 64 << 10}

// packet makes a request as a parser without copies would: the texts in somebody else's memory.
// pairs are NAME=value.
func packet(pairs ...string) *Request {
	var buf []byte
	var vars []Var
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		vars = append(vars, Var{uint32(len(buf)), uint32(len(name)), uint32(len(buf) + len(name)), uint32(len(value))})
		buf = append(append(buf, name...), value...)
	}
	r := new(Request)
	r.Borrow(buf)
	r.Vars = append(r.Vars, vars...)
	return r
}

// pairsOf is the other way round.
func pairsOf(r *Request) string {
	var pairs []string
	for i := range r.Vars {
		pairs = append(pairs, string(r.Key(i))+"="+string(r.Val(i)))
	}
	return strings.Join(pairs, "|")
}

func TestFinishVariables(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want string
	}{
		{"nothing to do", []string{"A=1", "HTTP_B=2"}, "A=1|HTTP_B=2"},
		{"repeated header", []string{"HTTP_B=1", "A=1", "HTTP_B=2", "HTTP_C=3", "HTTP_B=4"}, "HTTP_B=1, 2, 4|A=1|HTTP_C=3"},
		{"two repeated headers", []string{"HTTP_B=1", "HTTP_C=2", "HTTP_B=3", "HTTP_C=4"}, "HTTP_B=1, 3|HTTP_C=2, 4"},
		{"cookies", []string{"HTTP_COOKIE=a=1", "HTTP_COOKIE=b=2"}, "HTTP_COOKIE=a=1; b=2"},
		{"empty ones", []string{"HTTP_B=", "HTTP_B=", "HTTP_B=1", "HTTP_B="}, "HTTP_B=1"},
		{"all empty", []string{"HTTP_B=", "HTTP_B="}, "HTTP_B="},
		{"one host twice", []string{"HTTP_HOST=a", "HTTP_HOST=a"}, "HTTP_HOST=a"},
		{"one authorization twice", []string{"HTTP_AUTHORIZATION=a", "HTTP_AUTHORIZATION=a"}, "HTTP_AUTHORIZATION=a"},
		{"a gateway's content types", []string{"CONTENT_TYPE=a", "CONTENT_TYPE=b"}, "CONTENT_TYPE=a|CONTENT_TYPE=b"},
		{"others repeat as they came", []string{"A=1", "A=2", "HTTP_=1", "HTTP_=2"}, "A=1|A=2|HTTP_=1|HTTP_=2"},
		{"transfer encoding", []string{"HTTP_TRANSFER_ENCODING=chunked", "CONTENT_LENGTH=3", "HTTP_TRANSFER_ENCODING=x"}, "CONTENT_LENGTH=3"},
		{"proxy", []string{"HTTP_PROXY=x", "HTTP_PROXY_X=y"}, "HTTP_PROXY_X=y"},
		{"the server's own", []string{"wsgi.errors=x", "A=1", "uwsgi.node=x", "wsgi.version=1", "wsgi.mine=1"}, "A=1|wsgi.mine=1"},
		{"magic", []string{"UWSGI_FILE=/x", "UWSGI_SCRIPT=x"}, "UWSGI_FILE=/x|UWSGI_SCRIPT=x"},
	} {
		for _, own := range []bool{false, true} {
			r := packet(append(c.in, "PATH_INFO=/")...)
			if own {
				r.Keep()
			}
			before := bytes.Clone(r.Arena)
			arena := r.Arena
			if err := Finish(r, testLimits, Options{}); err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if got := pairsOf(r); got != c.want+"|PATH_INFO=/" {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
			if !bytes.Equal(arena, before) {
				t.Errorf("%s: the packet was written to", c.name)
			}
		}
	}
}

func TestFinishRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		lim  Limits
		want error
	}{
		{"two hosts", []string{"HTTP_HOST=a", "HTTP_HOST=b"}, Limits{}, ErrTwoHosts},
		{"a host and none", []string{"HTTP_HOST=a", "HTTP_HOST="}, Limits{}, ErrTwoHosts},
		{"two authorizations", []string{"HTTP_AUTHORIZATION=a", "HTTP_AUTHORIZATION=b"}, Limits{}, ErrTwoAuthorizations},
		{"an authorization and none", []string{"HTTP_AUTHORIZATION=", "HTTP_AUTHORIZATION=b"}, Limits{}, ErrTwoAuthorizations},
		{"two lengths", []string{"CONTENT_LENGTH=5", "CONTENT_LENGTH=6"}, Limits{}, ErrTwoLengths},
		{"a length and none", []string{"CONTENT_LENGTH=5", "CONTENT_LENGTH="}, Limits{}, ErrTwoLengths},
		{"none and a length", []string{"CONTENT_LENGTH=", "CONTENT_LENGTH=5"}, Limits{}, ErrTwoLengths},
		{"two equal lengths", []string{"CONTENT_LENGTH=5", "CONTENT_LENGTH=5"}, Limits{}, nil},
		{"no length twice", []string{"CONTENT_LENGTH=", "CONTENT_LENGTH="}, Limits{}, nil},
		{"length with a plus", []string{"CONTENT_LENGTH=+5"}, Limits{}, ErrLength},
		{"length with a space", []string{"CONTENT_LENGTH=5 "}, Limits{}, ErrLength},
		{"length with letters", []string{"CONTENT_LENGTH=5x"}, Limits{}, ErrLength},
		{"length past 63 bits", []string{"CONTENT_LENGTH=9223372036854775808"}, Limits{}, ErrLength},
		{"longest length", []string{"CONTENT_LENGTH=9223372036854775807"}, Limits{}, nil},
		{"body at the limit", []string{"CONTENT_LENGTH=5"}, Limits{Body: 5}, nil},
		{"body over the limit", []string{"CONTENT_LENGTH=6"}, Limits{Body: 5}, ErrBodySize},
		{"variables at the limit", []string{"A=", "B="}, Limits{Vars: 2}, nil},
		{"variables over the limit", []string{"A=", "B=", "C="}, Limits{Vars: 2}, ErrVars},
	} {
		err := Finish(packet(c.in...), &c.lim, Options{})
		// The two are compared as they are: an interface around a nil *Error would be an error.
		if err != c.want && !(err == nil && c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestFinishFields(t *testing.T) {
	r := packet("REQUEST_METHOD=HEAD", "REQUEST_URI=/a?b", "PATH_INFO=/a",
		"SERVER_PROTOCOL=HTTP/1.1", "REMOTE_ADDR=1.2.3.4",
		"CONTENT_LENGTH=42", "HTTP_X=1", "HTTP_X=2", "REMOTE_ADDR=5.6.7.8")
	if err := Finish(r, testLimits, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		span Span
		want string
	}{{r.Method, "HEAD"}, {r.URI, "/a?b"}, {r.Path, "/a"}, {r.Protocol, "HTTP/1.1"}, {r.RemoteAddr, "5.6.7.8"}} {
		if got := string(r.Bytes(c.span)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if !r.Head || !r.HasLength || r.ContentLength != 42 {
		t.Errorf("head %t, length %t %d", r.Head, r.HasLength, r.ContentLength)
	}
	if span, ok := r.Lookup("HTTP_X"); !ok || string(r.Bytes(span)) != "1, 2" {
		t.Errorf("HTTP_X: %q", r.Bytes(span))
	}
	if _, ok := r.Lookup("HTTP_Y"); ok {
		t.Error("HTTP_Y was found")
	}
	r = packet("CONTENT_LENGTH=")
	if err := Finish(r, testLimits, Options{}); err != nil || r.HasLength || r.ContentLength != 0 || r.Head {
		t.Errorf("empty length: %v, %t %d", err, r.HasLength, r.ContentLength)
	}
}

func TestScheme(t *testing.T) {
	for in, want := range map[string]bool{
		"":                                  false,
		"HTTPS=on":                          true,
		"HTTPS=ON":                          true,
		"HTTPS=onx":                         true,
		"HTTPS=1":                           true,
		"HTTPS=https":                       false,
		"HTTPS=o":                           false,
		"HTTPS=off":                         false,
		"HTTPS=":                            false,
		"HTTP_X_FORWARDED_SSL=on":           true,
		"HTTPS=on HTTP_X_FORWARDED_SSL=off": false,
		"HTTP_X_FORWARDED_SSL=off HTTPS=on": true,
		"REQUEST_SCHEME=https":              false,
		"UWSGI_SCHEME=https":                true,
		"UWSGI_SCHEME=HTTPS":                true,
		"HTTPS=on UWSGI_SCHEME=http":        false,
		"UWSGI_SCHEME=http HTTPS=on":        false,
		"HTTP_X_FORWARDED_PROTO=https":      true,
		"UWSGI_SCHEME=http HTTP_X_FORWARDED_PROTO=https":                         true,
		"HTTP_X_FORWARDED_PROTO=https UWSGI_SCHEME=http":                         false,
		"HTTP_X_FORWARDED_PROTO=https UWSGI_SCHEME=":                             true,
		"HTTP_X_FORWARDED_PROTO=https UWSGI_SCHEME=ftp":                          true,
		"HTTPS=on HTTP_X_FORWARDED_PROTO=foo":                                    true,
		"HTTP_X_FORWARDED_PROTO=https HTTP_X_FORWARDED_PROTO=http":               false,
		"HTTPS=on HTTP_X_FORWARDED_PROTO=http HTTP_X_FORWARDED_PROTO=https":      true,
		"HTTP_X_FORWARDED_PROTO=https UWSGI_SCHEME=http HTTP_COOKIE=a":           false,
		"UWSGI_SCHEME=http HTTP_X_FORWARDED_PROTO=https HTTP_B=1 HTTP_B=2":       true,
		"HTTP_X_FORWARDED_PROTO=\xff":                                            false,
		"HTTP_TRANSFER_ENCODING=x HTTPS=on HTTP_PROXY=x HTTP_X_FORWARDED_SSL=on": true,
	} {
		r := packet(strings.Fields(in)...)
		if err := Finish(r, testLimits, Options{}); err != nil || r.HTTPS != want {
			t.Errorf("%s: %t, %v", in, r.HTTPS, err)
		}
	}
}

func TestRepairPath(t *testing.T) {
	for in, want := range map[string]string{
		"PATH_INFO=/a DOCUMENT_URI=/b":                               "PATH_INFO=/a DOCUMENT_URI=/b",
		"PATH_INFO= SCRIPT_NAME=/b GATEWAY_INTERFACE=CGI/1.1":        "PATH_INFO= SCRIPT_NAME=/b GATEWAY_INTERFACE=CGI/1.1",
		"SCRIPT_NAME=/a/b DOCUMENT_URI=/a/b":                         "SCRIPT_NAME= DOCUMENT_URI=/a/b PATH_INFO=/a/b",
		"DOCUMENT_URI=/a/b":                                          "DOCUMENT_URI=/a/b PATH_INFO=/a/b",
		"SCRIPT_NAME=/a DOCUMENT_URI=/a/b":                           "SCRIPT_NAME=/a DOCUMENT_URI=/a/b PATH_INFO=/b",
		"SCRIPT_NAME=/a DOCUMENT_URI=/ab":                            "SCRIPT_NAME= DOCUMENT_URI=/ab PATH_INFO=/ab",
		"SCRIPT_NAME= DOCUMENT_URI=/ab":                              "SCRIPT_NAME= DOCUMENT_URI=/ab PATH_INFO=/ab",
		"SCRIPT_NAME=/a GATEWAY_INTERFACE=CGI/1.1":                   "SCRIPT_NAME= GATEWAY_INTERFACE=CGI/1.1 PATH_INFO=/a",
		"SCRIPT_NAME=/a":                                             "SCRIPT_NAME=/a",
		"SCRIPT_NAME=/a/b REQUEST_URI=/a/b?x":                        "SCRIPT_NAME= REQUEST_URI=/a/b?x PATH_INFO=/a/b", // mod_proxy_scgi
		"SCRIPT_NAME=/a/\xc3\xa4 REQUEST_URI=/a/%C3%A4":              "SCRIPT_NAME= REQUEST_URI=/a/%C3%A4 PATH_INFO=/a/\xc3\xa4",
		"SCRIPT_NAME=/new REQUEST_URI=/old":                          "SCRIPT_NAME= REQUEST_URI=/old PATH_INFO=/new", // it rewrote the path
		"SCRIPT_NAME=/a REQUEST_URI=/a/%C3%A4?x=/":                   "SCRIPT_NAME=/a REQUEST_URI=/a/%C3%A4?x=/ PATH_INFO=/\xc3\xa4",
		"REQUEST_URI=/a%zz":                                          "REQUEST_URI=/a%zz PATH_INFO=/a%zz",
		"SCRIPT_NAME= REQUEST_URI=/":                                 "SCRIPT_NAME= REQUEST_URI=/ PATH_INFO=/",
		"REQUEST_URI=*":                                              "REQUEST_URI=*",
		"HTTP_X=1 SCRIPT_NAME=/a/b HTTP_X=2 DOCUMENT_URI=/a/b HTTPS": "HTTP_X=1, 2 SCRIPT_NAME= DOCUMENT_URI=/a/b HTTPS= PATH_INFO=/a/b",
	} {
		r := packet(strings.Fields(in)...)
		if err := Finish(r, testLimits, Options{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(pairsOf(r), "|", " "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		if span, ok := r.Lookup("PATH_INFO"); ok && span != r.Path {
			t.Errorf("%s: the span of the path is %v, the variable's %v", in, r.Path, span)
		}
	}
}

// A length that the gateway does not know is no length, where the protocol tells the body's end;
// elsewhere it is none at all.
func TestUnknownLength(t *testing.T) {
	for in, want := range map[string]string{"CONTENT_LENGTH=-1 A=b": "A=b", "CONTENT_LENGTH=-1 CONTENT_LENGTH=-1": ""} {
		r := packet(strings.Fields(in)...)
		if err := Finish(r, testLimits, Options{Ends: true}); err != nil || r.HasLength ||
			strings.ReplaceAll(pairsOf(r), "|", " ") != want {
			t.Errorf("%s: %v, %t, %s", in, err, r.HasLength, pairsOf(r))
		}
	}
	if err := Finish(packet("CONTENT_LENGTH=-1"), testLimits, Options{}); err != ErrLength {
		t.Errorf("%v in a protocol that needs a length", err)
	}
	if err := Finish(packet("CONTENT_LENGTH=-1", "CONTENT_LENGTH=5"), testLimits,
		Options{Ends: true}); err != ErrTwoLengths {
		t.Errorf("%v for a length and none", err)
	}
}

func TestSetLength(t *testing.T) {
	r := packet("REQUEST_METHOD=POST", "PATH_INFO=/")
	if err := Finish(r, testLimits, Options{}); err != nil {
		t.Fatal(err)
	}
	r.SetLength(1 << 40)
	if got := pairsOf(r); got != "REQUEST_METHOD=POST|PATH_INFO=/|CONTENT_LENGTH=1099511627776" ||
		r.ContentLength != 1<<40 || !r.HasLength {
		t.Errorf("%s, %d", got, r.ContentLength)
	}
	if string(r.Bytes(r.Method)) != "POST" {
		t.Errorf("the method became %q", r.Bytes(r.Method))
	}
}

func TestArena(t *testing.T) {
	r := new(Request)
	r.AddVarString("A", "1")
	outside := []byte("BxCy")
	r.Borrow(outside)
	r.Vars = []Var{{0, 1, 1, 1}, {2, 1, 3, 1}}
	r.AddVar("D", []byte("z"))
	if string(outside) != "BxCy" || pairsOf(r) != "B=x|C=y|D=z" {
		t.Errorf("%q, %s", outside, pairsOf(r))
	}
	r.Borrow(outside)
	r.Reset()
	if len(r.Arena) != 0 || len(r.Vars) != 0 || cap(r.Arena) == 0 {
		t.Errorf("after Reset: %+v", r)
	}
	r.AddVarString("E", "2")
	if &r.Arena[0] == &outside[0] || string(outside) != "BxCy" {
		t.Error("Reset left somebody else's memory as the arena")
	}
	if got := packet("AB=123", "C=").PacketSize(); got != 4+5+4+1 {
		t.Errorf("packet size %d", got)
	}
}

func TestErrorText(t *testing.T) {
	var err error = ErrBodySize
	if got := err.Error(); got != "request body is larger than the limit (option limit-post)" {
		t.Error(got)
	}
	if got := ErrLength.Error(); got != "CONTENT_LENGTH is not a number" {
		t.Error(got)
	}
	if errors.Is(err, ErrIncomplete) {
		t.Error("a refusal is no incomplete request")
	}
}

// Many variables, all with names that repeat: the work must grow with their number, not its square.
func TestManyRepeats(t *testing.T) {
	var pairs []string
	for i := range 12000 {
		pairs = append(pairs, fmt.Sprintf("HTTP_%d=v", i%4000))
	}
	r := packet(append(pairs, "PATH_INFO=/")...)
	if err := Finish(r, testLimits, Options{}); err != nil {
		t.Fatal(err)
	}
	if len(r.Vars) != 4001 {
		t.Fatalf("%d variables", len(r.Vars))
	}
	for i := range 4000 {
		if string(r.Val(i)) != "v, v, v" {
			t.Fatalf("%s is %q", r.Key(i), r.Val(i))
		}
	}
}

// nginx's stock uwsgi_params for a browser's request.
var browser = []string{
	"QUERY_STRING=", "REQUEST_METHOD=GET", "CONTENT_TYPE=", "CONTENT_LENGTH=", "REQUEST_URI=/hello", "PATH_INFO=/hello",
	"DOCUMENT_ROOT=/usr/share/nginx/html", "SERVER_PROTOCOL=HTTP/1.1", "REQUEST_SCHEME=http", "REMOTE_ADDR=127.0.0.1",
	"REMOTE_PORT=43754", "SERVER_PORT=8080", "SERVER_NAME=example.test", "HTTP_HOST=example.test", "HTTP_USER_AGENT=curl/7.88.1",
	"HTTP_ACCEPT=*/*", "HTTP_ACCEPT_ENCODING=gzip, deflate, br", "HTTP_ACCEPT_LANGUAGE=en", "HTTP_CONNECTION=keep-alive", "HTTP_COOKIE=a=1; b=2",
}

func TestFinishAllocatesNothing(t *testing.T) {
	for _, pairs := range [][]string{browser, append(browser, "HTTP_COOKIE=c=3", "HTTP_ACCEPT=x")} {
		source := packet(pairs...)
		r := new(Request)
		if n := testing.AllocsPerRun(100, func() {
			r.Reset()
			r.Borrow(source.Arena)
			r.Vars = append(r.Vars, source.Vars...)
			if err := Finish(r, testLimits, Options{}); err != nil {
				t.Fatal(err)
			}
			r.SetLength(5)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func BenchmarkFinish(b *testing.B) {
	source := packet(browser...)
	r := new(Request)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		r.Borrow(source.Arena)
		r.Vars = append(r.Vars, source.Vars...)
		if err := Finish(r, testLimits, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// With Repeats a list of headers has each line of its own, but for what is judged here.
func TestRepeatsAreKept(t *testing.T) {
	r := &Request{}
	for _, v := range [][2]string{
		{"HTTP_X_A", "1"}, {"HTTP_COOKIE", "a=1"}, {"HTTP_X_A", "2"}, {"HTTP_X_FORWARDED_PROTO", "https"}, {"HTTP_COOKIE", "b=2"},
		{"HTTP_X_FORWARDED_PROTO", "http"}, {"HTTP_X_A", "3"}, {"HTTP_HOST", "x"}, {"HTTP_HOST", "x"},
	} {
		r.AddVarString(v[0], v[1])
	}
	if err := Finish(r, &Limits{}, Options{HTTP: true, Repeats: true}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range r.Vars {
		got = append(got, string(r.Key(i))+"="+string(r.Val(i)))
	}
	want := []string{
		"HTTP_X_A=1", "HTTP_COOKIE=a=1; b=2", "HTTP_X_FORWARDED_PROTO=https, http", "HTTP_HOST=x", "HTTP_X_A=2", "HTTP_X_A=3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if r.HTTPS {
		t.Error("two that differ were believed")
	}
	r.AddVarString("HTTP_HOST", "y")
	if err := Finish(r, &Limits{}, Options{HTTP: true, Repeats: true}); err != ErrTwoHosts {
		t.Errorf("two hosts: %v", err)
	}
}
