package dataplane

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/wire"
)

// handoffPair makes the sockets that connections travel through.
func handoffPair(t *testing.T) [2]int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	return pair
}

// twoEngines are two workers of one instance: the same listening sockets, one handoff pair. Only
// the first accepts.
func twoEngines(t *testing.T, cfg config) (first, second *server) {
	t.Helper()
	checkFDs(t)
	cfg.handoff = handoffPair(t)
	first = serve(t, cfg)
	cfg.share = first
	second = serve(t, cfg)
	second.say(message{Op: "pause"})
	second.paused(true)
	return first, second
}

func (s *server) paused(want bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.eng.hindered(paused) != want; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			s.t.Fatal("it does not obey")
		}
	}
}

func TestDrainHandsOn(t *testing.T) {
	first, second := twoEngines(t, config{listen: []string{"http", "uwsgi", "fastcgi"},
		set: func(s *option.Settings) { s.Threads = 2 }})
	var idle []*client
	for i := range 50 {
		c := first.dial("http")
		c.get(fmt.Sprintf("/%d", i))
		idle = append(idle, c)
	}
	// Accepted, and silent so far.
	var silent []*client
	for i := range 10 {
		silent = append(silent, first.dial([]string{"http", "uwsgi"}[i%2]))
	}
	kept := first.dial("fastcgi")
	kept.send(fcgi(1, true, cgi("GET", "/a")))
	if _, err := io.ReadFull(kept.r, make([]byte, len(fcgiAnswer(1,
		"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello /a")))); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(append(silent, idle...), kept) {
		first.taken(c)
	}
	first.say(message{Op: "drain", Handoff: true, Reason: "reload"})
	first.wait()
	for i, c := range idle {
		path := fmt.Sprintf("/again/%d", i)
		if got := c.get(path); got != "hello "+path {
			t.Fatalf("%q", got)
		}
	}
	for i, c := range silent {
		if i%2 == 0 {
			c.get("/late")
			continue
		}
		c.send(packet(cgi("GET", "/late")...))
		if got := c.all(); !strings.HasSuffix(got, "hello /late") {
			t.Fatalf("%q", got)
		}
	}
	kept.send(fcgi(1, false, cgi("GET", "/b")))
	if got, _ := fcgiDecode(t, 1, kept.all()); !strings.HasSuffix(got, "hello /b") {
		t.Errorf("%q", got)
	}
	first.expectRequests(51)
	second.expectRequests(61)
	if got := second.requests(1)[0]; !strings.HasPrefix(got, "GET /again/") {
		t.Errorf("%q", got)
	}
}

// What waits to be accepted when a worker leaves that may have been the one that was told of it:
// here neither accepts any more.
func TestDrainHandsOnQueued(t *testing.T) {
	first, second := twoEngines(t, config{})
	first.say(message{Op: "pause"})
	first.paused(true)
	c := first.dial("http")
	first.say(message{Op: "drain", Handoff: true, Reason: "reload"})
	first.wait()
	if got := c.get("/queued"); got != "hello /queued" {
		t.Errorf("%q", got)
	}
	second.expectRequests(1)
}

// A message with more descriptors than its one leaves none behind: the application's user holds the
// sockets, too.
func TestTooManyDescriptors(t *testing.T) {
	checkFDs(t)
	pair := handoffPair(t)
	e := &Engine{boot: &wire.Boot{HandoffInFD: pair[1]}, wakefd: pair[0]}
	if err := unix.Sendmsg(pair[0], []byte("{}"), unix.UnixRights(pair[0], pair[0]), nil, 0); err != nil {
		t.Fatal(err)
	}
	if cn := e.receiveHandoff(); cn != nil {
		t.Errorf("%v was taken", cn)
	}
	e.control = pair[1]
	if err := unix.Sendmsg(pair[0], []byte(`{"op":"nothing"}`), unix.UnixRights(pair[0]), nil, 0); err != nil {
		t.Fatal(err)
	}
	e.receive()
}

// A worker without a descriptor for it leaves a connection that is handed on to the others.
func TestHandedOnWithoutRoom(t *testing.T) {
	checkFDs(t)
	pair := handoffPair(t)
	e := &Engine{boot: &wire.Boot{HandoffInFD: pair[1]}, wakefd: pair[0]}
	if err := unix.Sendmsg(pair[0], []byte("{}"), unix.UnixRights(pair[0]), nil, 0); err != nil {
		t.Fatal(err)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 256, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	var all []int
	for {
		fd, err := unix.FcntlInt(uintptr(pair[0]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		all = append(all, fd)
	}
	cn := e.receiveHandoff()
	for _, fd := range all {
		unix.Close(fd)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if cn != nil || !pending(pair[1]) {
		t.Errorf("%v: the connection is lost", cn)
	}
}

func TestDrainWithoutHandoff(t *testing.T) {
	s := serve(t, config{})
	c := s.dial("http")
	c.get("/")
	s.taken(c)
	s.say(message{Op: "drain"})
	c.expectClosed()
	s.wait()
	if s.eng.row.Accepting.Load() != 0 {
		t.Error("it still counts as accepting")
	}
}

// A front end connects right before it asks. Where nobody else can take the connection it is waited
// for, a moment.
func TestDrainAwaitsTheFirstRequest(t *testing.T) {
	s := serve(t, config{listen: []string{"uwsgi", "http"}})
	asks, silent := s.dial("uwsgi"), s.dial("http")
	s.taken(asks)
	s.taken(silent)
	s.say(message{Op: "drain"})
	s.draining()
	asks.send(packet(cgi("GET", "/first")...))
	if got := asks.all(); !strings.HasSuffix(got, "hello /first") {
		t.Errorf("%q", got)
	}
	silent.expectClosed()
	s.wait()
}

// A FastCGI front end keeps its connection, and is told nothing of its end: a request that is
// answered while the worker leaves does not end it.
func TestDrainKeepsFastCGI(t *testing.T) {
	answer := len(fcgiAnswer(1, "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello /a"))
	running, release := make(chan struct{}), make(chan struct{})
	cfg := config{listen: []string{"fastcgi"}, handler: func(x *fakeCall) Outcome {
		if x.variable("PATH_INFO") == "/a" {
			running <- struct{}{}
			<-release
		}
		return ok(x)
	}}
	ask := func(s *server, m message) *client {
		c := s.dial("fastcgi")
		c.send(fcgi(1, true, cgi("GET", "/a")))
		<-running
		s.say(m)
		s.draining()
		release <- struct{}{}
		if _, err := io.ReadFull(c.r, make([]byte, answer)); err != nil {
			t.Fatal(err)
		}
		c.send(fcgi(1, false, cgi("GET", "/b")))
		if got, _ := fcgiDecode(t, 1, c.all()); !strings.HasSuffix(got, "hello /b") {
			t.Errorf("%q", got)
		}
		return c
	}
	t.Run("reload", func(t *testing.T) {
		first, second := twoEngines(t, cfg)
		ask(first, message{Op: "drain", Handoff: true})
		first.wait()
		second.expectRequests(1)
	})
	t.Run("stop", func(t *testing.T) {
		s := serve(t, cfg)
		ask(s, message{Op: "drain", Close: true})
		s.wait()
	})
}

// At the end of the instance what waits to be accepted is answered, and the next request on
// connections that are kept.
func TestStopLosesNothing(t *testing.T) {
	for _, unixSocket := range []bool{false, true} {
		t.Run(fmt.Sprintf("unix=%v", unixSocket), func(t *testing.T) {
			first, second := twoEngines(t, config{unix: unixSocket})
			kept := []*client{first.dial("http"), first.dial("http")}
			for _, c := range kept {
				c.get("/")
			}
			first.say(message{Op: "pause"})
			first.paused(true)
			var queued []*client
			for range 40 {
				c := first.dial("http")
				c.send("GET /queued HTTP/1.1\r\nHost: x\r\n\r\n")
				queued = append(queued, c)
			}
			for _, s := range []*server{first, second} {
				s.say(message{Op: "drain", Close: true})
			}
			first.draining()
			for _, c := range kept {
				if got := c.get("/last"); got != "hello /last" {
					t.Errorf("%q", got)
				}
			}
			for _, c := range queued {
				if resp, got := c.response("GET"); got != "hello /queued" || !resp.Close {
					t.Errorf("%q, close %v", got, resp.Close)
				}
			}
			for _, s := range []*server{first, second} {
				s.wait()
			}
			// And who comes now is refused at once, though the socket is still open here.
			network := "tcp"
			if unixSocket {
				network = "unix"
			}
			if c, err := net.Dial(network, first.addrs["http"]); err == nil {
				c.Close()
				t.Error("a connection nobody will serve is taken")
			}
		})
	}
}

// What was handed on and not taken before the instance ends.
func TestStopTakesWhatWasHandedOn(t *testing.T) {
	first, second := twoEngines(t, config{starts: true})
	second.stop()
	c := first.dial("http")
	first.say(message{Op: "serve"})
	first.serving()
	c.get("/")
	first.taken(c)
	first.say(message{Op: "drain", Handoff: true})
	first.wait()
	cfg := config{share: first, handoff: [2]int{first.eng.boot.HandoffFD, first.eng.boot.HandoffInFD}, starts: true}
	last := serve(t, cfg)
	c.send("GET /last HTTP/1.1\r\nHost: x\r\n\r\n")
	last.say(message{Op: "drain", Close: true})
	if _, got := c.response("GET"); got != "hello /last" {
		t.Errorf("%q", got)
	}
	last.wait()
}

// A socket that was inherited stays with whoever made it, and so does its queue.
func TestStopLeavesInheritedSockets(t *testing.T) {
	s := serve(t, config{prepare: func(e *Engine) { e.listeners[0].Inherited = true }})
	s.say(message{Op: "pause"})
	s.paused(true)
	c := s.dial("http")
	c.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
	s.say(message{Op: "drain", Close: true})
	s.wait()
	next := serve(t, config{share: s})
	if _, got := c.response("GET"); got != "hello /next" {
		t.Errorf("%q", got)
	}
	next.expectRequests(1)
}

func (s *server) draining() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.eng.phase() < leaving; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			s.t.Fatal("it does not drain")
		}
	}
}

// Requests that run, and those of which a part is here, are answered; the worker leaves after them,
// and not before.
func TestDrainFinishesRequests(t *testing.T) {
	release := make(chan struct{})
	running := make(chan struct{}, 2)
	first, second := twoEngines(t, config{
		set: func(s *option.Settings) { s.Threads = 3 },
		handler: func(x *fakeCall) Outcome {
			if x.variable("PATH_INFO") == "/slow" {
				running <- struct{}{}
				<-release
			}
			return echo(x)
		},
	})
	slow := first.dial("http")
	slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	stream := first.dial("http")
	stream.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running
	<-running
	head := first.dial("http")
	head.send("GET / HTTP/1.1\r\nHost:")
	body := first.dial("http")
	body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
	first.taken(head)
	first.taken(body)
	first.say(message{Op: "drain", Handoff: true})
	for first.eng.phase() < draining {
		unix.Poll(nil, 1)
	}
	head.send(" x\r\n\r\n")
	if resp, got := head.response("GET"); got != "-|-|false|" || resp.Close {
		t.Errorf("%q, close %v", got, resp.Close)
	}
	body.send("llo")
	if _, got := body.response("POST"); got != "5|-|false|hello" {
		t.Errorf("%q", got)
	}
	select {
	case <-first.codes:
		// A core may leave as soon as nothing is left for it; not while requests run.
		t.Fatal("a core has left while requests run")
	default:
	}
	close(release)
	for _, c := range []*client{slow, stream} {
		if _, got := c.response("GET"); got != "-|-|false|" {
			t.Errorf("%q", got)
		}
	}
	first.wait()
	// They were promised to be kept, and are: the next worker has them.
	for _, c := range []*client{slow, stream, head, body} {
		if got := c.get("/next"); got != "-|-|false|" {
			t.Errorf("%q", got)
		}
	}
	second.expectRequests(4)
}

// A response that is still being taken when the worker drains goes out whole, and its connection
// goes on elsewhere.
func TestDrainWithSlowReader(t *testing.T) {
	body := pattern(8 << 20)
	first, _ := twoEngines(t, config{handler: func(x *fakeCall) Outcome {
		if x.variable("PATH_INFO") == "/big" {
			x.start("200 OK")
			return x.replyPinned([]byte(body))
		}
		return ok(x)
	}})
	c := slowRequest(first, "http", "GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
	first.held(1)
	c.hurry()
	first.say(message{Op: "drain", Handoff: true})
	if _, got := c.response("GET"); got != body {
		t.Fatalf("%d bytes", len(got))
	}
	if got := c.get("/next"); got != "hello /next" {
		t.Errorf("%q", got)
	}
	first.wait()
}

// Workers come and go under load, and each request on connections that are kept is answered.
func TestDrainUnderLoad(t *testing.T) {
	checkFDs(t)
	cfg := config{handoff: handoffPair(t), unix: true, set: func(s *option.Settings) { s.Threads = 2 }}
	current := serve(t, cfg)
	cfg.share = current
	addr := current.addrs["http"]
	var stop atomic.Bool
	var clients sync.WaitGroup
	var answered atomic.Int64
	for i := range 16 {
		clients.Go(func() {
			var c net.Conn
			buf := make([]byte, 4096)
			for n := 0; !stop.Load(); n++ {
				var err error
				if c == nil {
					if c, err = net.Dial("unix", addr); err != nil {
						t.Error(err)
						return
					}
					c.SetDeadline(time.Now().Add(patience))
				}
				if _, err = c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err == nil {
					_, err = c.Read(buf)
				}
				if err != nil {
					c.Close()
					t.Errorf("client %d, request %d: %v", i, n, err)
					return
				}
				answered.Add(1)
				// A connection that was kept: the server says so when it ends one.
				if strings.Contains(string(buf), "Connection: close") || n%50 == 49 {
					c.Close()
					c = nil
				}
				clear(buf)
			}
			if c != nil {
				c.Close()
			}
		})
	}
	for range 30 {
		next := serve(t, cfg)
		for seen := answered.Load(); answered.Load() < seen+50 && !t.Failed(); {
			unix.Poll(nil, 1)
		}
		current.say(message{Op: "drain", Handoff: true})
		current.wait()
		current = next
		if t.Failed() {
			break
		}
	}
	stop.Store(true)
	clients.Wait()
}

// A worker that has not been told to serve may be killed: it takes nothing, neither from the
// sockets nor from other workers.
func TestTakesNothingBeforeServe(t *testing.T) {
	checkFDs(t)
	// sweeps often
	cfg := config{handoff: handoffPair(t), starts: true,
		set: func(s *option.Settings) { s.HTTPHeadersTimeout = 80 * time.Millisecond }}
	first := serve(t, cfg)
	cfg.share, cfg.starts = first, false
	leaving := serve(t, cfg)
	handed := leaving.dial("http")
	handed.get("/")
	leaving.taken(handed)
	leaving.say(message{Op: "drain", Handoff: true})
	leaving.wait()
	queued := first.dial("http")
	for _, c := range []*client{handed, queued} {
		c.send("GET /served HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	first.say(message{Op: "pause"})
	first.paused(true)
	first.say(message{Op: "resume"})
	first.paused(false)
	for range 100 {
		if n := first.eng.row.Conns.Load(); n != 0 || first.eng.row.Accepting.Load() != 0 {
			t.Fatalf("it has taken %d connections", n)
		}
		unix.Poll(nil, 1)
	}
	first.say(message{Op: "serve"})
	first.serving()
	for _, c := range []*client{handed, queued} {
		if _, got := c.response("GET"); got != "hello /served" {
			t.Errorf("%q", got)
		}
	}
}

// While shutdown-delay runs a worker serves on, new connections too, and tells its clients to close
// them.
func TestPart(t *testing.T) {
	s := serve(t, config{})
	c := s.dial("http")
	c.get("/")
	s.say(message{Op: "part"})
	for deadline := time.Now().Add(patience); !s.eng.parting.Load() && time.Now().Before(deadline); {
		unix.Poll(nil, 1)
	}
	late := s.dial("http")
	for _, c := range []*client{c, late} {
		c.send("GET /last HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, got := c.response("GET"); got != "hello /last" || !resp.Close {
			t.Errorf("%q, close %v", got, resp.Close)
		}
		c.expectClosed()
	}
}

func TestPauseAndResume(t *testing.T) {
	s := serve(t, config{})
	c := s.dial("http")
	c.get("/")
	s.say(message{Op: "pause"})
	s.paused(true)
	c.get("/still") // what is open goes on
	late := s.dial("http")
	late.send("GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
	c.get("/again")
	if n := s.eng.row.Conns.Load(); n != 1 {
		t.Errorf("%d connections while it is paused", n)
	}
	s.say(message{Op: "resume"})
	if _, body := late.response("GET"); body != "hello /late" {
		t.Errorf("%q", body)
	}
}

func TestExitInARequest(t *testing.T) {
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		x.resp.ExitCode = 3
		return Exit
	}})
	if got := s.exchange("http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 500 ") {
		t.Errorf("%q", got)
	}
	s.wait()
	if code := <-s.codes; code != 3 {
		t.Errorf("exit code %d", code)
	}
}

func TestRecycle(t *testing.T) {
	s := serve(t, config{set: func(s *option.Settings) { s.MaxRequests = 3 }})
	c := s.dial("http")
	for range 5 { // it serves until it is replaced
		c.get("/")
	}
	if m := s.hear("recycle"); m.Reason != "max-requests" {
		t.Errorf("%+v", m)
	}
	s.say(message{Op: "drain"})
	s.wait() // and it asked once
	if n, err := unix.FcntlInt(uintptr(s.control), unix.F_GETFL, 0); err != nil || n < 0 {
		t.Fatal(err)
	}
	if _, _, err := unix.Recvfrom(s.control, make([]byte, 10), unix.MSG_DONTWAIT); err != unix.EAGAIN {
		t.Errorf("a second message: %v", err)
	}
}

// A worker that cannot listen again, for the application has put a file in the place of its socket,
// ends and says why: it would be silent for ever.
func TestResumeWithoutASocket(t *testing.T) {
	s := serve(t, config{})
	s.say(message{Op: "pause"})
	s.paused(true)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.Dup3(int(file.Fd()), s.eng.listeners[0].FD, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	m := mark(t)
	s.say(message{Op: "resume"})
	s.wait()
	if code := <-s.codes; code != 1 {
		t.Errorf("it exits with %d, want 1", code)
	}
	if got := messages(t, m); !strings.Contains(got, "epoll_ctl: listening socket") {
		t.Errorf("it says %q", got)
	}
}

// A connection that a leaving worker goes on waiting for keeps the cores throughout: were there a
// moment without an active one, some would leave in it, and others stay for it.
func TestLingeringKeepsTheCores(t *testing.T) {
	drained := make(chan struct{})
	s := serve(t, config{run: func(s *server) int {
		<-drained
		e, c := s.eng, s.eng.Core(0)
		tokens := func() (n int) {
			var b [8]byte
			for n = 0; ; n++ {
				if _, err := unix.Read(e.wakefd, b[:]); err != nil {
					return n
				}
			}
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return 1
		}
		defer unix.Close(pair[1])
		cn := e.newConn(pair[0], e.listeners[0])
		e.setActive(cn, true)
		tokens()
		if c.wait(cn, monotonic()); e.active.Load() != 1 || tokens() != 0 {
			t.Errorf("%d active, and the cores were woken", e.active.Load())
		}
		return c.Run()
	}})
	s.eng.Drain("test", false)
	close(drained)
	s.cores.Wait()
}

// Cores leave for good, also if a connection becomes active when the first of them has left.
func TestCoresLeaveForGood(t *testing.T) {
	s := serve(t, config{})
	s.eng.Drain("test", false)
	s.cores.Wait()
	s.eng.active.Add(1)
	if !s.eng.drained() {
		t.Error("a core that comes now stays")
	}
	s.eng.active.Add(-1)
}
