package agent

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/redis"
)

// pipe is a connection that remembers its deadlines; half of the patience goes by with each byte.
type pipe struct {
	net.Conn
	read, write time.Time
}

func (p *pipe) SetReadDeadline(t time.Time) error  { p.read = t; return nil }
func (p *pipe) SetWriteDeadline(t time.Time) error { p.write = t; return nil }
func (p *pipe) SetDeadline(t time.Time) error      { p.read, p.write = t, t; return nil }
func (p *pipe) Read([]byte) (int, error)           { return 1, nil }
func (p *pipe) Write(b []byte) (int, error)        { return len(b), nil }

// TestPatience: a deadline is put off by what comes or goes, and by nothing else; none stays none.
func TestPatience(t *testing.T) {
	under := &pipe{}
	p, err := patience(func(context.Context, string, string) (net.Conn, error) { return under, nil })(t.Context(), "",
		"")
	if err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 3*step)
	p.Read(large)
	if n, err := p.Write(large); n != len(large) || err != nil || !under.read.IsZero() || !under.write.IsZero() {
		t.Errorf("%d written, %v, deadlines %v and %v", n, err, under.read, under.write)
	}
	soon := time.Now().Add(redis.Patience / 4)
	p.SetDeadline(soon)
	p.Write(large[:1])
	if under.read != soon || under.write != soon {
		t.Error("a deadline is put off before anything of the answer came")
	}
	p.Read(large)
	if p.Write(large); !under.read.After(soon) || !under.write.After(soon) {
		t.Errorf("the deadlines stay %v and %v", under.read, under.write)
	}
	late := time.Now().Add(10 * redis.Patience)
	p.SetDeadline(late)
	p.Read(large)
	if p.Write(large); under.read != late || under.write != late {
		t.Error("a late deadline is made a sooner one")
	}
}

// TestPatientConnectionsAreLookedAt: go-redis looks at a connection before it uses it again.
func TestPatientConnectionsAreLookedAt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := patience((&net.Dialer{}).DialContext)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, ok := conn.(syscall.Conn); !ok {
		t.Error("it cannot be looked at")
	}
}
