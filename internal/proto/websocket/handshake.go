package websocket

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"

	"uwsgi/internal/request"
)

// Refusals of an opening handshake. With ErrVersion and ErrNoUpgrade, which are answered 426, go
// the headers of UpgradeRequired.
var (
	ErrNoUpgrade = &request.Error{Status: 426, Reason: "the request is no WebSocket handshake"}
	ErrVersion   = &request.Error{Status: 426, Reason: "Sec-WebSocket-Version is not 13"}
	ErrMethod    = &request.Error{Status: 400, Reason: "the method of a WebSocket handshake is GET"}
	ErrProtocol  = &request.Error{Status: 400, Reason: "a WebSocket handshake needs HTTP/1.1"}
	ErrUpgrade   = &request.Error{Status: 400, Reason: "Connection does not say upgrade (a front " +
		"end has to pass it on)"}
	ErrKey = &request.Error{Status: 400, Reason: "Sec-WebSocket-Key is not 16 bytes in base64"}
)

// UpgradeRequired are the headers of a 426 (RFC 6455 §4.2.2, RFC 9110 §15.5.22).
const UpgradeRequired = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

// Requested says that r asks for the WebSocket protocol, well or not.
func Requested(r *request.Request) bool { return has(r, "HTTP_UPGRADE", "websocket") }

// Check judges an opening handshake (RFC 6455 §4.2.1) and gives its key. The error is a
// *request.Error. HTTP_ variables are those of the client; a gateway that has them (nginx's
// uwsgi_pass) leads the bytes that follow through.
func Check(r *request.Request) (key []byte, err error) {
	switch {
	case !Requested(r):
		return nil, ErrNoUpgrade
	case string(r.Bytes(r.Method)) != "GET":
		return nil, ErrMethod
	case r.HTTP10 || string(r.Bytes(r.Protocol)) == "HTTP/1.0":
		return nil, ErrProtocol
	case !has(r, "HTTP_CONNECTION", "upgrade"):
		return nil, ErrUpgrade
	case string(header(r, "HTTP_SEC_WEBSOCKET_VERSION")) != "13":
		return nil, ErrVersion
	}
	key = header(r, "HTTP_SEC_WEBSOCKET_KEY")
	if !validKey(key) {
		return nil, ErrKey
	}
	return key, nil
}

func header(r *request.Request, name string) []byte {
	span, _ := r.Lookup(name)
	return r.Bytes(span)
}

// has says that a header, a list of tokens, has one in any case of letters.
func has(r *request.Request, name, token string) bool {
	list := header(r, name)
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte(","))
		if bytes.EqualFold(bytes.Trim(item, " \t"), []byte(token)) {
			return true
		}
	}
	return false
}

func validKey(key []byte) bool {
	var raw [18]byte
	if len(key) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Strict().Decode(raw[:], key)
	return err == nil && n == 16
}

// FirstProtocol is the subprotocol that the client of r likes best, "" if it names none.
func FirstProtocol(r *request.Request) string {
	first, _, _ := bytes.Cut(header(r, "HTTP_SEC_WEBSOCKET_PROTOCOL"), []byte(","))
	return string(bytes.Trim(first, " \t"))
}

// Accept is the value of Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2).
func Accept(key []byte) string {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	sum := sha1.Sum(append(append(make([]byte, 0, len(key)+len(guid)), key...), guid...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// AppendHeaders adds the headers of the answer 101 to a handshake with that key, which all agree
// on; a subprotocol and the application's own are the caller's.
func AppendHeaders(dst, key []byte, d Deflate) []byte {
	dst = append(dst, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = append(append(dst, Accept(key)...), '\r', '\n')
	return d.appendHeader(dst)
}
