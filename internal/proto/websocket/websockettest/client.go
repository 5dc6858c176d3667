// Package websockettest is a WebSocket client for tests: it says what it is told to, right or
// wrong, frame by frame.
package websockettest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Key is the key of every handshake, the example of RFC 6455 §1.3.
const Key = "dGhlIHNhbXBsZSBub25jZQ=="

// First bytes of frames that are whole messages.
const (
	Text   = 0x81
	Binary = 0x82
	Close  = 0x88
	Ping   = 0x89
	Pong   = 0x8a
)

// Frame is a masked frame; first is its first byte.
func Frame(first byte, payload string) []byte {
	var b []byte
	switch n := len(payload); {
	case n < 126:
		b = []byte{first, 0x80 | byte(n)}
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n))
	default:
		b = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// Code is the payload of a close frame.
func Code(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// Client is one connection.
type Client struct {
	net.Conn
	Answer *http.Response // to the handshake
	r      *bufio.Reader
}

// Open sends a handshake for path on c, with further header lines, and reads the answer, whatever
// it is.
func Open(c net.Conn, path string, headers ...string) (*Client, error) {
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: localhost",
		"Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: " + Key, "Sec-WebSocket-Version: 13"}, headers...)
	return Ask(c, strings.Join(lines, "\r\n")+"\r\n\r\n")
}

// Ask sends a request of any kind and reads the answer's head.
func Ask(c net.Conn, request string) (*Client, error) {
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	k := &Client{Conn: c, r: bufio.NewReader(c)}
	var err error
	k.Answer, err = http.ReadResponse(k.r, nil)
	return k, err
}

// Say sends one frame.
func (k *Client) Say(first byte, payload string) error {
	_, err := k.Write(Frame(first, payload))
	return err
}

// Hear reads one frame: its first byte and its payload.
func (k *Client) Hear() (first byte, payload string, err error) {
	var h [8]byte
	if _, err = io.ReadFull(k.r, h[:2]); err != nil {
		return 0, "", err
	}
	first = h[0]
	n := uint64(h[1])
	switch n {
	case 126:
		if _, err = io.ReadFull(k.r, h[:2]); err != nil {
			return first, "", err
		}
		n = uint64(binary.BigEndian.Uint16(h[:]))
	case 127:
		if _, err = io.ReadFull(k.r, h[:8]); err != nil {
			return first, "", err
		}
		n = binary.BigEndian.Uint64(h[:])
	}
	if n > 1<<30 {
		return first, "", fmt.Errorf("a frame of %d bytes, masked perhaps", n)
	}
	p := make([]byte, n)
	_, err = io.ReadFull(k.r, p)
	return first, string(p), err
}
