package dataplane

import (
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

func TestHarakiri(t *testing.T) {
	for _, protocol := range []string{"http", "uwsgi", "scgi", "fastcgi"} {
		t.Run(protocol, func(t *testing.T) {
			release, running := make(chan struct{}), make(chan struct{}, 2)
			s := serve(t, config{
				listen: []string{protocol},
				set:    func(s *option.Settings) { s.Threads = 2 },
				handler: func(x *fakeCall) Outcome {
					running <- struct{}{}
					if x.variable("PATH_INFO") == "/stuck" {
						<-release
					}
					return ok(x)
				},
			})
			request := func(path string) string {
				switch protocol {
				case "uwsgi":
					return packet(cgi("GET", path)...)
				case "scgi":
					return netstring(cgi("GET", path)...)
				case "fastcgi":
					return fcgi(5, false, cgi("GET", path))
				}
				return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"
			}
			c := s.dial(protocol)
			c.send(request("/stuck"))
			<-running
			core := 0
			if s.eng.exchanges[1].cell.State.Load() == 1 {
				core = 1
			}
			s.harakiri(core)
			s.hear("answered")
			got := c.all()
			if protocol == "fastcgi" {
				got, _ = fcgiDecode(t, 5, got)
			}
			if !strings.Contains(got, " 504 Gateway Timeout\r\n") {
				t.Errorf("%q", got)
			}
			select {
			case <-s.codes:
				if core == 0 {
					break // the free core may go
				}
			default:
			}
			want := "GET /stuck 504 16"
			if got := s.requests(1); got[0] != want {
				t.Errorf("logged before the worker is killed: %q, want %q", got, want)
			}
			// It comes back after all: nothing is sent or logged twice, and the worker leaves.
			close(release)
			s.wait()
			if got := s.requests(1); len(got) != 1 || got[0] != want {
				t.Errorf("logged in the end: %q, want %q", got, want)
			}
		})
	}
}

// While other requests run the supervisor is not told to kill; their answers arrive.
func TestHarakiriLetsOthersFinish(t *testing.T) {
	release, slow, running := make(chan struct{}), make(chan struct{}), make(chan *fakeCall, 2)
	s := serve(t, config{
		set: func(s *option.Settings) { s.Threads = 2 },
		handler: func(x *fakeCall) Outcome {
			running <- x
			if x.variable("PATH_INFO") == "/stuck" {
				<-release
			} else {
				<-slow
			}
			return ok(x)
		},
	})
	stuck := s.dial("http")
	stuck.send("GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
	core := (<-running).exchange.id
	other := s.dial("http")
	other.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running
	s.harakiri(core)
	if got := stuck.all(); !strings.HasPrefix(got, "HTTP/1.1 504 ") {
		t.Errorf("%q", got)
	}
	if _, _, err := unix.Recvfrom(s.control, make([]byte, 10), unix.MSG_DONTWAIT); err != unix.EAGAIN {
		t.Errorf("told too early: %v", err)
	}
	close(slow)
	if _, body := other.response("GET"); body != "hello /slow" {
		t.Errorf("%q", body)
	}
	s.hear("answered")
	close(release)
	s.wait()
}

// A worker that will be killed answers for all that it has taken on: what runs, and what waits for
// a core.
func TestGiveUp(t *testing.T) {
	release, running := make(chan struct{}), make(chan *fakeCall, 2)
	s := serve(t, config{
		set: func(s *option.Settings) { s.Threads = 2 },
		handler: func(x *fakeCall) Outcome {
			switch x.variable("PATH_INFO") {
			case "/first":
				return ok(x)
			case "/begun":
				x.start("200 OK")
				x.write("begun")
			}
			running <- x
			<-release
			return ok(x)
		},
	})
	waits := s.dial("http")
	waits.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
	waits.response("GET")
	clients := []*client{s.dial("http"), s.dial("http")}
	for i, path := range []string{"/runs", "/begun"} {
		clients[i].send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		<-running
	}
	waits.send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n") // no core is free
	s.say(message{Op: "drain"})
	s.say(message{Op: "giveup"})
	s.hear("answered")
	for name, c := range map[string]*client{"runs": clients[0], "waits": waits} {
		if got := c.all(); !strings.HasPrefix(got, "HTTP/1.1 504 ") {
			t.Errorf("%s: %q", name, got)
		}
	}
	close(release)
	clients[1].Close()
	s.wait()
}

// A core that was about to accept a connection when the worker began to leave: the supervisor is
// told to kill only once it has looked.
func TestHarakiriWaitsForEveryCore(t *testing.T) {
	release, running := make(chan struct{}), make(chan *fakeCall, 2)
	looks, look := make(chan struct{}), make(chan struct{})
	s := serve(t, config{
		set: func(s *option.Settings) { s.Threads = 3 },
		// Core 0 is held up between two looks at its events.
		prepare: func(e *Engine) {
			e.app.(*fakeApp).signals = sync.OnceFunc(func() { close(looks); <-look })
			e.pySignals.pending.Store(true)
		},
		handler: func(x *fakeCall) Outcome {
			running <- x
			<-release
			return ok(x)
		},
	})
	<-looks
	s.eng.cores[0].looping.Store(true) // it is to stand for one that does not wait for the GIL
	stuck := s.dial("http")
	stuck.send("GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
	s.harakiri((<-running).exchange.id)
	s.say(message{Op: "pause"})
	if got := stuck.all(); !strings.HasPrefix(got, "HTTP/1.1 504 ") {
		t.Errorf("%q", got)
	}
	for !s.eng.hindered(paused) { // the housekeeper is done with the one before
		unix.Poll(nil, 1)
	}
	if _, _, err := unix.Recvfrom(s.control, make([]byte, 10), unix.MSG_DONTWAIT); err != unix.EAGAIN {
		t.Errorf("told too early: %v", err)
	}
	close(look)
	s.hear("answered")
	close(release)
	s.wait()
}

// A worker that leaves already, and whose cores have heard so in whatever order, tells of a request
// that is stuck now.
func TestHarakiriOfALeavingWorker(t *testing.T) {
	for range 5 { // which core takes whose token is up to the kernel
		running, release := make(chan *fakeCall), make(chan struct{})
		s := serve(t, config{
			set: func(s *option.Settings) { s.Threads = 16 },
			handler: func(x *fakeCall) Outcome {
				running <- x
				<-release
				return ok(x)
			},
		})
		stuck := s.dial("http")
		stuck.send("GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
		x := <-running
		s.say(message{Op: "drain", Reason: "reload"})
		for s.eng.phase() < leaving || readable(s.eng.wakefd) {
			unix.Poll(nil, 1)
		}
		s.harakiri(x.exchange.id)
		s.hear("answered")
		close(release)
		s.wait()
	}
}

// A core that waits for the GIL, in a signal handler say, waits for the one that is stuck, and has
// nothing in hand.
func TestHarakiriWithoutTheGIL(t *testing.T) {
	running, release := make(chan *fakeCall), make(chan struct{})
	looks, look := make(chan struct{}), make(chan struct{})
	s := serve(t, config{
		set: func(s *option.Settings) { s.Threads = 3 },
		prepare: func(e *Engine) {
			e.app.(*fakeApp).signals = sync.OnceFunc(func() { close(looks); <-look })
			e.pySignals.pending.Store(true)
		},
		handler: func(x *fakeCall) Outcome {
			running <- x
			<-release
			return ok(x)
		},
	})
	<-looks
	stuck := s.dial("http")
	stuck.send("GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
	s.harakiri((<-running).exchange.id)
	s.hear("answered")
	close(look)
	close(release)
	s.wait()
}

// The supervisor means one request: if its core is at the next one already, that one is left alone,
// told in the message or noticed last.
func TestHarakiriTooLate(t *testing.T) {
	for name, late := range map[string]func(s *server, started int64, request uint64){
		"told": func(s *server, started int64, _ uint64) { s.say(message{Op: "harakiri", Core: 0, Started: started}) },
		"noticed": func(s *server, _ int64, request uint64) {
			s.eng.house.answerFor(s.eng.exchanges[0], request)
			s.say(message{Op: "drain"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			running, release := make(chan *fakeCall), make(chan struct{})
			s := serve(t, config{handler: func(x *fakeCall) Outcome {
				running <- x
				<-release
				return ok(x)
			}})
			c := s.dial("http")
			c.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
			x := (<-running).exchange
			started, request := x.cell.Started.Load(), x.request()
			release <- struct{}{}
			c.response("GET")
			c.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
			<-running
			late(s, started, request)
			for s.eng.phase() < draining {
				unix.Poll(nil, 1)
			}
			if x.stuck.Load() || s.eng.stuck.Load() != 0 {
				t.Error("the request counts as stuck")
			}
			release <- struct{}{}
			if _, body := c.response("GET"); body != "hello /next" {
				t.Errorf("%q", body)
			}
			s.wait()
		})
	}
}

// What was begun cannot be answered otherwise: the connection is left to the application, and the
// supervisor told.
func TestHarakiriWhileStreaming(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		x.start("200 OK")
		x.write("first")
		close(running)
		<-release
		x.write("second")
		return x.finish()
	}})
	c := s.dial("http")
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running
	s.harakiri(0)
	s.hear("answered")
	close(release)
	if _, body := c.response("GET"); body != "firstsecond" {
		t.Errorf("%q", body)
	}
	s.wait()
}

// A deadline past the end of the clock is far away, not now.
func TestUserHarakiriFarAway(t *testing.T) {
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		x.exchange.SetDeadline(1 << 62)
		if left := x.exchange.cell.Deadline.Load() - monotonic(); left < int64(24*time.Hour) {
			t.Errorf("the deadline is in %v", time.Duration(left))
		}
		return ok(x)
	}})
	c := s.dial("http")
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.response("GET")
}
