package dataplane

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
)

// Of all deadlines the earliest is armed; one that is put off, or that is later, costs no call.
func TestDeadlinesAreArmedOnce(t *testing.T) {
	checkFDs(t)
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epfd)
	var d deadlines
	if err := d.open(epfd, 1); err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if d.due(monotonic() + int64(time.Hour)) {
		t.Error("it is due before there is a deadline")
	}
	now := monotonic()
	for _, c := range []struct {
		at, looks time.Duration
		arms      bool
	}{
		{2 * time.Hour, 2 * time.Hour, true}, {3 * time.Hour, 2 * time.Hour, false}, {2 * time.Hour, 2 * time.Hour, false}, {time.Hour, time.Hour, true},
	} {
		d.set(0) // so that it is seen whether it is armed anew
		d.by(now + int64(c.at))
		if got := time.Duration(d.at.Load() - now); got != c.looks {
			t.Errorf("%s: it looks in %s, want %s", c.at, got, c.looks)
		}
		if arms := d.left(t) > 0; arms != c.arms {
			t.Errorf("%s: arms the timer: %v", c.at, arms)
		}
	}
	if d.due(now) || !d.due(now+int64(time.Hour)) || d.due(now+int64(time.Hour)) {
		t.Error("it is due, once, at the earliest deadline")
	}
}

// An idle connection is looked at when its time is up, and not before, whatever it was used for
// meanwhile.
func TestIdleConnectionsAreLeftAlone(t *testing.T) {
	s := serve(t, config{set: func(s *option.Settings) {
		s.HTTPKeepalive,
			s.HTTPHeadersTimeout = 2*time.Hour, time.Hour
	}})
	c := s.dial("http")
	c.get("/first")
	s.taken(c)
	at := s.eng.house.deadlines.at.Load()
	for range 100 {
		c.get("/")
	}
	s.taken(c)
	if got := s.eng.house.deadlines.at.Load(); got != at || at == never {
		t.Errorf("it is looked at at %d, before at %d", got, at)
	}
}

// A request that sets itself a deadline tells the supervisor if that looks later, and only then.
func TestDeadlineIsTold(t *testing.T) {
	s := serve(t, config{handler: func(x *fakeCall) Outcome {
		x.exchange.SetDeadline(10)
		return ok(x)
	}})
	row := s.eng.row
	c := s.dial("http")
	row.NextScan.Store(monotonic() + int64(5*time.Second))
	c.get("/early")
	row.NextScan.Store(monotonic() + int64(time.Minute))
	c.get("/late")
	s.hear("deadline")
	row.NextScan.Store(0)
	c.get("/unknown")
	s.say(message{Op: "drain"})
	s.wait()
	var buf [512]byte
	if n, _, err := unix.Recvfrom(s.control, buf[:], unix.MSG_DONTWAIT); err == nil && n > 0 {
		t.Errorf("it says %s, too", buf[:n])
	}
}
