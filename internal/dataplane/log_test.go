package dataplane

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

func TestRequestLog(t *testing.T) {
	s := serve(t, config{
		listen: []string{"http", "uwsgi"},
		set: func(s *option.Settings) {
			s.DisableLogging, s.Log4xx = true, true
			s.LogFormat = "%(addr) %(method) %(uri) %(proto) %(status) %(rsize) %(headers) %(switches) %(who) %(core)"
		},
		handler: func(x *fakeCall) Outcome {
			switch path := x.variable("PATH_INFO"); path {
			case "/missing":
				x.start("404 Not Found", "X: y")
				x.resp.Switches = 2
				x.exchange.SetLogVar("who", "nobody")
				x.exchange.SetLogVar("who", "me")
				if v, ok := x.exchange.LogVar("who"); v != "me" || !ok {
					return Failed
				}
				return x.reply("gone\n")
			case "/forced":
				x.exchange.ForceLog()
			}
			if _, ok := x.exchange.LogVar("who"); ok {
				return Failed // the last request's
			}
			return ok(x)
		},
	})
	c := s.dial("http")
	c.get("/quiet")
	c.send("GET /missing?a=b HTTP/1.1\r\nHost: x\r\n\r\n")
	c.response("GET")
	c.get("/forced")
	s.exchange("uwsgi", packet(cgi("GET", "/forced")...))
	want := []string{
		"127.0.0.1 GET /missing?a=b HTTP/1.1 404 5 3 2 me 0",
		"127.0.0.1 GET /forced HTTP/1.1 200 13 3 0 - 0",
		"192.0.2.1 GET /forced HTTP/1.1 200 13 1 0 - 0",
	}
	got := s.requests(len(want))
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: got %q, want %q", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines: %q", len(got), got)
	}
}

// What a client sends cannot forge a line.
func TestRequestLogInjection(t *testing.T) {
	s := serve(t, config{listen: []string{"uwsgi"}})
	s.exchange("uwsgi", packet("REQUEST_METHOD=GET", "REQUEST_URI=/\nGET /forged 200 1\x1b[2J", "PATH_INFO=/"))
	if got := s.requests(1); len(got) != 1 || got[0] != `GET /\x0aGET /forged 200 1\x1b[2J 200 7` {
		t.Errorf("%q", got)
	}
	m := mark(t)
	s.exchange("uwsgi", packet("REQUEST_METHOD=GET", "CONTENT_LENGTH=x", "REQUEST_URI=/"))
	if got := messages(t, m); strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}

// The log is reopened, or goes elsewhere, between two requests.
func TestRequestLogReplaced(t *testing.T) {
	s := serve(t, config{})
	s.dial("http").get("/before")
	s.requests(1)
	to, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := unix.Sendmsg(s.control, []byte(`{"op":"accesslog"}`), unix.UnixRights(int(to.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	// Answered in order: the housekeeper has obeyed by the time it obeys the next.
	s.say(message{Op: "pause"})
	s.paused(true)
	s.say(message{Op: "resume"})
	s.paused(false)
	s.dial("http").get("/after")
	s.expectRequests(2)
	for i := 0; ; i++ {
		if b, _ := os.ReadFile(to.Name()); string(b) == "GET /after 200 12\n" {
			break
		} else if i > 1000 {
			t.Fatalf("%q", b)
		}
		unix.Poll(nil, 1)
	}
	if got := s.requests(1); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestWorkers(t *testing.T) {
	s := serve(t, config{set: func(s *option.Settings) { s.Processes = 2 }})
	row := s.board.Row(0)
	row.Slot.Store(1)
	row.PID.Store(42)
	row.Base.Store(5)
	s.dial("http").get("/")
	s.expectRequests(1)
	w := s.eng.Workers()
	if len(w) != 2 || w[0].ID != 1 || w[0].PID != 42 || w[0].Requests != 6 || w[0].Delta != 1 ||
		w[0].Status != "idle" || w[1].Status != "cheap" {
		t.Errorf("%+v", w)
	}
	if w[0].TX == 0 {
		t.Errorf("nothing was sent: %+v", w[0])
	}
}

func TestSnapshot(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		close(running)
		x.exchange.SetDeadline(10)
		<-release
		x.exchange.SetDeadline(0)
		return ok(x)
	}})
	c := s.dial("http")
	c.send("GET /" + strings.Repeat("x", 500) + " HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running
	cell := s.board.Cell(0, 0)
	if got, want := cell.GetSnap(), fmt.Sprintf("127.0.0.1 GET /%s", strings.Repeat("x", 500)); !strings.HasPrefix(want,
		got) || len(got) < 200 {
		t.Errorf("%q", got)
	}
	if cell.State.Load() != 1 || cell.Started.Load() == 0 || cell.StartedAt.Load() == 0 {
		t.Errorf("%d %d", cell.State.Load(), cell.Started.Load())
	}
	close(release)
	c.response("GET")
	s.expectRequests(1)
	if cell.State.Load() != 0 || cell.Deadline.Load() != 0 || cell.Requests.Load() != 1 {
		t.Errorf("%d", cell.State.Load())
	}
}

// Where the supervisor reads the worker's standard error, a note bears its severity.
func TestNotesAreMarked(t *testing.T) {
	for _, marked := range []bool{false, true} {
		s := serve(t, config{listen: []string{"uwsgi"}, prepare: func(e *Engine) { e.boot.Marked = marked }})
		m := mark(t)
		s.exchange("uwsgi", packet("REQUEST_METHOD=GET", "CONTENT_LENGTH=x", "REQUEST_URI=/"))
		if got := messages(t, m); strings.HasPrefix(got, "<4>") != marked ||
			!strings.Contains(got, "refused a request") {
			t.Errorf("marked %t: %q", marked, got)
		}
	}
}
