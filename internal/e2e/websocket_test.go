package e2e

import (
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/proto/websocket/websockettest"
)

// frontEnds is nginx's configuration that leads WebSockets to a server: uwsgi_pass needs nothing
// more than for any other request.
const frontEnds = `
location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:%s; }
location /http/ { proxy_pass http://%s/; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host; }
`

// TestWebSocketClients: applications that use the uwsgi module, flask-sock and Flask-SocketIO, and
// clients of three libraries, straight over HTTP and behind nginx.
func TestWebSocketClients(t *testing.T) {
	venv := harness.Async(t)
	s, addr := harness.New(t), harness.Addr(t)
	s.Copy("testdata/websocket_app.py", "app.py")
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--chmod-socket=666", "--module", "app",
		"--virtualenv", venv, "--threads", "8")
	front := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+
		s.Path("s.sock")+"; }").Addr
	for _, base := range []string{addr, front} {
		if out, err := exec.Command(venv+"/bin/python", "testdata/websocket_clients.py",
			base).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", base, err, out)
		}
	}
	if a := harness.HTTP(t, addr).Get("/environ"); a.Body != "[]" {
		t.Errorf("a request that asks for no WebSocket is offered %s", a.Body)
	}
	s.Log.Wait(t, `GET /echo => generated \d+ bytes .*\(HTTP/1.1 101\)`)
}

// TestAutobahn: the cases of Autobahn's test suite, all of them, against an ASGI application and
// WSGI ones on threads, which cannot tell a binary message from a text: one echoes each as text,
// the other as binary. Cases 9.7, 9.8, 12 and 13 send 20 messages, not a thousand.
func TestAutobahn(t *testing.T) {
	python := harness.Async(t) + "/bin/python"
	const binary = "1.2 9.2 9.4 9.6 9.8 12.2 12.3 12.5"
	for name, run := range map[string]struct{ options, path, cases string }{
		"asgi":          {"--asgi app", "x", ""},
		"wsgi text":     {"--module app", "text", "1.1 2 3 4 5 6 7 9.1 9.3 9.5 9.7 10 12.1 12.4 13"},
		"wsgi binary":   {"--module app", "binary", binary},
		"gevent text":   {"--module app --gevent 20 --gevent-monkey-patch", "text", "1.1 2 3 4 5 6.1 6.2 6.4 7 9.1 9.3 10 12.1"},
		"gevent binary": {"--module app --gevent 20 --gevent-monkey-patch", "binary", "1.2 9.2 12.2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", map[bool]string{true: asgiEcho, false: wsgiEcho}[name == "asgi"])
			s.Start(append([]string{"--http", addr, "--virtualenv", harness.Async(t)},
				strings.Fields(run.options)...)...)
			s.Tolerate("WebSocket")
			cmd := exec.Command(python, append([]string{"testdata/autobahn.py", addr + "/" + run.path, "--messages",
				"20"}, strings.Fields(run.cases)...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestLargeMessages: a message that has to be read in several turns of the loop takes about as long
// as a small one, though nothing wakes the worker meanwhile: both arrive while it stands still.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{"asyncio": "--asgi app --asgi-loop asyncio",
		"uvloop": "--asgi app --asgi-loop uvloop", "gevent": "--module app --gevent 20 --gevent-monkey-patch"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", map[bool]string{true: asgiEcho, false: wsgiEcho}[strings.Contains(options, "asgi")])
			s.Start(append([]string{"--http", addr, "--virtualenv", harness.Async(t)}, strings.Fields(options)...)...)
			s.Tolerate("WebSocket")
			k := open(t, addr, "/")
			took := map[int][]time.Duration{}
			const small, large = 8, 500000
			for n := range 14 {
				size := []int{small, large}[n%2]
				began := time.Now()
				for _, message := range []string{"stand still", strings.Repeat("x", size)} {
					if err := k.Say(websockettest.Text, message); err != nil {
						t.Fatal(err)
					}
				}
				hear(t, k, websockettest.Text, "stand still")
				hear(t, k, websockettest.Text, strings.Repeat("x", size))
				took[size] = append(took[size], time.Since(began))
			}
			for _, times := range took {
				slices.Sort(times)
			}
			if a, b := took[small][3], took[large][3]; b > 4*a {
				t.Errorf("in the middle %v for a small message, %v for a large one", a, b)
			}
			k.Say(websockettest.Close, websockettest.Code(1000, ""))
			k.Hear()
		})
	}
}

const wsgiEcho = `
import time
import uwsgi

try:
    from gevent.monkey import get_original
    stand_still = get_original("time", "sleep")
except ImportError:
    stand_still = time.sleep

def application(environ, start_response):
    send = uwsgi.websocket_send_binary if environ["PATH_INFO"] == "/binary" else uwsgi.websocket_send
    uwsgi.websocket_handshake()
    while True:
        message = uwsgi.websocket_recv()
        send(message)
        if message == b"stand still":
            stand_still(0.05)
`

const asgiEcho = `
import time

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("none")
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({**message, "type": "websocket.send"})
        if message.get("text") == "stand still":
            time.sleep(0.05)
`

func open(t *testing.T, addr, path string, headers ...string) *websockettest.Client {
	t.Helper()
	k, err := websockettest.Open(harness.Dial(t, addr), path, headers...)
	if err != nil {
		t.Fatal(err)
	}
	if k.Answer.StatusCode != 101 {
		b, _ := io.ReadAll(k.Answer.Body)
		t.Fatalf("%s: %s %v %s", path, k.Answer.Status, k.Answer.Header, b)
	}
	return k
}

func hear(t *testing.T, k *websockettest.Client, first byte, payload string) {
	t.Helper()
	f, p, err := k.Hear()
	if err != nil || f != first || p != payload {
		t.Fatalf("heard %#x %.100q %v, expected %#x %.100q", f, p, err, first, payload)
	}
}

const echoApp = `
import os, signal, threading, time
import uwsgi

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/pid":
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
    if path == "/taken":
        sock = environ["gunicorn.socket"]
        sock.sendall(b"HTTP/1.1 101 Mine\r\n\r\n")
        while True:
            data = sock.recv(100)
            if not data:
                raise StopIteration
            sock.sendall(data)
    uwsgi.websocket_handshake()
    if path == "/closed":
        try:
            while True:
                uwsgi.websocket_recv()
        except OSError as exc:
            print("over:", exc)
            for function in (uwsgi.websocket_recv, uwsgi.websocket_recv_nb, lambda: uwsgi.websocket_send("x")):
                try:
                    function()
                    print("it goes on")
                except OSError:
                    pass
            return []
    if path == "/disconnect":
        print("heard", uwsgi.websocket_recv())
        uwsgi.disconnect()
        for function in (uwsgi.websocket_recv, uwsgi.websocket_recv_nb, lambda: uwsgi.websocket_send("x")):
            try:
                function()
                print("it goes on")
            except OSError as exc:
                print("over:", exc)
        return []
    while True:
        message = uwsgi.websocket_recv()
        if message == b"raise":
            raise LookupError("asked for")
        if message == b"kill":
            os.kill(os.getpid(), signal.SIGUSR2)
        if message == b"sleep":
            time.sleep(60)
        uwsgi.websocket_send(message)

def handler(*args):
    print("a handler ran")

if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGUSR2, handler)
`

// TestWebSocketBehindNginx: frames pass in both directions, and the ends of connections, with
// uwsgi_pass and proxy_pass.
func TestWebSocketBehindNginx(t *testing.T) {
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", echoApp)
	s.Start("--http", addr, "--socket", s.Path("s.sock"), "--chmod-socket=666", "--module", "app", "--threads", "2")
	front := harness.StartNginx(t, strings.NewReplacer("%s;", s.Path("s.sock")+";", "%s/",
		addr+"/").Replace(frontEnds)).Addr
	for _, path := range []string{"/", "/http/"} {
		k := open(t, front, path)
		k.Say(websockettest.Text, "hello")
		hear(t, k, websockettest.Text, "hello")
		k.Say(websockettest.Close, websockettest.Code(1000, ""))
		hear(t, k, websockettest.Close, websockettest.Code(1000, ""))
		if _, _, err := k.Hear(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, expected the end", path, err)
		}
		k = open(t, front, path+"taken")
		k.Write([]byte("hello"))
		buf := make([]byte, 5)
		if _, err := io.ReadFull(k.Conn, buf); err != nil || string(buf) != "hello" {
			t.Errorf("%s, the connection itself: %q, %v", path, buf, err)
		}
		k.Close()
		s.Log.Wait(t, "GET /taken .*HTTP/1.1 101")
	}
}

// TestWebSocketReload: those that are open are told to come again, and find the new code; nothing
// waits for them.
func TestWebSocketReload(t *testing.T) {
	t.Run("greenlets", func(t *testing.T) {
		s, addr := harness.New(t), harness.Addr(t)
		s.Write("app.py", wsgiEcho)
		s.LooseFDs() // it has one child at the start, a loader and a worker after a reload
		s.Start("--http", addr, "--module", "app", "--gevent", "20", "--gevent-monkey-patch",
			"--virtualenv", harness.Async(t))
		waits, idle := open(t, addr, "/text"), open(t, addr, "/text")
		waits.Say(websockettest.Text, "hello")
		hear(t, waits, websockettest.Text, "hello")
		s.Reload()
		for _, k := range []*websockettest.Client{waits, idle} {
			hear(t, k, websockettest.Close, websockettest.Code(1012, ""))
			k.Close()
		}
	})
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", echoApp)
	s.Start("--http", addr, "--module", "app", "--threads", "4", "--worker-reload-mercy", "60")
	site := harness.HTTP(t, addr)
	old := site.Get("/pid").Body
	waits, taken := open(t, addr, "/"), open(t, addr, "/taken")
	waits.Say(websockettest.Text, "hello")
	hear(t, waits, websockettest.Text, "hello")
	s.Reload()
	hear(t, waits, websockettest.Close, websockettest.Code(1012, ""))
	waits.Close()
	io.ReadAll(taken.Conn)
	taken.Close()
	if !harness.Within(harness.Patience, func() bool { return site.Get("/pid").Body != old }) {
		t.Error("the old code serves on")
	}
	k := open(t, addr, "/")
	k.Say(websockettest.Text, "again")
	hear(t, k, websockettest.Text, "again")
}

// TestWebSocketErrors: what the application sees of a client that left, and the client of an
// application that failed; handlers of signals run while it waits; harakiri counts from the last
// message.
func TestWebSocketErrors(t *testing.T) {
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", echoApp)
	s.Start("--http", addr, "--module", "app", "--threads", "1", "--harakiri", "2")
	open(t, addr, "/closed").Close()
	s.Log.Wait(t, "^over: unable to receive websocket message$")
	k := open(t, addr, "/closed")
	k.Say(websockettest.Close, "")
	hear(t, k, websockettest.Close, "")
	open(t, addr, "/").Close()
	k = open(t, addr, "/")
	k.Say(websockettest.Text, "kill")
	hear(t, k, websockettest.Text, "kill")
	s.Log.Wait(t, "^a handler ran$")
	s.Allow("LookupError: asked for", "HARAKIRI", "killed by signal 9")
	k.Say(websockettest.Text, "raise")
	hear(t, k, websockettest.Close, websockettest.Code(1011, ""))
	k.Close()
	s.Log.Wait(t, "^LookupError: asked for$")
	if s.Log.Count("^it goes on$|Traceback") != 1 {
		t.Error("a client that left was a fault, or the conversation went on")
	}
	k = open(t, addr, "/")
	k.Say(websockettest.Text, "sleep")
	s.Log.Wait(t, "killed by signal 9")
}

// TestWebSocketDisconnect: uwsgi.disconnect() says goodbye to the client of a WebSocket, on threads
// and on gevent's hub, and the conversation is over.
func TestWebSocketDisconnect(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"threads": {"--threads", "2"},
		"gevent":  {"--gevent", "20", "--gevent-monkey-patch", "--home", harness.Async(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Write("app.py", echoApp)
			s.Start(append([]string{"--http", addr, "--module", "app"}, args...)...)
			k := open(t, addr, "/disconnect")
			k.Say(websockettest.Text, "hello")
			hear(t, k, websockettest.Close, websockettest.Code(1000, ""))
			if f, p, err := k.Hear(); !errors.Is(err, io.EOF) {
				t.Errorf("heard %#x %q %v, expected the end", f, p, err)
			}
			k.Close()
			s.Log.Wait(t, "^over: unable to send websocket message$")
			if n := s.Log.Count("^over: unable to receive websocket message$"); n != 2 ||
				s.Log.Count("^it goes on$") > 0 {
				t.Errorf("%d of two calls that receive have failed", n)
			}
		})
	}
}

// TestASGIDisconnect: so it is in an ASGI application, which is told as if it had closed it itself.
func TestASGIDisconnect(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import uwsgi
async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        uwsgi.disconnect()
        print("told", await receive())
        try:
            await send({"type": "websocket.send", "text": "x"})
            print("it goes on")
        except RuntimeError:
            print("over")
`)
	s.Start("--http", addr, "--asgi", "app", "--lifespan", "off")
	k := open(t, addr, "/")
	k.Say(websockettest.Text, "hello")
	hear(t, k, websockettest.Close, websockettest.Code(1000, ""))
	if f, p, err := k.Hear(); !errors.Is(err, io.EOF) {
		t.Errorf("heard %#x %q %v, expected the end", f, p, err)
	}
	k.Close()
	s.Log.Wait(t, `^told \{'type': 'websocket\.disconnect', 'code': 1000\b`)
	s.Log.Wait(t, "^over$")
}

// TestASGIWebSocketIsItsOwn: what WSGI applications have for a WebSocket is refused in one that is
// an ASGI application's, which goes on.
func TestASGIWebSocketIsItsOwn(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import uwsgi
async def application(scope, receive, send):
    await receive()
    refused = 0
    for f, *args in ((uwsgi.websocket_handshake,), (uwsgi.websocket_recv,), (uwsgi.websocket_recv_nb,),
            (uwsgi.websocket_send, "x"), (uwsgi.websocket_send_binary, b"x")):
        try:
            f(*args)
        except RuntimeError as exc:
            refused += "an ASGI application has receive() and send()" in str(exc)
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(refused)})
    await receive()
`)
	s.Start("--http", addr, "--asgi", "app", "--lifespan", "off")
	k := open(t, addr, "/")
	hear(t, k, websockettest.Text, "5")
	k.Close()
}

// TestWebSocketFromSharedArea: messages are sent from a shared area; what is not in it is OSError.
func TestWebSocketFromSharedArea(t *testing.T) {
	t.Parallel()
	s, addr := harness.New(t), harness.Addr(t)
	s.Write("app.py", `
import uwsgi

uwsgi.sharedarea_write(1, 10, b"h\xc3\xa9llo")

def application(environ, start_response):
    uwsgi.websocket_handshake()
    uwsgi.websocket_send_from_sharedarea(1, 10, 6)
    uwsgi.websocket_send_binary_from_sharedarea(1, 11, 2)
    uwsgi.websocket_send_binary_from_sharedarea(1, 4094)
    for args in ((1, 4095, 2), (1, 4096, 1), (2, 0, 1), (-1, 0, 1), (1, -1, 1), (1, 0, -1)):
        try:
            uwsgi.websocket_send_from_sharedarea(*args)
            uwsgi.websocket_send("%r was sent" % (args,))
        except (OSError, OverflowError):
            pass
    uwsgi.websocket_send("over")
    return []
`)
	s.Start("--http", addr, "--module", "app", "--sharedarea", "2", "--sharedarea", "1")
	k := open(t, addr, "/")
	hear(t, k, 0x81, "h\u00e9llo")
	hear(t, k, 0x82, "\xc3\xa9")
	hear(t, k, 0x82, "\x00\x00")
	hear(t, k, 0x81, "over")
}
