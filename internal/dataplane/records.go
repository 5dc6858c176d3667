package dataplane

import "uwsgi/internal/request"

// errShortBody: records say where a body ends, so it can end early while the connection lives.
var errShortBody = &request.Error{Status: 400, Reason: "the body ended before CONTENT_LENGTH bytes"}

// beginRecords takes the body of a request whose head is whole from the records behind it.
func (c *Core) beginRecords(cn *conn, buf []byte, head int) step {
	e, r := c.eng, &c.x.req
	rest := buf[head:]
	n, used, next, err := cn.lis.proto.records.body(cn.id, rest)
	if err != nil {
		return c.refuse(cn, err, true)
	}
	body := rest[:n]
	if r.HasLength && r.ContentLength < int64(n) {
		body = rest[:r.ContentLength] // CGI's rule (RFC 3875 §4.2): what is more is not the request's
	}
	if next == nil {
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
	if c.loop != nil && c.loop.mayStream(cn, r, want, 0) {
		return c.loop.streamRecords(cn, head, next, want, body)
	}
	cn.in = nil
	c.suspend(cn, head)
	e.setActive(cn, true)
	cn.body.startFramed(next, want, e)
	if err := cn.body.store(body); err != nil {
		return c.refuseBody(cn, err)
	}
	return c.gatherBody(cn)
}

// frameHead makes a record of x.out.
func (x *Exchange) frameHead() {
	n, r := len(x.out), x.cn.lis.proto.records
	if n == 0 {
		return
	}
	if n > r.max {
		x.out = r.append(nil, x.cn.id, x.out)
		return
	}
	h := r.begin(x.prefix[:0], x.cn.id, n)
	x.out = append(x.out, h...)
	copy(x.out[len(h):], x.out[:n])
	copy(x.out, h)
}

// sendRecords writes x.out and p while the application goes on. What is left of the last record is
// for Flush.
func (x *Exchange) sendRecords(p []byte) {
	r := x.cn.lis.proto.records
	if len(p) <= copyLimit {
		x.out = append(x.out, p...)
		p = nil
	}
	x.frameHead()
	for !x.broken {
		part := p[:min(len(p), r.max)]
		p = p[len(part):]
		if len(part) > 0 {
			x.out = r.begin(x.out, x.cn.id, len(part))
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

// lastRecords is sendLast in records.
func (x *Exchange) lastRecords(body []byte) {
	s := &x.cn.out
	if len(body) <= copyLimit {
		x.out = append(x.out, body...)
		x.frameHead()
		x.out = x.cn.lis.proto.records.end(x.out, x.cn.id)
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
		s.records, s.id = x.cn.lis.proto.records, x.cn.id
		s.rest, s.pinned = body, x.resp.Pinned
		x.resp.Pinned = nil
	}
	s.queue(x.out)
	x.pump()
}
