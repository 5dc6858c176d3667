package dataplane

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// buffered sends a response whose body is known whole.
func (x *Exchange) buffered() {
	body := x.resp.Body
	x.ended = true
	if x.headDone { // the application used write() and returned nothing more
		x.finish()
		x.dropPinned()
		return
	}
	if !x.claimAnswer() {
		x.broken = true
		x.dropPinned()
		return
	}
	x.head(int64(len(body)))
	x.bodyBytes = int64(len(body))
	if x.noBody {
		body = nil
	} else if x.remaining >= 0 && x.cn.lis.proto.delimits {
		body = x.clip(body)
		x.remaining -= int64(len(body))
		x.checkShort()
	}
	x.eng.app.Sent(x.id)
	x.closing = true
	x.sendLast(body)
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
		if !x.claimAnswer() {
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
	case x.cn.lis.proto.records != nil:
		x.sendLast(nil)
	case x.chunked && !x.broken:
		x.out = append(x.out, lastChunk...)
		x.sendLast(nil)
	case x.cn.lis.proto.delimits:
		x.checkShort()
	}
}

// sendLast writes x.out and then body, the end of a response. What the client does not take now is
// left to the housekeeper.
func (x *Exchange) sendLast(body []byte) {
	if x.cn.lis.proto.records != nil {
		x.lastRecords(body)
		return
	}
	if !x.finishSpill() {
		x.spillTail()
		return
	}
	if x.broken {
		x.dropPinned()
		return
	}
	if x.loop != nil && x.cn.out.unsent() {
		x.vec.n = 0
		x.vec.add(x.out)
		x.vec.add(body)
		x.queueVec()
		x.dropPinned()
		x.handedOver = true
		return
	}
	var n int
	var errno syscall.Errno
	if len(body) <= copyLimit {
		x.out = append(x.out, body...)
		if n, errno = x.cn.send(x.out, x.more()); errno == 0 && n == len(x.out) {
			x.dropPinned()
			return
		}
		x.vec.n = 0
		x.vec.add(x.out)
	} else {
		x.vec.n = 0
		x.vec.add(x.out)
		x.vec.add(body)
		x.cn.widen(int64(len(body)))
		n, errno = x.cn.sendv(&x.vec)
	}
	if errno != 0 && errno != unix.EAGAIN {
		x.clientGone(errno)
		x.dropPinned()
		return
	}
	if errno != 0 {
		n = 0
	}
	for left := x.vec.advance(n); left; {
		if !x.waitBriefly(0) {
			x.handOver(body)
			return
		}
		x.tryFlush()
		left = x.vec.n > 0
	}
	x.dropPinned()
}

// more lets the end of a TCP connection travel in the segment of the answer, where close() comes
// next: half the packets. (What the client has sent and nobody read would have close() drop the
// answer as well, so nothing may be left there.)
func (x *Exchange) more() int {
	if x.closing && !x.keep && x.cn.readAll && !x.cn.lis.unix {
		return unix.MSG_MORE
	}
	return 0
}

// handOver leaves the rest of a finished response, in x.vec, to the housekeeper, so that a slow
// client costs no core.
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
		x.dropPinned()
	}
	x.handedOver = true
}

func (x *Exchange) dropPinned() {
	if x.resp.Pinned != nil {
		x.eng.app.Release(x.resp.Pinned)
		x.resp.Pinned = nil
	}
}
