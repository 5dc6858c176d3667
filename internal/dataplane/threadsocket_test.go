package dataplane

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/proto/websocket"
	"uwsgi/internal/proto/websocket/websockettest"
)

// echoes is an application that sends back what it is told, and goes when it hears "bye".
func echoes(x *fakeCall) Outcome {
	if !x.exchange.Handshake("", "") {
		x.start("500 Internal Server Error")
		return Failed
	}
	for {
		switch p, rc := x.exchange.Receive(true); {
		case rc == Interrupted:
		case rc != MessageTaken:
			return Done
		case string(p) == "bye":
			return Done
		default:
			if rc := x.exchange.SendMessage(websocket.Text, bytes.Clone(p)); rc == WouldBlock &&
				x.exchange.FlushMessage() != MessageTaken || rc == MessageLost {
				return Done
			}
		}
	}
}

func (s *server) webSocket(headers ...string) *websockettest.Client {
	s.t.Helper()
	k, err := websockettest.Open(s.dial("http"), "/chat", headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	if k.Answer.StatusCode != 101 {
		s.t.Fatalf("the handshake was answered with %s", k.Answer.Status)
	}
	return k
}

// expect reads one frame.
func expect(t *testing.T, k *websockettest.Client, first byte, payload string) {
	t.Helper()
	f, p, err := k.Hear()
	if err != nil || f != first || p != payload {
		t.Fatalf("heard %#x %.100q %v, expected %#x %.100q", f, p, err, first, payload)
	}
}

// ends waits for the end of the connection, which is none of a reset.
func ends(t *testing.T, k *websockettest.Client) {
	t.Helper()
	if f, p, err := k.Hear(); !errors.Is(err, io.EOF) {
		t.Fatalf("heard %#x %q %v, expected the end", f, p, err)
	}
}

func TestWebSocket(t *testing.T) {
	s := serve(t, config{handler: echoes})
	k := s.webSocket("Sec-WebSocket-Protocol: chat, other", "Sec-WebSocket-Extensions: permessage-deflate")
	h := k.Answer.Header
	for name, want := range map[string]string{
		"Sec-Websocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-Websocket-Protocol": "chat",
		"Sec-Websocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, expected %q", name, h.Get(name), want)
		}
	}
	k.Say(websockettest.Text, "hello")
	expect(t, k, websockettest.Text, "hello")
	k.Say(websockettest.Ping, "are you there")
	expect(t, k, websockettest.Pong, "are you there")
	k.Write(append(websockettest.Frame(0x01, "in "),
		append(websockettest.Frame(websockettest.Ping, ""), websockettest.Frame(0x80, "pieces")...)...))
	expect(t, k, websockettest.Pong, "")
	expect(t, k, websockettest.Text, "in pieces")
	k.Say(websockettest.Text, "bye")
	expect(t, k, websockettest.Close, websockettest.Code(1000, ""))
	ends(t, k)
	k.Close()
	if line := s.requests(1)[0]; line != "GET /chat 101 2" && !strings.HasPrefix(line, "GET /chat 101 ") {
		t.Errorf("request line %q", line)
	}
}

// TestWebSocketCloses: a client that closes gets its close frame and the end of the connection.
func TestWebSocketCloses(t *testing.T) {
	s := serve(t, config{handler: echoes})
	for payload, want := range map[string]string{
		"":                                      "",
		websockettest.Code(1001, "going away"):  websockettest.Code(1001, ""),
		"\x03":                                  websockettest.Code(1002, "close frame of one byte"),
		websockettest.Code(1005, ""):            websockettest.Code(1002, "invalid code in a close frame"),
		websockettest.Code(3000, "no text\xff"): websockettest.Code(1007, "reason of the close frame is not UTF-8"),
	} {
		k := s.webSocket()
		k.Say(websockettest.Close, payload)
		expect(t, k, websockettest.Close, want)
		ends(t, k)
	}
	s.expectRequests(5)
}

// TestWebSocketFailed: one that has broken the protocol may be sending still, which must not reset
// the connection under our close frame.
func TestWebSocketFailed(t *testing.T) {
	s := serve(t, config{handler: echoes})
	k := s.webSocket()
	k.Say(0x8f, "")
	s.expectRequests(1)
	if n := s.eng.row.Conns.Load(); n != 1 {
		t.Fatalf("%d connections are left", n)
	}
	k.Say(websockettest.Ping, "late")
	expect(t, k, websockettest.Close, websockettest.Code(1002, "unknown opcode"))
	ends(t, k)
}

// TestWebSocketLeft: a client that is gone without a word ends the request.
func TestWebSocketLeft(t *testing.T) {
	mark := mark(t)
	s := serve(t, config{handler: echoes})
	s.webSocket().Close()
	k := s.webSocket()
	k.Conn.(*client).Conn.(*net.TCPConn).SetLinger(0)
	k.Close()
	s.expectRequests(2)
	if said := messages(t, mark); said != "" {
		t.Errorf("it said %q", said)
	}
}

func TestWebSocketLimit(t *testing.T) {
	s := serve(t, config{handler: echoes, set: func(s *option.Settings) { s.WebSocketMaxSize = 100 << 10 }})
	k := s.webSocket()
	large := strings.Repeat("x", 100<<10)
	k.Say(websockettest.Text, large)
	expect(t, k, websockettest.Text, large)
	go k.Say(websockettest.Text, large+"x")
	expect(t, k, websockettest.Close, websockettest.Code(1009, "message is too large"))
	ends(t, k)
}

// TestWebSocketRefused: an application that fails since the request is no handshake leaves the
// answer to the server, which says what is wrong with it.
func TestWebSocketRefused(t *testing.T) {
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		if x.exchange.Handshake("", "") {
			return Done
		}
		return Failed
	}})
	const start, key = "GET / HTTP/1.1\r\nHost: x\r\n", "Sec-WebSocket-Key: " + websockettest.Key + "\r\n"
	for request, want := range map[string]int{
		start + "\r\n": 426,
		start + "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 8\r\n" + key +
			"\r\n": 426,
		start + "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
			"short\r\n\r\n": 400,
		start + "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + key +
			"\r\n": 400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n" + key + "\r\n": 400,
		"GET / HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n" + key + "\r\n":                       400,
	} {
		c := s.dial("http")
		k, err := websockettest.Ask(c, request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(k.Answer.Body)
		if err != nil || k.Answer.StatusCode != want || len(body) == 0 {
			t.Errorf("%q: %s, %q, %v", request, k.Answer.Status, body, err)
		}
		if want == 426 && (k.Answer.Header.Get("Upgrade") != "websocket" ||
			k.Answer.Header.Get("Sec-Websocket-Version") != "13") {
			t.Errorf("%q: %v", request, k.Answer.Header)
		}
	}
	if n := s.eng.row.Exceptions.Load(); n != 0 {
		t.Errorf("%d exceptions were counted", n)
	}
}

// TestWebSocketCaught: it may answer something else itself, and one that fails all by itself is
// another matter.
func TestWebSocketCaught(t *testing.T) {
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		if x.variable("PATH_INFO") == "/page" {
			x.exchange.Handshake("", "")
			x.start("200 OK")
			return x.reply("a page")
		}
		x.exchange.Handshake("", "")
		return Failed
	}})
	if got := s.dial("http").get("/page"); !strings.HasSuffix(got, "a page") {
		t.Errorf("%q", got)
	}
	k := s.webSocket()
	expect(t, k, websockettest.Close, websockettest.Code(1011, ""))
	ends(t, k)
	if n := s.eng.row.Exceptions.Load(); n != 1 {
		t.Errorf("%d exceptions were counted", n)
	}
}

// TestWebSocketDrain: a worker that leaves tells those who wait, and those who only send, to come
// again.
func TestWebSocketDrain(t *testing.T) {
	s := serve(t, config{set: func(s *option.Settings) { s.Threads = 3 }, handler: func(x *fakeCall) Outcome {
		if x.variable("QUERY_STRING") != "sends" {
			return echoes(x)
		}
		x.exchange.Handshake("", "")
		for x.exchange.SendMessage(websocket.Text, []byte("tick")) == MessageTaken {
			unix.Poll(nil, 1)
		}
		return Done
	}})
	waits := s.webSocket()
	waits.Say(websockettest.Text, "hello")
	expect(t, waits, websockettest.Text, "hello")
	sends, err := websockettest.Open(s.dial("http"), "/chat?sends")
	if err != nil {
		t.Fatal(err)
	}
	s.say(message{Op: "drain"})
	expect(t, waits, websockettest.Close, websockettest.Code(1012, ""))
	waits.Say(websockettest.Close, websockettest.Code(1012, ""))
	ends(t, waits)
	for {
		first, p, err := sends.Hear()
		if err != nil || first != websockettest.Text &&
			(first != websockettest.Close || p != websockettest.Code(1012, "")) {
			t.Fatalf("heard %#x %q %v", first, p, err)
		}
		if first == websockettest.Close {
			break
		}
	}
	sends.Close()
	s.wait()
}

// TestWebSocketPing: a client that is silent is asked, and lost if it does not answer; any frame is
// an answer.
func TestWebSocketPing(t *testing.T) {
	s := serve(t, config{handler: echoes, set: func(s *option.Settings) {
		s.WebSocketPing, s.WebSocketPong = 20*time.Millisecond, 500*time.Millisecond
	}})
	k := s.webSocket()
	expect(t, k, websockettest.Ping, "")
	k.Say(websockettest.Pong, "")
	expect(t, k, websockettest.Ping, "")
	k.Say(websockettest.Text, "x")
	expect(t, k, websockettest.Text, "x")
	expect(t, k, websockettest.Ping, "")
	expect(t, k, websockettest.Close, websockettest.Code(1000, ""))
	ends(t, k)
	s.expectRequests(1)
}

// TestWebSocketHarakiri: while it waits for its client it is not busy with it.
func TestWebSocketHarakiri(t *testing.T) {
	s := serve(t, config{handler: echoes})
	k := s.webSocket()
	cell := s.eng.exchanges[0].cell
	for deadline := time.Now().Add(patience); cell.Started.Load() < monotonic(); unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			t.Fatal("its time runs")
		}
	}
	k.Say(websockettest.Text, "bye")
	expect(t, k, websockettest.Close, websockettest.Code(1000, ""))
}

// TestWebSocketWithoutWaiting: what is there is given, else nothing.
func TestWebSocketWithoutWaiting(t *testing.T) {
	asked := make(chan struct{})
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		x.exchange.Handshake("", "")
		if _, rc := x.exchange.Receive(false); rc != MessageNone {
			t.Errorf("before all: %d", rc)
		}
		close(asked)
		for {
			switch p, rc := x.exchange.Receive(false); rc {
			case MessageNone:
				unix.Poll(nil, 1)
			case MessageTaken:
				x.exchange.SendMessage(websocket.Binary, p)
			default:
				return Done
			}
		}
	}})
	k := s.webSocket()
	<-asked
	k.Say(websockettest.Binary, "hello")
	expect(t, k, websockettest.Binary, "hello")
	k.Close()
	s.expectRequests(1)
}

// TestWebSocketEarly: frames that came with the request are not lost.
func TestWebSocketEarly(t *testing.T) {
	s := serve(t, config{handler: echoes})
	c := s.dial("http")
	k, err := websockettest.Ask(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "+
		"upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+
		websockettest.Key+"\r\n\r\n"+string(websockettest.Frame(websockettest.Text, "early")))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, k, websockettest.Text, "early")
	k.Close()
	s.expectRequests(1)
}

// TestWebSocketGateways: the uwsgi protocol and SCGI lead a WebSocket through.
func TestWebSocketGateways(t *testing.T) {
	s := serve(t, config{handler: echoes, listen: []string{"uwsgi", "scgi"}})
	vars := []string{"REQUEST_METHOD=GET", "REQUEST_URI=/chat", "PATH_INFO=/chat", "SERVER_PROTOCOL=HTTP/1.1",
		"HTTP_UPGRADE=websocket",
		"HTTP_CONNECTION=upgrade", "HTTP_SEC_WEBSOCKET_VERSION=13", "HTTP_SEC_WEBSOCKET_KEY=" + websockettest.Key}
	for protocol, packet := range map[string]string{"uwsgi": packet(vars...),
		"scgi": netstring(append([]string{"CONTENT_LENGTH=0", "SCGI=1"}, vars...)...)} {
		if protocol == "scgi" { // what nginx makes a status line of
			c := s.dial(protocol)
			c.send(packet)
			if line, err := c.r.ReadString('\n'); err != nil || line != "Status: 101 Switching Protocols\r\n" {
				t.Errorf("%s: %q, %v", protocol, line, err)
			}
			c.Close() // it had the only core
			continue
		}
		k, err := websockettest.Ask(s.dial(protocol), packet)
		if err != nil || k.Answer.StatusCode != 101 {
			t.Fatalf("%s: %v, %v", protocol, k.Answer, err)
		}
		k.Say(websockettest.Text, "hello")
		expect(t, k, websockettest.Text, "hello")
		k.Say(websockettest.Text, "bye")
		expect(t, k, websockettest.Close, websockettest.Code(1000, ""))
		ends(t, k)
	}
}

// TestTake: an application that takes the connection has it for itself, reads its end when the
// worker leaves, and what it returns is not sent.
func TestTake(t *testing.T) {
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		if !x.Socket {
			x.start("200 OK")
			return x.reply("none")
		}
		fd := x.exchange.Take()
		if fd < 0 || x.exchange.Take() >= 0 {
			t.Errorf("descriptor %d", fd)
			return Done
		}
		unix.SetNonblock(fd, false)
		f := os.NewFile(uintptr(fd), "connection")
		defer f.Close()
		io.WriteString(f, "HTTP/1.1 101 Mine\r\n\r\n")
		buf := make([]byte, 100)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil || n == 0 || string(buf[:n]) == "bye" {
				break
			}
			f.Write(buf[:n])
		}
		x.start("200 OK")
		return Done
	}})
	if got := s.dial("http").get("/"); !strings.HasSuffix(got, "none") {
		t.Errorf("a plain request: %q", got)
	}
	for _, leaves := range []bool{false, true} {
		k := s.webSocket()
		k.Write([]byte("hello"))
		buf := make([]byte, 5)
		if _, err := io.ReadFull(k.Conn, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("%q, %v", buf, err)
		}
		if cell := s.eng.exchanges[0].cell; cell.Started.Load() < monotonic() {
			t.Error("harakiri counts the time of a conversation")
		}
		if leaves {
			s.say(message{Op: "drain"})
		} else {
			k.Write([]byte("bye"))
		}
		if _, err := io.ReadAll(k.Conn); err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Error(err)
		}
		k.Close()
	}
	s.wait()
}
