package dataplane

import (
	"uwsgi/internal/proto/fastcgi"
	"uwsgi/internal/request"
)

// errShortBody: unlike the other protocols FastCGI says where a body ends, so it can end early
// while the connection lives.
var errShortBody = &request.Error{Status: 400, Reason: "the FastCGI body ended before CONTENT_LENGTH bytes"}

// beginStdin takes the body of a FastCGI request whose parameters are whole: the STDIN records
// behind them.
func (c *Core) beginStdin(cn *conn, buf []byte, head int) step {
	e, r := c.eng, &c.x.req
	rest := buf[head:]
	in := fastcgi.Stdin{ID: cn.fcgi.ID}
	n, used, done, err := in.Decode(rest, rest) // in place: it never writes more than it has read
	if err != nil {
		return c.refuse(cn, err, true)
	}
	body := rest[:n]
	if r.HasLength && r.ContentLength < int64(n) {
		body = rest[:r.ContentLength] // CGI's rule (RFC 3875 §4.2): what is more is not the request's
	}
	if done {
		switch {
		case !r.HasLength && n > 0:
			if e.limits.Body > 0 && int64(n) > e.limits.Body {
				return c.refuse(cn, request.ErrBodySize, true)
			}
			r.SetLength(int64(n))
		case int64(n) < r.ContentLength:
			return c.refuse(cn, errShortBody, true)
		}
		return c.deliver(cn, head, body, -1, rest[used:])
	}
	want := int64(-1)
	if r.HasLength {
		want = r.ContentLength
	}
	if c.loop != nil && c.loop.mayStream(r, want, 0) {
		return c.loop.streamRecords(cn, head, in, want, body)
	}
	cn.in = nil
	c.suspend(cn, head)
	e.setActive(cn, true)
	cn.body.startRecords(in, want, e)
	if err := cn.body.store(body); err != nil {
		return c.refuseBody(cn, err)
	}
	return c.gatherBody(cn)
}

// startRecords begins a body that comes as STDIN records; want is CONTENT_LENGTH, -1 without one.
func (s *spool) startRecords(in fastcgi.Stdin, want int64, e *Engine) {
	s.on, s.eng, s.want, s.limit, s.most, s.stdin = true, e, want, e.memoryLimit, e.limits.Body, &in
}

// feedRecords is feed for STDIN records.
func (s *spool) feedRecords(p []byte) (int, error) {
	n, used, done, err := s.stdin.Decode(p, p)
	if err != nil {
		return used, err
	}
	s.done = done
	if s.want >= 0 {
		n = int(min(int64(n), s.want-s.size))
	} else if s.most > 0 && s.size+int64(n) > s.most {
		return used, request.ErrBodySize
	}
	return used, s.store(p[:n])
}

// frameHead makes a STDOUT record of x.out.
func (x *Exchange) frameHead() {
	n := len(x.out)
	if n == 0 {
		return
	}
	if n > fastcgi.MaxContent {
		x.out = fastcgi.AppendStdout(nil, x.cn.fcgi.ID, x.out)
		return
	}
	h := fastcgi.StdoutHeader(x.cn.fcgi.ID, n)
	x.out = append(x.out, h[:]...)
	copy(x.out[len(h):], x.out[:n])
	copy(x.out, h[:])
}

// sendRecords writes x.out and p while the application goes on. What is left of the last record is
// for Flush.
func (x *Exchange) sendRecords(p []byte) {
	if len(p) <= copyLimit {
		x.out = append(x.out, p...)
		p = nil
	}
	x.frameHead()
	for !x.broken {
		part := p[:min(len(p), fastcgi.MaxContent)]
		p = p[len(part):]
		if len(part) > 0 {
			h := fastcgi.StdoutHeader(x.cn.fcgi.ID, len(part))
			x.out = append(x.out, h[:]...)
		}
		x.vec.n = 0
		x.vec.add(x.out)
		x.vec.add(part)
		if len(p) == 0 {
			x.tryFlush()
			return
		}
		x.flush()
		x.out = x.out[:0]
	}
}

// lastRecords is sendLast in FastCGI.
func (x *Exchange) lastRecords(body []byte) {
	s := &x.cn.out
	if len(body) <= copyLimit {
		x.out = append(x.out, body...)
		x.frameHead()
		x.out = fastcgi.AppendEnd(x.out, x.cn.fcgi.ID, 0, fastcgi.Complete)
		x.dropPinned()
		if !x.finishSpill() {
			x.spillTail()
			return
		}
		if x.broken {
			return
		}
	} else {
		x.frameHead()
		s.framed, s.id = true, x.cn.fcgi.ID
		s.rest, s.pinned = body, x.resp.Pinned
		x.resp.Pinned = nil
	}
	s.queue(x.out)
	x.pump()
}
