package dataplane

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
)

type step int

const (
	stepClosed step = iota // the connection is gone, or somebody else's
	stepWait               // nothing more to be had now
	stepAgain              // a request was answered; look for the next
)

// gather reads until a request is whole, and then answers it. What has to wait is kept on the
// connection: a partial head in cn.in, with what has been parsed of it in cn.req; a head whose body
// is coming in cn.req, with the body so far in cn.body.
func (c *Core) gather(cn *conn) step {
	if cn.body.open() {
		return c.gatherBody(cn)
	}
	p, s := cn.in, stepAgain
	if len(p) == 0 || cn.partHead {
		if p, s = c.fill(cn, p); s != stepAgain {
			return s
		}
	}
	r := cn.req
	if r == nil {
		r = &c.x.req
		r.Reset()
	}
	for {
		head, err := cn.lis.parse(cn, p, r, &c.eng.limits)
		switch {
		case err == nil:
			cn.partHead = false
			if cn.req != nil {
				c.resume(cn)
			}
			return c.begin(cn, p, head)
		case err == errAside:
			cn.send(cn.lis.proto.aside(p[:head]), 0)
			p = p[head:]
			r.Reset()
			continue
		case !errors.Is(err, request.ErrIncomplete):
			return c.refuse(cn, err, len(p) > 0)
		case len(p) >= len(c.rbuf):
			return c.refuse(cn, errHeadTooLarge, true)
		case cn.readAll: // no need to ask: an event will tell
			s = stepWait
		default:
			p, s = c.fill(cn, p)
		}
		if s == stepWait {
			c.keepPartial(cn, p, r)
		}
		if s != stepAgain {
			return s
		}
	}
}

var errHeadTooLarge = &request.Error{Status: 431, Reason: "the request head is larger than buffer-size",
	Option: "buffer-size"}

// fill reads once, behind p, which it may move. stepAgain: something came; stepWait: nothing is
// there now; stepClosed: the peer is gone and so is the connection.
func (c *Core) fill(cn *conn, p []byte) ([]byte, step) {
	const least = 4 << 10
	switch room := cap(p) - len(p); {
	case len(p) == 0, cn.lent && room < least:
		p, cn.lent = c.rbuf[:copy(c.rbuf, p)], true
	case !cn.lent && room == 0: // what comes byte by byte is not copied for each of them
		p = append(make([]byte, 0, min(max(2*len(p), 1<<10), len(c.rbuf))), p...)
	}
	room := p[len(p):cap(p)]
	got, errno := cn.recv(room)
	switch {
	case errno == unix.EAGAIN:
		return p, stepWait
	case errno != 0:
		c.x.cell.ReadErrs.Add(1)
		c.eng.close(cn)
		return nil, stepClosed
	case got == 0:
		c.eng.close(cn)
		return nil, stepClosed
	}
	cn.readAll = got < len(room) && !cn.hup
	return p[:len(p)+got], stepAgain
}

// keepPartial stores what was read of a head that is not whole, and what r has of it.
func (c *Core) keepPartial(cn *conn, p []byte, r *request.Request) {
	cn.in = p
	cn.detach()
	if len(p) == 0 {
		return
	}
	if cn.since == 0 {
		cn.since = monotonic()
	}
	if cn.req == nil && r.Scan != (request.Scan{}) {
		c.suspend(cn, 0)
	}
	cn.partHead = true
	c.eng.setActive(cn, true)
}

// detach moves what was read and not used yet out of the core's memory, which the next connection
// will use.
func (cn *conn) detach() {
	switch {
	case len(cn.in) == 0:
		cn.in = nil
	case cn.lent:
		cn.in = bytes.Clone(cn.in)
	}
	cn.lent = false
}

// suspend leaves the request in hand, whose head takes that many bytes, with its connection; resume
// takes it up again.
func (c *Core) suspend(cn *conn, head int) {
	cn.req, cn.head = &request.Request{}, head
	cn.req.CopyFrom(&c.x.req)
}

func (c *Core) resume(cn *conn) {
	c.x.req.CopyFrom(cn.req)
	cn.req = nil
}

// begin takes a whole head: buf holds it and perhaps more.
func (c *Core) begin(cn *conn, buf []byte, head int) step {
	r := &c.x.req
	options := cn.lis.proto.finish
	options.Repeats = c.loop != nil && c.loop.pure
	if err := request.Finish(r, &c.eng.limits, options); err != nil {
		return c.refuse(cn, err, true)
	}
	if c.loop != nil {
		cn.app = c.eng.appFor(r)
	}
	rest := buf[head:]
	want := r.ContentLength
	switch {
	case cn.lis.proto.records != nil:
		return c.beginRecords(cn, buf, head)
	case c.loop != nil && c.loop.mayStream(cn, r, want, int64(len(rest))):
		return c.loop.stream(cn, head, rest)
	case r.Chunked:
		cn.body.startChunked(c.eng, c.eng.settings.ChunkedInputLimit)
	case want == 0:
		return c.deliver(cn, head, nil, -1, rest)
	case want <= int64(len(rest)):
		return c.deliver(cn, head, rest[:want], -1, rest[want:])
	default:
		if want <= smallBody && len(rest) > 0 {
			var next step
			if rest, next = c.readBody(cn, head, rest, want); rest == nil {
				return next
			}
		}
		cn.body.start(want, c.eng)
	}
	// The body is still coming: the request waits on the connection, so that this core is free
	// meanwhile.
	cn.in = nil
	c.suspend(cn, head)
	c.eng.setActive(cn, true)
	if r.Expect100 && len(rest) == 0 {
		// RFC 9110 §10.1.1: only when nothing of the body has come.
		cn.send([]byte("HTTP/1.1 100 Continue\r\n\r\n"), 0)
	}
	used, err := cn.body.feed(rest)
	if err != nil {
		return c.refuseBody(cn, err)
	}
	if cn.body.whole() {
		return c.finishBody(cn, rest[used:])
	}
	return c.gatherBody(cn)
}

// smallBody is the largest body that a core keeps memory for.
const smallBody = 128 << 10

// readBody reads the rest of a body and answers, if the client has sent it already, as most do: the
// request need not be kept then. It returns nil and the step, or else the part of the body that is
// there.
func (c *Core) readBody(cn *conn, head int, rest []byte, want int64) ([]byte, step) {
	body := c.spare
	if c.spare = nil; int64(cap(body)) < want {
		body = make([]byte, 0, want)
	}
	body = append(body[:0], rest...)
	for int64(len(body)) < want {
		got, errno := cn.recv(body[len(body):want])
		if errno == unix.EAGAIN {
			c.spare = body
			return body, stepWait
		}
		if errno != 0 || got == 0 {
			return nil, c.leftEarly(cn, int64(len(body)))
		}
		body = body[:len(body)+got]
	}
	cn.readAll = false
	next := c.deliver(cn, head, body, -1, nil)
	c.spare = body
	return nil, next
}

// leftEarly ends a connection whose client left before its body was whole: there is nothing to
// answer.
func (c *Core) leftEarly(cn *conn, size int64) step {
	c.x.cell.ReadErrs.Add(1)
	c.eng.house.note("a client (%s) closed the connection after %d bytes of a request body", cn.peer.Addr, size)
	c.eng.close(cn)
	return stepClosed
}

// gatherBody reads more of a body.
func (c *Core) gatherBody(cn *conn) step {
	for reads := 0; ; reads++ {
		if reads >= fairness { // a client that sends as fast as we read must not have this core to itself
			c.eng.enqueue(cn)
			return stepClosed
		}
		p := c.rbuf
		if left := cn.body.left(); left >= 0 && left < int64(len(p)) {
			p = p[:left] // what follows a body belongs to the next request
		}
		got, errno := cn.recv(p)
		cn.lent = true
		if errno == unix.EAGAIN {
			return stepWait
		}
		if errno != 0 || got == 0 {
			return c.leftEarly(cn, cn.body.size)
		}
		cn.readAll = got < len(p) && !cn.hup
		used, err := cn.body.feed(p[:got])
		if err != nil {
			return c.refuseBody(cn, err)
		}
		if cn.body.whole() {
			return c.finishBody(cn, p[used:got])
		}
	}
}

// finishBody answers the request that waited on the connection for its body. rest is what followed
// the body.
func (c *Core) finishBody(cn *conn, rest []byte) step {
	c.resume(cn)
	if !c.x.req.HasLength && cn.body.size > 0 || c.x.req.Chunked {
		c.x.req.SetLength(cn.body.size) // Django reads as much as CONTENT_LENGTH says, and no more
	} else if cn.body.size < c.x.req.ContentLength {
		return c.refuse(cn, errShortBody, true)
	}
	mem, fd, held, err := cn.body.take()
	if err != nil {
		return c.refuseBody(cn, err)
	}
	next := c.deliver(cn, cn.head, mem, fd, rest)
	c.eng.ram.give(held)
	return next
}
