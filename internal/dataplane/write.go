package dataplane

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// copyLimit: a body up to here is copied behind the head and goes out in the same write; past it,
// it is written from where it lies.
const copyLimit = 8 << 10

// clip cuts what exceeds Content-Length: the client would take it for the next response.
func (x *Exchange) clip(p []byte) []byte {
	if int64(len(p)) <= x.remaining {
		return p
	}
	x.log("the application gave more than its Content-Length for %s; the rest is not sent", x.req.Bytes(x.req.URI))
	return p[:x.remaining]
}

// checkShort breaks the connection when less came than was promised; that is how the client learns
// of it.
func (x *Exchange) checkShort() {
	if x.remaining > 0 && !x.noBody {
		x.log("the application gave %d bytes less than its Content-Length for %s", x.remaining, x.req.Bytes(x.req.URI))
		x.keep = false
	}
}

// waitBriefly waits a few milliseconds for a client that reads about as fast as we write; handing
// it to the housekeeper would cost more. It reports whether the socket became writable. A response
// may wait 20 ms in all, and more while the client sustains 100 MB/s: sent is how much of it went
// out. Each timeout doubles the time in which this core waits for nobody, so that clients that are
// slow on purpose cost it little.
func (x *Exchange) waitBriefly(sent int64) bool {
	const (
		moment   = 5  // ms
		most     = 20 // ms for one response
		shortest = 10 * time.Millisecond
		longest  = time.Second
	)
	if x.loop != nil { // the others in flight would wait as well
		return false
	}
	start := monotonic()
	if start < x.core.noWaitUntil {
		return false
	}
	if x.waited < max(most*int64(time.Millisecond), 10*sent) {
		ok := x.cn.waitWritable(moment)
		x.waited += monotonic() - start
		if ok {
			return true
		}
	}
	x.core.noWait = min(max(2*x.core.noWait, int64(shortest)), int64(longest))
	x.core.noWaitUntil = start + x.core.noWait
	return false
}

// WouldBlock is what TryWrite gives where Flush must follow; the value is that of bridge.h.
const WouldBlock = 2

// Write sends one block while the application goes on. 0: done; -1: the client is gone, tell the
// application; 1: gone, do not tell.
func (x *Exchange) Write(p []byte) int {
	rc := x.TryWrite(p)
	if rc == WouldBlock {
		rc = x.Flush()
	}
	return rc
}

// TryWrite is Write for a caller that may not wait here: if the client does not take all of p at
// once it returns WouldBlock, and p must stay valid until Flush has written the rest. On a loop all
// of p is taken; there WouldBlock means that the client is behind, and that a RoomToWrite event
// follows.
func (x *Exchange) TryWrite(p []byte) int {
	if x.broken || x.ended {
		return x.writeFailedCode()
	}
	if !x.headDone {
		if !x.claimAnswer() {
			x.broken = true
			return x.writeFailedCode()
		}
		x.eng.app.Response(x.id, &x.resp)
		x.head(-1)
		x.eng.app.Sent(x.id)
		if x.cn.plain && !x.noBody && x.loop == nil && x.cn.lis.proto.records == nil &&
			(x.remaining < 0 || !x.cn.lis.proto.delimits) {
			x.eng.app.Streaming(x.id, x.chunked)
		}
	} else {
		x.out = x.out[:0]
	}
	x.bodyBytes += int64(len(p))
	if x.noBody {
		p = nil
	} else if x.remaining >= 0 && x.cn.lis.proto.delimits {
		p = x.clip(p)
		x.remaining -= int64(len(p))
	}
	if len(p) == 0 && len(x.out) == 0 {
		return 0
	}
	if x.cn.lis.proto.records != nil {
		x.sendRecords(p)
	} else {
		x.sendBlock(p)
	}
	switch {
	case x.broken:
		return x.writeFailedCode()
	case x.vec.n > 0:
		return WouldBlock
	case x.loop != nil && x.overHighWater():
		x.full = true
		return WouldBlock
	}
	return 0
}

// Flush writes what TryWrite has left, waiting for the client.
func (x *Exchange) Flush() int {
	x.flush()
	if x.broken {
		return x.writeFailedCode()
	}
	return 0
}

// Rest writes, waiting for the client, the rest of a block that bridge.c could not write; it is
// framed already.
func (x *Exchange) Rest(p []byte) int {
	if x.broken {
		return x.writeFailedCode()
	}
	x.vec.n = 0
	x.vec.add(p)
	return x.Flush()
}

func (x *Exchange) writeFailedCode() int {
	if x.eng.settings.NoWriteException {
		return 1
	}
	return -1
}

// sendBlock writes x.out and p. What the client does not take at once is for Flush.
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

// tryFlush writes as much of x.vec as the client takes now.
func (x *Exchange) tryFlush() {
	if x.cn.spill.spilling() {
		x.spillVec()
		return
	}
	if x.loop != nil && x.cn.out.unsent() {
		x.queueVec()
		return
	}
	n, errno := x.cn.sendv(&x.vec)
	switch {
	case errno == 0:
		if x.vec.advance(n) && x.loop != nil {
			x.queueVec()
		}
	case errno != unix.EAGAIN:
		x.vec.n = 0
		x.clientGone(errno)
	case x.loop != nil:
		x.queueVec()
	}
}

var (
	crlf      = []byte("\r\n")
	lastChunk = []byte("0\r\n\r\n")
)

// flush writes all of x.vec, or leaves it to the housekeeper where the client is slow. Where that
// is impossible it blocks, up to the send timeout each time the client takes nothing.
func (x *Exchange) flush() {
	if x.loop != nil {
		x.tryFlush() // and keeps the rest
		return
	}
	for x.vec.n > 0 {
		if x.cn.spill.spilling() {
			if !x.spillVec() {
				unix.Poll(nil, spillPoll)
			}
			continue
		}
		n, errno := x.cn.sendv(&x.vec)
		switch {
		case errno == unix.EAGAIN:
			if x.waitBriefly(x.bodyBytes) || x.startSpill() {
				continue
			}
			if !x.waitForClient() {
				x.clientGone(unix.ETIMEDOUT)
				return
			}
		case errno != 0:
			x.clientGone(errno)
			return
		default:
			if !x.vec.advance(n) {
				return
			}
		}
	}
}

// waitForClient waits until the client takes more of the response under way. False: it took nothing
// for the send timeout.
func (x *Exchange) waitForClient() bool {
	const look = 1000 // ms
	cn, timeout := x.cn, x.eng.timeouts.send
	left, end := cn.untaken(), monotonic()+timeout
	for {
		if cn.waitWritable(int(min(look, (end-monotonic())/int64(time.Millisecond)+1))) {
			return true
		}
		if n := cn.untaken(); n < left {
			left, end = n, monotonic()+timeout
		} else if monotonic() >= end {
			return false
		}
	}
}
