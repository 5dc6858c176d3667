package agent

import (
	"context"
	"net"
	"syscall"
	"time"

	"uwsgi/internal/redis"
)

// step is how much is written before the deadline is looked at.
const step = 1 << 20

// patient is a connection whose deadlines are put off while bytes flow: that a large value takes
// long is no sign of a Redis that is gone.
type patient struct {
	net.Conn
	read, write time.Time
}

// patience makes the connections of a dialer patient. Those that can be looked at, as go-redis does
// before it uses one again, stay so.
func patience(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string,
	string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		p := &patient{Conn: conn}
		if raw, ok := conn.(syscall.Conn); ok {
			return struct {
				*patient
				syscall.Conn
			}{p, raw}, nil
		}
		return p, nil
	}
}

func (p *patient) SetDeadline(t time.Time) error {
	p.read, p.write = t, t
	return p.Conn.SetDeadline(t)
}

func (p *patient) SetReadDeadline(t time.Time) error {
	p.read = t
	return p.Conn.SetReadDeadline(t)
}

func (p *patient) SetWriteDeadline(t time.Time) error {
	p.write = t
	return p.Conn.SetWriteDeadline(t)
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 && near(p.read) {
		_ = p.SetReadDeadline(time.Now().Add(redis.Patience))
	}
	return n, err
}

func (p *patient) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		if n > 0 && near(p.write) {
			_ = p.SetWriteDeadline(time.Now().Add(redis.Patience))
		}
		var m int
		m, err = p.Conn.Write(b[n:min(n+step, len(b))])
		n += m
	}
	return n, err
}

// near reports whether a deadline, if there is one, comes sooner than another one would.
func near(deadline time.Time) bool {
	return !deadline.IsZero() && time.Until(deadline) < redis.Patience/2
}
