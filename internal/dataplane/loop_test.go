package dataplane

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// A loop that is driven as a Python event loop drives it: it waits on the epoll set among others,
// and what an application would do asynchronously runs between two polls.

// asyncApp is the application of such a loop: event is called for each event that Next gives.
type asyncApp func(l *looped, ev *Event)

type looped struct {
	*server
	loop  *Loop
	tasks chan func() // to run on the loop's thread
	wake  int
}

// async starts an engine on a loop.
func async(t *testing.T, cfg config, app asyncApp) *looped {
	t.Helper()
	if cfg.serving.Exchanges == 0 {
		cfg.serving = Serving{Exchanges: 8, Async: []bool{true}}
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(wake) })
	l, known := &looped{tasks: make(chan func(), 64), wake: wake}, make(chan struct{})
	cfg.run = func(*server) int {
		<-known
		return l.run(app)
	}
	l.server = serve(t, cfg)
	l.loop = l.eng.Loop()
	close(known)
	return l
}

func (l *looped) run(app asyncApp) int {
	fds := []unix.PollFd{{Fd: int32(l.eng.PollFD()), Events: unix.POLLIN}, {Fd: int32(l.wake), Events: unix.POLLIN}}
	for {
		timeout := -1
		if l.loop.Again() {
			timeout = 0
		}
		unix.Poll(fds, timeout)
		var b [8]byte
		unix.Read(l.wake, b[:])
		for len(l.tasks) > 0 {
			(<-l.tasks)()
		}
		for ev := (Event{}); l.loop.Next(&ev) != NoEvent; {
			if ev.Kind == Leave {
				return l.eng.ExitCode()
			}
			app(l, &ev)
		}
	}
}

// do runs f on the loop's thread, and waits for that.
func (l *looped) do(f func()) {
	done := make(chan struct{})
	l.tasks <- func() { f(); close(done) }
	unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-done
}

// head is what the application says before the body.
func (l *looped) head(exchange int, status string, headers ...string) *Exchange {
	x := l.eng.Exchange(exchange)
	call := &fakeCall{Call: &x.call, exchange: x}
	call.start(status, headers...)
	l.app.current[exchange] = call
	return x
}

// hello answers each request at once.
func hello(l *looped, ev *Event) {
	if ev.Kind != RequestBegins {
		return
	}
	x := l.head(ev.Exchange, "200 OK", "Content-Type: text/plain")
	x.Send([]byte("hello "+string(ev.Request.Bytes(ev.Request.Path))), false)
	x.Finished(Done)
}

func TestLoopServes(t *testing.T) {
	for _, protocol := range []string{"http", "uwsgi", "fastcgi", "scgi"} {
		t.Run(protocol, func(t *testing.T) {
			l := async(t, config{listen: []string{protocol}}, hello)
			var request string
			switch protocol {
			case "http":
				request = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			case "uwsgi":
				request = packet("REQUEST_METHOD=GET", "PATH_INFO=/a")
			case "fastcgi":
				request = fcgi(1, false, cgi("GET", "/a"))
			case "scgi":
				request = netstring("CONTENT_LENGTH=0", "SCGI=1", "REQUEST_METHOD=GET", "PATH_INFO=/a")
			}
			if got := l.exchange(protocol, request); !strings.Contains(got, "200 OK") ||
				!strings.Contains(got, "hello /a") {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestLoopKeepsConnections(t *testing.T) {
	l := async(t, config{}, hello)
	c := l.dial("http")
	c.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
	wantBody(t, c, "hello /1")
	// Three requests in one segment are answered in order, the last one in pieces.
	c.send("GET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\nGET /4 HT")
	wantBody(t, c, "hello /2")
	wantBody(t, c, "hello /3")
	c.send("TP/1.1\r\nHost: x\r\n\r\n")
	wantBody(t, c, "hello /4")
	l.do(func() {
		if got := l.eng.row.Requests.Load(); got != 4 {
			t.Errorf("%d requests counted, want 4", got)
		}
	})
}

// come waits until something has come about.
func come(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !cond(); unix.Poll(nil, 1) { // why: what is counted has no event to wait for
		if time.Now().After(late) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// How late a loop is can be seen while it is busy, and is over when it has nothing in hand.
func TestLoopLag(t *testing.T) {
	began, gate := make(chan int), make(chan struct{})
	// sweeps are frequent, then
	l := async(t, config{set: func(s *option.Settings) { s.SocketTimeout = 80 * time.Millisecond }},
		func(_ *looped, ev *Event) {
			if ev.Kind == RequestBegins {
				began <- ev.Exchange
				<-gate // a coroutine that computes
			}
		})
	lag := &l.eng.row.Loop.Lag
	c := l.dial("http")
	c.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
	exchange := <-began
	come(t, "the loop is late", func() bool { return time.Duration(lag.Load()) > 100*time.Millisecond })
	close(gate)
	come(t, "the loop is on time, with a request that waits",
		func() bool { return time.Duration(lag.Load()) < 50*time.Millisecond })
	l.do(func() {
		x := l.head(exchange, "200 OK")
		x.Send(nil, false)
		x.Finished(Done)
	})
	come(t, "nothing is late", func() bool { return lag.Load() == 0 })
}

// Requests in flight at once end in any order, and no more than may be are begun.
func TestLoopLimit(t *testing.T) {
	const limit, all = 3, 9
	begun := make(chan int, all)
	l := async(t, config{serving: Serving{Exchanges: limit, Async: []bool{true}}}, func(l *looped, ev *Event) {
		if ev.Kind == RequestBegins {
			begun <- ev.Exchange
		}
	})
	var clients []*client
	for i := range all {
		c := l.dial("http")
		c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i))
		clients = append(clients, c)
	}
	for range all / limit {
		var batch []int
		for range limit {
			batch = append(batch, receive(t, begun))
		}
		l.do(func() {
			if len(begun) > 0 {
				t.Errorf("more than %d requests in flight", limit)
			}
			for i := range batch {
				x := l.head(batch[len(batch)-1-i], "200 OK")
				x.Send([]byte("x"), false)
				x.Finished(Done)
			}
		})
	}
	for _, c := range clients {
		wantBody(t, c, "x")
	}
}

// A long body is read as the application asks for it, and no faster.
func TestLoopStreamsBodies(t *testing.T) {
	for name, head := range map[string]string{
		"length":  "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n",
		"chunked": "POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			begun, got := make(chan int, 1), make(chan []byte, 1)
			var body bytes.Buffer
			var end func(x *Exchange)
			take := func(x *Exchange, ev *Event) {
				for {
					body.Write(ev.Data)
					if !ev.More {
						end(x)
						return
					}
					if x.Read(ev) == NoEvent {
						return
					}
				}
			}
			l := async(t, config{}, func(l *looped, ev *Event) {
				switch ev.Kind {
				case RequestBegins:
					body.Write(ev.Data)
					begun <- ev.Exchange
				case BodyComes:
					take(l.eng.Exchange(ev.Exchange), ev)
				}
			})
			end = func(x *Exchange) {
				l.head(x.id, "200 OK")
				x.Send(nil, false)
				x.Finished(Done)
				got <- bytes.Clone(body.Bytes())
			}
			c := l.dial("http")
			want := bytes.Repeat([]byte("0123456789"), 300000)
			go func() {
				c.Write([]byte(head))
				w := io.Writer(c)
				if name == "chunked" {
					w = chunkWriter{c}
				}
				for i := 0; i < len(want); i += 10000 {
					if _, err := w.Write(want[i : i+10000]); err != nil {
						return
					}
				}
				if name == "chunked" {
					c.Write([]byte("0\r\n\r\n"))
				}
			}()
			x := receive(t, begun)
			l.do(func() {
				var ev Event
				if l.eng.Exchange(x).Read(&ev) != NoEvent {
					take(l.eng.Exchange(x), &ev)
				}
			})
			if b := receive(t, got); !bytes.Equal(b, want) {
				t.Errorf("%d bytes came, want %d", len(b), len(want))
			}
			wantBody(t, c, "")
		})
	}
}

type chunkWriter struct{ w io.Writer }

func (c chunkWriter) Write(p []byte) (int, error) {
	_, err := fmt.Fprintf(c.w, "%x\r\n%s\r\n", len(p), p)
	return len(p), err
}

// 100 Continue is sent when the application asks for the body, and not before.
func TestLoopContinue(t *testing.T) {
	begun := make(chan int, 1)
	l := async(t, config{}, func(l *looped, ev *Event) {
		switch ev.Kind {
		case RequestBegins:
			begun <- ev.Exchange
		case BodyComes:
			x := l.head(ev.Exchange, "200 OK")
			x.Send(bytes.ToUpper(ev.Data), false)
			x.Finished(Done)
		}
	})
	c := l.dial("http")
	c.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	x := receive(t, begun)
	l.do(func() {
		if got := l.eng.Exchange(x).headBytes; got != 0 || !l.eng.Exchange(x).owes100 {
			t.Error("the client was asked to go on before the application wanted the body")
		}
	})
	l.do(func() { l.eng.Exchange(x).Read(&Event{}) })
	if line, _ := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q", line)
	}
	c.r.ReadString('\n')
	c.send("body")
	wantBody(t, c, "BODY")
}

// An application that gives faster than its client takes is told so, and when there is room again.
func TestLoopBackpressure(t *testing.T) {
	const pieces = 200
	block := bytes.Repeat([]byte("x"), 64<<10)
	sent, behind := 0, make(chan int, pieces)
	var begun int
	push := func(x *Exchange) {
		for sent < pieces {
			sent++
			switch x.Send(block, sent < pieces) {
			case WouldBlock:
				behind <- sent
				return
			case -1:
				t.Error("the client is gone")
				return
			}
		}
		x.Finished(Done)
	}
	l := async(t, config{}, func(l *looped, ev *Event) {
		switch ev.Kind {
		case RequestBegins:
			begun = ev.Exchange
			push(l.head(ev.Exchange, "200 OK"))
		case RoomToWrite:
			push(l.eng.Exchange(ev.Exchange))
		}
	})
	c := l.dial("http")
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if n := receive(t, behind); n == pieces {
		t.Errorf("%d pieces were taken though nobody reads", n)
	}
	if _, body := c.response("GET"); len(body) != pieces*len(block) {
		t.Errorf("%d bytes came, want %d", len(body), pieces*len(block))
	}
	l.do(func() {
		if x := l.eng.Exchange(begun); x.inFlight {
			t.Error("the exchange is still in flight")
		}
	})
}

// A client that leaves is told of once, whatever the application waits for.
func TestLoopTellsOfTheClientsEnd(t *testing.T) {
	begun, gone := make(chan int, 1), make(chan int, 4)
	l := async(t, config{}, func(l *looped, ev *Event) {
		switch ev.Kind {
		case RequestBegins:
			l.eng.Exchange(ev.Exchange).Suspended()
			begun <- ev.Exchange
		case ClientGone:
			gone <- ev.Exchange
		}
	})
	c := l.dial("http")
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	x := receive(t, begun)
	c.Close()
	if got := receive(t, gone); got != x {
		t.Errorf("exchange %d, want %d", got, x)
	}
	l.do(func() {
		l.eng.Exchange(x).Finished(Failed)
		if len(gone) > 0 {
			t.Error("told twice")
		}
		if n := l.loop.inFlight; n != 0 || l.eng.row.Conns.Load() != 0 {
			t.Errorf("%d in flight, %d connections", n, l.eng.row.Conns.Load())
		}
	})
}

// Nor is it missed when it has come with the request, on a connection that the epoll set told of
// before.
func TestLoopTellsOfAnEndWithTheRequest(t *testing.T) {
	gone := make(chan int, 1)
	l := async(t, config{}, func(l *looped, ev *Event) {
		switch {
		case ev.Kind == RequestBegins && string(ev.Request.Bytes(ev.Request.Path)) == "/waits":
			l.eng.Exchange(ev.Exchange).Suspended()
		case ev.Kind == ClientGone:
			gone <- ev.Exchange
			l.eng.Exchange(ev.Exchange).Finished(Failed)
		default:
			hello(l, ev)
		}
	})
	c := l.dial("http")
	c.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
	wantBody(t, c, "hello /first")
	l.do(func() {}) // the connection is idle, and in the set
	l.do(func() {
		c.send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
		c.Close()
	})
	receive(t, gone)
}

// A response that was not ended breaks its connection; one that did not begin becomes a 500.
func TestLoopUnfinished(t *testing.T) {
	l := async(t, config{}, func(l *looped, ev *Event) {
		if ev.Kind != RequestBegins {
			return
		}
		x := l.head(ev.Exchange, "200 OK")
		if strings.HasSuffix(string(ev.Request.Bytes(ev.Request.Path)), "half") {
			x.Send([]byte("half"), true)
		}
		x.Finished(Failed)
	})
	if got := l.exchange("http", "GET /none HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 500 ") {
		t.Errorf("%q", got)
	}
	if got := l.exchange("http", "GET /half HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.Contains(got, "half") ||
		strings.Contains(got, "\r\n0\r\n") {
		t.Errorf("%q", got)
	}
}

// A worker that drains lets what is in flight finish, and leaves when it has.
func TestLoopDrains(t *testing.T) {
	begun := make(chan int, 1)
	l := async(t, config{}, func(l *looped, ev *Event) {
		if ev.Kind == RequestBegins {
			begun <- ev.Exchange
		}
	})
	c := l.dial("http")
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	x := receive(t, begun)
	l.eng.Drain("test", false)
	select {
	case <-l.codes:
		t.Fatal("the loop left while a request was in flight")
	default:
	}
	l.do(func() {
		x := l.head(x, "200 OK")
		x.Send([]byte("bye"), false)
	})
	wantBody(t, c, "bye")
	select {
	case <-l.codes:
		t.Fatal("the loop left while the application was still running")
	default:
	}
	l.do(func() { l.eng.Exchange(x).Finished(Done) })
	l.wait()
}

// A response of known length is one write, and a stream's last piece leaves with its end.
func TestLoopFrames(t *testing.T) {
	l := async(t, config{}, func(l *looped, ev *Event) {
		if ev.Kind != RequestBegins {
			return
		}
		x := l.head(ev.Exchange, "200 OK")
		switch string(ev.Request.Bytes(ev.Request.Path)) {
		case "/whole":
			x.Send([]byte("whole"), false)
		case "/stream":
			x.Send([]byte("one"), true)
			x.Send([]byte("two"), false)
		case "/trailers":
			x.Send([]byte("one"), true)
			x.Trailers([]byte("X-Sum: 1\r\n"))
		}
		x.Finished(Done)
	})
	for path, want := range map[string]string{
		"/whole":    "Content-Length: 5\r\n",
		"/stream":   "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
		"/trailers": "\r\n\r\n3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n",
	} {
		got := l.exchange("http", "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q lacks %q", path, got, want)
		}
	}
}

// A client that takes nothing of a stream for the send timeout is gone.
func TestLoopSendTimeout(t *testing.T) {
	block := bytes.Repeat([]byte("x"), 1<<20)
	gone := make(chan struct{}, 1)
	l := async(t, config{set: func(s *option.Settings) { s.SendTimeout = 100 * time.Millisecond }},
		func(l *looped, ev *Event) {
			switch ev.Kind {
			case RequestBegins:
				x := l.head(ev.Exchange, "200 OK")
				for x.Send(block, true) == 0 {
				}
			case ClientGone:
				if rc := l.eng.Exchange(ev.Exchange).Send(block, true); rc != -1 {
					t.Errorf("a write to a client that is gone: %d", rc)
				}
				l.eng.Exchange(ev.Exchange).Finished(Failed)
				gone <- struct{}{}
			}
		})
	c := l.dial("http")
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	receive(t, gone)
}

// A request that is over its time is cancelled, and those beside it are not.
func TestLoopCancels(t *testing.T) {
	begun, cancelled := make(chan int, 2), make(chan int, 2)
	l := async(t, config{}, func(l *looped, ev *Event) {
		switch ev.Kind {
		case RequestBegins:
			begun <- ev.Exchange
		case CancelIt:
			l.eng.Exchange(ev.Exchange).Finished(Cancelled)
			cancelled <- ev.Exchange
		}
	})
	slow, quick := l.dial("http"), l.dial("http")
	slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	x := receive(t, begun)
	quick.send("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
	y := receive(t, begun)
	l.say(message{Op: "cancel", Core: x, Started: 1}) // that one is over
	l.say(message{Op: "cancel", Core: x, Started: l.eng.Exchange(x).cell.Started.Load()})
	if got := receive(t, cancelled); got != x {
		t.Errorf("exchange %d was cancelled, want %d", got, x)
	}
	if resp, _ := slow.response("GET"); resp.StatusCode != 504 {
		t.Error(resp.Status)
	}
	l.do(func() {
		l.head(y, "200 OK").Send([]byte("quick"), false)
		l.eng.Exchange(y).Finished(Done)
	})
	wantBody(t, quick, "quick")
}

func wantBody(t *testing.T, c *client, want string) {
	t.Helper()
	if resp, body := c.response("GET"); resp.StatusCode != 200 || body != want {
		t.Errorf("%s %q, want %q", resp.Status, body, want)
	}
}

func receive[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

// WSGI applications beside one on the loop are answered by threads, and their connections come back
// to the loop.
func TestLoopBesideThreads(t *testing.T) {
	threads := make(chan int, 16)
	l := async(t, config{
		mounts:  []string{"", "/wsgi"},
		serving: Serving{Exchanges: 8, Async: []bool{true, false}},
		set:     func(s *option.Settings) { s.Threads, s.ManageScriptName = 2, true },
		handler: func(x *fakeCall) Outcome {
			threads <- unix.Gettid()
			x.start("200 OK")
			return x.reply(x.variable("SCRIPT_NAME") + "|" + x.variable("PATH_INFO") + "|" + string(x.body()))
		},
	}, hello)
	for i := range l.eng.settings.Threads {
		l.cores.Go(func() { l.codes <- l.eng.Core(i + 1).Run() })
	}
	c := l.dial("http")
	for range 3 {
		c.send("POST /wsgi/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" +
			"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
		wantBody(t, c, "/wsgi|/a|body")
		wantBody(t, c, "hello /b")
	}
	l.do(func() {
		if n := l.loop.inFlight; n != 0 {
			t.Errorf("%d in flight", n)
		}
		for range 3 {
			if receive(t, threads) == unix.Gettid() {
				t.Error("a WSGI application ran on the loop's thread")
			}
		}
	})
	l.eng.Drain("test", false)
	l.wait()
}

// A client that left while its request waited for a free exchange is told of, too.
func TestLoopTellsOfAnEndWhileItWaited(t *testing.T) {
	begun, gone := make(chan int, 2), make(chan int, 2)
	l := async(t, config{serving: Serving{Exchanges: 1, Async: []bool{true}}}, func(l *looped, ev *Event) {
		switch ev.Kind {
		case RequestBegins:
			l.eng.Exchange(ev.Exchange).Suspended()
			begun <- ev.Exchange
		case ClientGone:
			gone <- ev.Exchange
		}
	})
	kept, first := l.dial("http"), l.dial("http")
	kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") // so that it is in the epoll set
	end := func(x int) {
		l.do(func() {
			l.head(x, "200 OK").Send(nil, false)
			l.eng.Exchange(x).Finished(Done)
		})
	}
	end(receive(t, begun))
	wantBody(t, kept, "")
	first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	x := receive(t, begun)
	waiting := func() (n int) {
		l.do(func() { n = len(l.loop.local) })
		return n
	}
	kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for deadline := time.Now().Add(patience); waiting() == 0 && time.Now().Before(deadline); {
		unix.Poll(nil, 1)
	}
	kept.Close()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); unix.Poll(nil, 1) {
		pending := false
		l.do(func() { pending = len(l.loop.local) == 1 && l.loop.local[0].at() == connPending })
		if pending {
			break
		}
	}
	end(x)
	y := receive(t, begun)
	if got := receive(t, gone); got != y {
		t.Errorf("exchange %d, want %d", got, y)
	}
	end(y)
}
