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

// buffered sends a response whose body is known whole.
func (x *Exchange) buffered() {
	body := x.resp.Body
	x.ended = true
	if x.headDone { // the application used write() and returned nothing more
		x.finish()
		x.release()
		return
	}
	if !x.claim() {
		x.broken = true
		x.release()
		return
	}
	x.head(int64(len(body)))
	x.bodyBytes = int64(len(body))
	if x.noBody {
		body = nil
	} else if x.remaining >= 0 && x.cn.lis.proto.http() {
		body = x.clip(body)
		x.remaining -= int64(len(body))
		x.checkShort()
	}
	x.eng.app.Sent(x.id)
	x.closing = true
	x.sendLast(body)
}

// clip cuts what is more than Content-Length promised: it would be taken for the next response.
func (x *Exchange) clip(p []byte) []byte {
	if int64(len(p)) <= x.remaining {
		return p
	}
	x.log("the application gave more than its Content-Length for %s; the rest is not sent", x.req.Bytes(x.req.URI))
	return p[:x.remaining]
}

// checkShort breaks the connection when less came than was promised, which is how the client learns of it.
func (x *Exchange) checkShort() {
	if x.remaining > 0 && !x.noBody {
		x.log("the application gave %d bytes less than its Content-Length for %s", x.remaining, x.req.Bytes(x.req.URI))
		x.keep = false
	}
}

// sendLast writes c.out and then body, the end of a response. What the client does not take now is left to the housekeeper.
func (x *Exchange) sendLast(body []byte) {
	if x.cn.lis.proto == protoFastCGI {
		x.lastRecords(body)
		return
	}
	if !x.caughtUp() {
		x.trail()
		return
	}
	if x.broken {
		x.release()
		return
	}
	var n int
	var errno syscall.Errno
	if len(body) <= copyLimit {
		x.out = append(x.out, body...)
		if n, errno = send(x.cn.fd, x.out, x.more()); errno == 0 && n == len(x.out) {
			x.release()
			return
		}
		x.vec.n = 0
		x.vec.add(x.out)
	} else {
		x.vec.n = 0
		x.vec.add(x.out)
		x.vec.add(body)
		x.cn.widen(int64(len(body)))
		n, errno = sendv(x.cn.fd, &x.vec)
	}
	if errno != 0 && errno != unix.EAGAIN {
		x.gone(errno)
		x.release()
		return
	}
	if errno != 0 {
		n = 0
	}
	for left := x.vec.advance(n); left; {
		if !x.brisk(0) {
			x.handOver(body)
			return
		}
		x.tryFlush()
		left = x.vec.n > 0
	}
	x.release()
}

// more lets the end of a TCP connection travel in the segment of the answer, where close() comes next: half the packets. (What the client has
// sent and nobody read would have close() drop the answer as well, so nothing may be left there.)
func (x *Exchange) more() int {
	if x.closing && !x.keep && x.cn.dry && !x.cn.lis.unix {
		return unix.MSG_MORE
	}
	return 0
}

// A client that takes a large response as fast as it is written is waited for: handing its connection to the housekeeper would cost more than
// the wait. brisk says whether it took more within a moment, and not too many moments have been spent on it. Clients that are slow on purpose
// cost a core little: each that was waited for in vain doubles the time in which none is. sent is how much of a response under way went out; as
// long as that makes 100 MB/s the client is not what is slow.
func (x *Exchange) brisk(sent int64) bool {
	const (
		moment   = 5  // ms
		most     = 20 // ms for one response
		shortest = 10 * time.Millisecond
		longest  = time.Second
	)
	start := monotonic()
	if start < x.core.hurryUntil {
		return false
	}
	if x.waited < max(most*int64(time.Millisecond), 10*sent) {
		ok := waitWritable(x.cn.fd, moment)
		x.waited += monotonic() - start
		if ok {
			return true
		}
	}
	x.core.hurry = min(max(2*x.core.hurry, int64(shortest)), int64(longest))
	x.core.hurryUntil = start + x.core.hurry
	return false
}

func (x *Exchange) release() {
	if x.resp.Pinned != nil {
		x.eng.app.Release(x.resp.Pinned)
		x.resp.Pinned = nil
	}
}

// WouldBlock is what TryWrite gives where Flush must follow; the value is that of bridge.h.
const WouldBlock = 2

// Write sends one block while the application goes on. 0: done; -1: the client is gone, tell the application; 1: gone, do not tell.
func (x *Exchange) Write(p []byte) int {
	rc := x.TryWrite(p)
	if rc == WouldBlock {
		rc = x.Flush()
	}
	return rc
}

// TryWrite is Write for a caller that may not wait here: where the client does not take all of p at once it gives WouldBlock, and p must stay
// until Flush has written the rest.
func (x *Exchange) TryWrite(p []byte) int {
	if x.broken || x.ended {
		return x.refusal()
	}
	if !x.headDone {
		if !x.claim() {
			x.broken = true
			return x.refusal()
		}
		x.eng.app.Response(x.id, &x.resp)
		x.head(-1)
		x.eng.app.Sent(x.id)
		if !x.noBody && x.cn.lis.proto != protoFastCGI && (x.remaining < 0 || !x.cn.lis.proto.http()) {
			x.eng.app.Streaming(x.id, x.chunked)
		}
	} else {
		x.out = x.out[:0]
	}
	x.bodyBytes += int64(len(p))
	if x.noBody {
		p = nil
	} else if x.remaining >= 0 && x.cn.lis.proto.http() {
		p = x.clip(p)
		x.remaining -= int64(len(p))
	}
	if len(p) == 0 && len(x.out) == 0 {
		return 0
	}
	if x.cn.lis.proto == protoFastCGI {
		x.sendRecords(p)
	} else {
		x.sendBlock(p)
	}
	switch {
	case x.broken:
		return x.refusal()
	case x.vec.n > 0:
		return WouldBlock
	}
	return 0
}

// Flush writes what TryWrite has left, waiting for the client.
func (x *Exchange) Flush() int {
	x.flush()
	if x.broken {
		return x.refusal()
	}
	return 0
}

// Rest writes, waiting for the client, what the application's side could not write of a block, framed as it is to go out.
func (x *Exchange) Rest(p []byte) int {
	if x.broken {
		return x.refusal()
	}
	x.vec.n = 0
	x.vec.add(p)
	return x.Flush()
}

func (x *Exchange) refusal() int {
	if x.eng.settings.NoWriteException {
		return 1
	}
	return -1
}

// sendBlock writes c.out and p. What the client does not take at once is for Flush.
func (x *Exchange) sendBlock(p []byte) {
	if x.chunked && len(p) > 0 {
		x.out = strconv.AppendUint(x.out, uint64(len(p)), 16)
		x.out = append(x.out, '\r', '\n')
	}
	tail := x.chunked && len(p) > 0
	x.vec.n = 0
	if len(x.out) > 0 && len(p) <= copyLimit {
		x.out = append(x.out, p...)
		if tail {
			x.out = append(x.out, '\r', '\n')
		}
		x.vec.add(x.out)
	} else {
		x.vec.add(x.out)
		x.vec.add(p)
		if tail {
			x.vec.add(crlf)
		}
	}
	x.tryFlush()
}

// tryFlush writes of c.vec what the client takes now.
func (x *Exchange) tryFlush() {
	if x.cn.lag.behind() {
		x.putOff()
		return
	}
	n, errno := sendv(x.cn.fd, &x.vec)
	switch {
	case errno == 0:
		x.vec.advance(n)
	case errno != unix.EAGAIN:
		x.vec.n = 0
		x.gone(errno)
	}
}

var (
	crlf      = []byte("\r\n")
	lastChunk = []byte("0\r\n\r\n")
)

// flush writes c.vec whole, or leaves it to the housekeeper where the client is slow. Where that cannot be, it blocks up to the send timeout each
// time the client takes nothing.
func (x *Exchange) flush() {
	for x.vec.n > 0 {
		if x.cn.lag.behind() {
			if !x.putOff() {
				unix.Poll(nil, lagLook)
			}
			continue
		}
		n, errno := sendv(x.cn.fd, &x.vec)
		switch {
		case errno == unix.EAGAIN:
			if x.brisk(x.bodyBytes) || x.divert() {
				continue
			}
			if !x.await() {
				x.gone(unix.ETIMEDOUT)
				return
			}
		case errno != 0:
			x.gone(errno)
			return
		default:
			if !x.vec.advance(n) {
				return
			}
		}
	}
}

// Finish ends a response that was sent block by block.
func (x *Exchange) Finish() {
	if x.ended {
		return
	}
	x.ended = true
	if x.broken {
		return
	}
	if !x.headDone {
		if !x.claim() {
			x.broken = true
			return
		}
		x.eng.app.Response(x.id, &x.resp)
		x.head(0)
		x.eng.app.Sent(x.id)
		x.sendLast(nil)
		if !x.req.Head { // nor is a front end sent a body for that
			x.checkShort()
		}
		return
	}
	x.finish()
}

func (x *Exchange) finish() {
	x.out = x.out[:0]
	switch {
	case x.cn.lis.proto == protoFastCGI:
		x.sendLast(nil)
	case x.chunked && !x.broken:
		x.out = append(x.out, lastChunk...)
		x.sendLast(nil)
	case x.cn.lis.proto.http():
		x.checkShort()
	}
}

// gone notes that the client cannot be written to.
func (x *Exchange) gone(errno syscall.Errno) {
	x.broken = true
	if errno == unix.ETIMEDOUT {
		x.cn.reset()
	}
	if x.req.Head { // a front end that has the head wants no more
		return
	}
	x.cell.WriteErrs.Add(1)
	x.writeErrs++
	if subject := x.subject(); subject != "" {
		x.log("%s: %s", subject, x.eng.notTaken(errno))
	}
}

// subject begins a line of the log about a response that could not be written; empty: there shall be none.
func (x *Exchange) subject() string {
	if x.eng.settings.IgnoreWriteErrors {
		return ""
	}
	return fmt.Sprintf("the client (%s) did not take the response to %s %s", x.req.Bytes(x.req.RemoteAddr), x.req.Bytes(x.req.Method), x.req.Bytes(x.req.URI))
}

// notTaken says why a response could not be written.
func (e *Engine) notTaken(errno syscall.Errno) string {
	if errno == unix.ETIMEDOUT {
		return "it took nothing for " + time.Duration(e.sendTimeout).String() + " (socket-timeout)"
	}
	return errno.Error()
}

// await waits until the client takes more of the response under way. False: it took nothing for the send timeout.
func (x *Exchange) await() bool {
	const look = 1000 // ms
	fd, timeout := x.cn.fd, x.eng.sendTimeout
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
func (x *Exchange) handOver(body []byte) {
	s := &x.cn.out
	if len(body) > copyLimit && x.resp.Pinned != nil {
		// The application's own bytes stay where they are; only what is left of our head is copied.
		for i := range x.vec.n {
			p := x.vec.span(i)
			if i == x.vec.n-1 {
				s.pinned, s.rest = x.resp.Pinned, p
				x.resp.Pinned = nil
			} else {
				s.mem = append(s.mem, p...)
			}
		}
	} else {
		for i := range x.vec.n {
			s.mem = append(s.mem, x.vec.span(i)...)
		}
		x.release()
	}
	x.handedOver = true
}
