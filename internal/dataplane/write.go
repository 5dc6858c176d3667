package dataplane

import (
	"fmt"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// copyLimit: a body up to here is copied behind the head and goes out in the same write; past it, it is written from where it lies.
const copyLimit = 8 << 10

// claim takes the right to answer. False: the request was past its deadline and has been answered in this core's place.
func (c *Core) claim() bool {
	mine := c.serial | answerCore
	return c.answerer.CompareAndSwap(c.serial+answerNobody, mine) || c.answerer.Load() == mine
}

// buffered sends a response whose body is known whole.
func (c *Core) buffered() {
	body := c.resp.Body
	c.ended = true
	if c.headDone { // the application used write() and returned nothing more
		c.finish()
		c.release()
		return
	}
	if !c.claim() {
		c.broken = true
		c.release()
		return
	}
	c.head(int64(len(body)))
	c.bodyBytes = int64(len(body))
	if c.noBody {
		body = nil
	} else if c.remaining >= 0 && c.cn.lis.proto.http() {
		body = c.clip(body)
		c.remaining -= int64(len(body))
		c.checkShort()
	}
	c.eng.app.Sent(c.id)
	c.closing = true
	c.sendLast(body)
}

// clip cuts what is more than Content-Length promised: it would be taken for the next response.
func (c *Core) clip(p []byte) []byte {
	if int64(len(p)) <= c.remaining {
		return p
	}
	c.log("the application gave more than its Content-Length for %s; the rest is not sent", c.req.Bytes(c.req.URI))
	return p[:c.remaining]
}

// checkShort breaks the connection when less came than was promised, which is how the client learns of it.
func (c *Core) checkShort() {
	if c.remaining > 0 && !c.noBody {
		c.log("the application gave %d bytes less than its Content-Length for %s", c.remaining, c.req.Bytes(c.req.URI))
		c.keep = false
	}
}

// sendLast writes c.out and then body, the end of a response. What the client does not take now is left to the housekeeper.
func (c *Core) sendLast(body []byte) {
	if c.cn.lis.proto == protoFastCGI {
		c.lastRecords(body)
		return
	}
	if !c.caughtUp() {
		c.trail()
		return
	}
	if c.broken {
		c.release()
		return
	}
	var n int
	var errno syscall.Errno
	if len(body) <= copyLimit {
		c.out = append(c.out, body...)
		if n, errno = send(c.cn.fd, c.out, c.more()); errno == 0 && n == len(c.out) {
			c.release()
			return
		}
		c.vec.n = 0
		c.vec.add(c.out)
	} else {
		c.vec.n = 0
		c.vec.add(c.out)
		c.vec.add(body)
		c.cn.widen(int64(len(body)))
		n, errno = sendv(c.cn.fd, &c.vec)
	}
	if errno != 0 && errno != unix.EAGAIN {
		c.gone(errno)
		c.release()
		return
	}
	if errno != 0 {
		n = 0
	}
	for left := c.vec.advance(n); left; {
		if !c.brisk(0) {
			c.handOver(body)
			return
		}
		c.tryFlush()
		left = c.vec.n > 0
	}
	c.release()
}

// more lets the end of a TCP connection travel in the segment of the answer, where close() comes next: half the packets. (What the client has
// sent and nobody read would have close() drop the answer as well, so nothing may be left there.)
func (c *Core) more() int {
	if c.closing && !c.keep && c.cn.dry && !c.cn.lis.unix {
		return unix.MSG_MORE
	}
	return 0
}

// A client that takes a large response as fast as it is written is waited for: handing its connection to the housekeeper would cost more than
// the wait. brisk says whether it took more within a moment, and not too many moments have been spent on it. Clients that are slow on purpose
// cost a core little: each that was waited for in vain doubles the time in which none is. sent is how much of a response under way went out; as
// long as that makes 100 MB/s the client is not what is slow.
func (c *Core) brisk(sent int64) bool {
	const (
		moment   = 5  // ms
		most     = 20 // ms for one response
		shortest = 10 * time.Millisecond
		longest  = time.Second
	)
	start := monotonic()
	if start < c.hurryUntil {
		return false
	}
	if c.waited < max(most*int64(time.Millisecond), 10*sent) {
		ok := waitWritable(c.cn.fd, moment)
		c.waited += monotonic() - start
		if ok {
			return true
		}
	}
	c.hurry = min(max(2*c.hurry, int64(shortest)), int64(longest))
	c.hurryUntil = start + c.hurry
	return false
}

func (c *Core) release() {
	if c.resp.Pinned != nil {
		c.eng.app.Release(c.resp.Pinned)
		c.resp.Pinned = nil
	}
}

// WouldBlock is what TryWrite gives where Flush must follow; the value is that of bridge.h.
const WouldBlock = 2

// Write sends one block while the application goes on. 0: done; -1: the client is gone, tell the application; 1: gone, do not tell.
func (c *Core) Write(p []byte) int {
	rc := c.TryWrite(p)
	if rc == WouldBlock {
		rc = c.Flush()
	}
	return rc
}

// TryWrite is Write for a caller that may not wait here: where the client does not take all of p at once it gives WouldBlock, and p must stay
// until Flush has written the rest.
func (c *Core) TryWrite(p []byte) int {
	if c.broken || c.ended {
		return c.refusal()
	}
	if !c.headDone {
		if !c.claim() {
			c.broken = true
			return c.refusal()
		}
		c.eng.app.Response(c.id, &c.resp)
		c.head(-1)
		c.eng.app.Sent(c.id)
		if !c.noBody && c.cn.lis.proto != protoFastCGI && (c.remaining < 0 || !c.cn.lis.proto.http()) {
			c.eng.app.Streaming(c.id, c.chunked)
		}
	} else {
		c.out = c.out[:0]
	}
	c.bodyBytes += int64(len(p))
	if c.noBody {
		p = nil
	} else if c.remaining >= 0 && c.cn.lis.proto.http() {
		p = c.clip(p)
		c.remaining -= int64(len(p))
	}
	if len(p) == 0 && len(c.out) == 0 {
		return 0
	}
	if c.cn.lis.proto == protoFastCGI {
		c.sendRecords(p)
	} else {
		c.sendBlock(p)
	}
	switch {
	case c.broken:
		return c.refusal()
	case c.vec.n > 0:
		return WouldBlock
	}
	return 0
}

// Flush writes what TryWrite has left, waiting for the client.
func (c *Core) Flush() int {
	c.flush()
	if c.broken {
		return c.refusal()
	}
	return 0
}

// Rest writes, waiting for the client, what the application's side could not write of a block, framed as it is to go out.
func (c *Core) Rest(p []byte) int {
	if c.broken {
		return c.refusal()
	}
	c.vec.n = 0
	c.vec.add(p)
	return c.Flush()
}

func (c *Core) refusal() int {
	if c.eng.settings.NoWriteException {
		return 1
	}
	return -1
}

// sendBlock writes c.out and p. What the client does not take at once is for Flush.
func (c *Core) sendBlock(p []byte) {
	if c.chunked && len(p) > 0 {
		c.out = strconv.AppendUint(c.out, uint64(len(p)), 16)
		c.out = append(c.out, '\r', '\n')
	}
	tail := c.chunked && len(p) > 0
	c.vec.n = 0
	if len(c.out) > 0 && len(p) <= copyLimit {
		c.out = append(c.out, p...)
		if tail {
			c.out = append(c.out, '\r', '\n')
		}
		c.vec.add(c.out)
	} else {
		c.vec.add(c.out)
		c.vec.add(p)
		if tail {
			c.vec.add(crlf)
		}
	}
	c.tryFlush()
}

// tryFlush writes of c.vec what the client takes now.
func (c *Core) tryFlush() {
	if c.cn.lag.behind() {
		c.putOff()
		return
	}
	n, errno := sendv(c.cn.fd, &c.vec)
	switch {
	case errno == 0:
		c.vec.advance(n)
	case errno != unix.EAGAIN:
		c.vec.n = 0
		c.gone(errno)
	}
}

var (
	crlf      = []byte("\r\n")
	lastChunk = []byte("0\r\n\r\n")
)

// flush writes c.vec whole, or leaves it to the housekeeper where the client is slow. Where that cannot be, it blocks up to the send timeout each
// time the client takes nothing.
func (c *Core) flush() {
	for c.vec.n > 0 {
		if c.cn.lag.behind() {
			if !c.putOff() {
				unix.Poll(nil, lagLook)
			}
			continue
		}
		n, errno := sendv(c.cn.fd, &c.vec)
		switch {
		case errno == unix.EAGAIN:
			if c.brisk(c.bodyBytes) || c.divert() {
				continue
			}
			if !c.await() {
				c.gone(unix.ETIMEDOUT)
				return
			}
		case errno != 0:
			c.gone(errno)
			return
		default:
			if !c.vec.advance(n) {
				return
			}
		}
	}
}

// Finish ends a response that was sent block by block.
func (c *Core) Finish() {
	if c.ended {
		return
	}
	c.ended = true
	if c.broken {
		return
	}
	if !c.headDone {
		if !c.claim() {
			c.broken = true
			return
		}
		c.eng.app.Response(c.id, &c.resp)
		c.head(0)
		c.eng.app.Sent(c.id)
		c.sendLast(nil)
		if !c.req.Head { // nor is a front end sent a body for that
			c.checkShort()
		}
		return
	}
	c.finish()
}

func (c *Core) finish() {
	c.out = c.out[:0]
	switch {
	case c.cn.lis.proto == protoFastCGI:
		c.sendLast(nil)
	case c.chunked && !c.broken:
		c.out = append(c.out, lastChunk...)
		c.sendLast(nil)
	case c.cn.lis.proto.http():
		c.checkShort()
	}
}

// gone notes that the client cannot be written to.
func (c *Core) gone(errno syscall.Errno) {
	c.broken = true
	if errno == unix.ETIMEDOUT {
		c.cn.reset()
	}
	if c.req.Head { // a front end that has the head wants no more
		return
	}
	c.cell.WriteErrs.Add(1)
	c.writeErrs++
	if subject := c.subject(); subject != "" {
		c.log("%s: %s", subject, c.eng.notTaken(errno))
	}
}

// subject begins a line of the log about a response that could not be written; empty: there shall be none.
func (c *Core) subject() string {
	if c.eng.settings.IgnoreWriteErrors {
		return ""
	}
	return fmt.Sprintf("the client (%s) did not take the response to %s %s", c.req.Bytes(c.req.RemoteAddr), c.req.Bytes(c.req.Method), c.req.Bytes(c.req.URI))
}

// notTaken says why a response could not be written.
func (e *Engine) notTaken(errno syscall.Errno) string {
	if errno == unix.ETIMEDOUT {
		return "it took nothing for " + time.Duration(e.sendTimeout).String() + " (socket-timeout)"
	}
	return errno.Error()
}

// await waits until the client takes more of the response under way. False: it took nothing for the send timeout.
func (c *Core) await() bool {
	const look = 1000 // ms
	fd, timeout := c.cn.fd, c.eng.sendTimeout
	left, end := queued(fd), monotonic()+timeout
	for {
		if waitWritable(fd, int(min(look, (end-monotonic())/int64(time.Millisecond)+1))) {
			return true
		}
		if n := queued(fd); n < left {
			left, end = n, monotonic()+timeout
		} else if monotonic() >= end {
			return false
		}
	}
}

// handOver leaves the rest of a finished response, in c.vec, to the housekeeper, so that a slow client costs no core.
func (c *Core) handOver(body []byte) {
	s := &c.cn.out
	if len(body) > copyLimit && c.resp.Pinned != nil {
		// The application's own bytes stay where they are; only what is left of our head is copied.
		for i := range c.vec.n {
			p := c.vec.span(i)
			if i == c.vec.n-1 {
				s.pinned, s.rest = c.resp.Pinned, p
				c.resp.Pinned = nil
			} else {
				s.mem = append(s.mem, p...)
			}
		}
	} else {
		for i := range c.vec.n {
			s.mem = append(s.mem, c.vec.span(i)...)
		}
		c.release()
	}
	c.handedOver = true
}
