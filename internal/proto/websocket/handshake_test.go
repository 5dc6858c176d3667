package websocket

import (
	"strings"
	"testing"

	"uwsgi/internal/proto/websocket/websockettest"
	"uwsgi/internal/request"
)

// ask is a handshake as a parser gives it; each change is NAME=VALUE, or NAME to leave it out.
func ask(t *testing.T, changes ...string) *request.Request {
	t.Helper()
	vars := [][2]string{{"REQUEST_METHOD", "GET"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"HTTP_UPGRADE", "websocket"},
		{"HTTP_CONNECTION", "Upgrade"},
		{"HTTP_SEC_WEBSOCKET_VERSION", "13"}, {"HTTP_SEC_WEBSOCKET_KEY", websockettest.Key}}
	r := &request.Request{}
	for _, change := range changes {
		name, value, set := strings.Cut(change, "=")
		for i := range vars {
			if vars[i][0] == name {
				vars[i][0] = ""
			}
		}
		if set {
			vars = append(vars, [2]string{name, value})
		}
	}
	for _, v := range vars {
		if v[0] != "" {
			r.AddVarString(v[0], v[1])
		}
	}
	if err := request.Finish(r, &request.Limits{}, request.Options{HTTP: true}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheck(t *testing.T) {
	for _, h := range []struct {
		changes string
		want    error
	}{
		{"", nil},
		{"HTTP_UPGRADE=WebSocket", nil},
		{"HTTP_UPGRADE=h2c, websocket", nil},
		{"HTTP_CONNECTION=keep-alive, Upgrade", nil},
		{"SERVER_PROTOCOL", nil},
		{"SERVER_PROTOCOL=HTTP/2.0", nil},
		{"HTTP_UPGRADE", ErrNoUpgrade},
		{"HTTP_UPGRADE=h2c", ErrNoUpgrade},
		{"HTTP_UPGRADE=websockets", ErrNoUpgrade},
		{"REQUEST_METHOD=POST", ErrMethod},
		{"SERVER_PROTOCOL=HTTP/1.0", ErrProtocol},
		{"HTTP_CONNECTION", ErrUpgrade},
		{"HTTP_CONNECTION=close", ErrUpgrade},
		{"HTTP_SEC_WEBSOCKET_VERSION", ErrVersion},
		{"HTTP_SEC_WEBSOCKET_VERSION=8", ErrVersion},
		{"HTTP_SEC_WEBSOCKET_VERSION=13, 8", ErrVersion},
		{"HTTP_SEC_WEBSOCKET_KEY", ErrKey},
		{"HTTP_SEC_WEBSOCKET_KEY=", ErrKey},
		{"HTTP_SEC_WEBSOCKET_KEY=dGhlIHNhbXBsZSBub25jZQ", ErrKey},
		{"HTTP_SEC_WEBSOCKET_KEY=dGhlIHNhbXBsZSBub25jZS4u", ErrKey},
		{"HTTP_SEC_WEBSOCKET_KEY=dGhlIHNhbXBsZSBub25jZR==", ErrKey},
		{"HTTP_SEC_WEBSOCKET_KEY=????IHNhbXBsZSBub25jZQ==", ErrKey},
	} {
		var r *request.Request
		if h.changes == "" {
			r = ask(t)
		} else {
			r = ask(t, h.changes)
		}
		key, err := Check(r)
		if err != h.want && (h.want != nil || err != nil) {
			t.Errorf("%q: %v, expected %v", h.changes, err, h.want)
		}
		if err == nil && string(key) != websockettest.Key {
			t.Errorf("%q: key %q", h.changes, key)
		}
	}
}

// TestAccept has the example of RFC 6455 §1.3.
func TestAccept(t *testing.T) {
	if got := Accept([]byte(websockettest.Key)); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Error(got)
	}
	if got := FirstProtocol(ask(t, "HTTP_SEC_WEBSOCKET_PROTOCOL= chat , superchat")); got != "chat" {
		t.Errorf("first protocol %q", got)
	}
	if got := FirstProtocol(ask(t)); got != "" {
		t.Errorf("first protocol %q", got)
	}
}

func TestNegotiate(t *testing.T) {
	const (
		none  = ""
		agree = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	)
	for offer, want := range map[string]string{
		"":                   none,
		"permessage-deflate": agree,
		"permessage-deflate; client_max_window_bits":                                 agree,
		"permessage-deflate; client_max_window_bits=9":                               agree,
		"permessage-deflate ;client_max_window_bits = \"10\"":                        agree,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": agree,
		"permessage-deflate; server_max_window_bits=15":                              agree,
		"permessage-deflate; server_max_window_bits=10":                              agree + "; server_max_window_bits=10",
		"permessage-deflate; server_max_window_bits=\"8\"; client_max_window_bits":   agree + "; server_max_window_bits=8",
		"x-webkit-deflate-frame, permessage-deflate":                                 agree,
		"permessage-deflate; server_max_window_bits=7, permessage-deflate":           agree,
		"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=9":  agree + "; server_max_window_bits=9",
		"x; a=\"b\"; c=d, permessage-deflate":                                        agree,
		"permessage-deflate; server_max_window_bits":                                 none,
		"permessage-deflate; server_max_window_bits=16":                              none,
		"permessage-deflate; server_max_window_bits=08":                              none,
		"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9":     none,
		"permessage-deflate; client_max_window_bits=1":                               none,
		"permessage-deflate; client_max_window_bits=":                                none,
		"permessage-deflate; server_no_context_takeover=1":                           none,
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover": none,
		"permessage-deflate; unknown=1":                                              none,
		"permessage-deflate;":                                                        none,
		"permessage-deflate permessage-deflate":                                      none,
		"x; a=\"b, permessage-deflate":                                               none,
		"permessage-bzip2":                                                           none,
	} {
		r := ask(t, "HTTP_SEC_WEBSOCKET_EXTENSIONS="+offer)
		got := string(Negotiate(r).appendHeader(nil))
		if want != none {
			want = "Sec-WebSocket-Extensions: " + want + "\r\n"
		}
		if got != want {
			t.Errorf("%q: %q, expected %q", offer, got, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	got := string(AppendHeaders([]byte("101\r\n"), []byte(websockettest.Key), Deflate{}))
	if want := "101\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"; got != want {
		t.Errorf("%q", got)
	}
}
