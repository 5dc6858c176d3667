package dataplane

import (
	"strconv"

	"golang.org/x/sys/unix"

	"uwsgi/internal/proto/websocket"
)

// queueVec queues x.vec on the connection until the client takes it.
func (x *Exchange) queueVec() {
	s := &x.cn.out
	for i := range x.vec.n {
		s.append(x.vec.span(i))
	}
	x.vec.n = 0
	if !x.cn.watched {
		x.await()
		x.watch(true)
	}
}

// overHighWater reports whether the client is so far behind that the application has to wait.
func (x *Exchange) overHighWater() bool {
	s := &x.cn.out
	return int64(len(s.mem)+len(s.rest)+len(s.tail))+s.left > highWater
}

// writeQueued writes as much of the queued output as the client takes now.
func (x *Exchange) writeQueued() {
	cn := x.cn
	switch errno := cn.out.write(cn); errno {
	case 0:
		cn.out.reset(x.eng)
		cn.deadline.Store(0)
		cn.queued.Store(0)
		if cn.watched {
			x.watch(false)
		}
		if x.opened() {
			x.keepAlive()
		}
	case unix.EAGAIN:
		x.await()
		x.watch(true) // once more: the write may have ended for fairness
	case unix.ENODATA:
		x.log("%s", cn.out.cutShort())
		cn.out.reset(x.eng)
		x.resetIfUndelimited()
		x.broken = true
		x.tell(newsGone)
	default:
		cn.out.reset(x.eng)
		x.clientGone(errno)
		x.tell(newsGone)
	}
	x.tellRoom()
}

// tellRoom tells an application that waits for the client that it has caught up, or is gone.
func (x *Exchange) tellRoom() {
	if x.opened() && !x.over {
		x.answerPing()
	}
	if x.full && (x.broken || !x.overHighWater()) {
		x.full = false
		x.tell(newsRoom)
	}
}

// Send writes a part of the body, preceded by the head if that has not gone out; more: others
// follow. A response whose head and whole body come in one call gets a Content-Length. 0: done;
// WouldBlock: done, but the client is so far behind that the application should wait for
// RoomToWrite; -1: the client is gone.
func (x *Exchange) Send(p []byte, more bool) int {
	switch {
	case x.over:
		return -1
	case more:
		rc := x.TryWrite(p)
		// a stream may take as long as it likes: it is over its time when nothing comes
		x.cell.Started.Store(monotonic())
		if rc != 0 && rc != WouldBlock {
			return -1
		}
		return rc
	case !x.headDone:
		x.eng.app.Response(x.id, &x.resp)
		x.resp.Body = p
		x.buffered()
	case x.chunked && len(p) > 0 && len(p) <= copyLimit && !x.broken:
		x.bodyBytes += int64(len(p))
		x.out = strconv.AppendUint(x.out[:0], uint64(len(p)), 16)
		x.out = append(append(append(x.out, crlf...), p...), crlf...)
		x.out = append(x.out, lastChunk...)
		x.ended = true
		x.sendLast(nil)
	default:
		if len(p) > 0 {
			x.TryWrite(p)
		}
		x.Finish()
	}
	return x.conclusion()
}

// SendFile is Send for n bytes of a regular file from offset off. It closes fd.
func (x *Exchange) SendFile(fd int, off, n int64, more bool) int {
	switch {
	case x.over, x.broken, x.cn.out.left > 0: // the application did not wait
		unix.Close(fd)
		return -1
	case !x.headDone && !more:
		x.eng.app.Response(x.id, &x.resp)
		x.sendWhole(fd, off, n)
		return x.conclusion()
	case x.cn.lis.proto.records != nil:
		x.copyFile(fd, off, n)
		unix.Close(fd)
	default:
		x.spliceFile(fd, off, n)
	}
	if !more {
		x.Finish()
		return x.conclusion()
	}
	switch {
	case x.broken:
		return -1
	case x.cn.out.unsent():
		x.full = true
		return WouldBlock
	}
	return 0
}

// spliceFile sends a file as one block of the body.
func (x *Exchange) spliceFile(fd int, off, n int64) {
	if !x.headDone {
		x.TryWrite(nil)
	}
	if x.remaining >= 0 && x.cn.lis.proto.delimits {
		n = min(n, x.remaining)
		x.remaining -= n
	}
	x.bodyBytes += n
	if x.noBody || n == 0 || x.broken {
		unix.Close(fd)
		return
	}
	s := &x.cn.out
	if x.chunked {
		s.append(append(strconv.AppendInt(nil, n, 16), crlf...))
		s.tail = append(s.tail, crlf...)
	}
	s.file, s.off, s.left, s.copying = fd, off, n, x.eng.settings.NoSendfile
	x.via = "sendfile"
	x.writeQueued()
}

// copyFile sends a file where its framing does not allow sendfile within a response.
func (x *Exchange) copyFile(fd int, off, n int64) {
	buf := make([]byte, min(n, streamFrom))
	for n > 0 && !x.broken {
		k, err := unix.Pread(fd, buf[:min(n, int64(len(buf)))], off)
		if err == unix.EINTR {
			continue
		}
		if k <= 0 {
			x.log("a file could not be read while it was sent: %v", err)
			x.broken = true
			return
		}
		x.TryWrite(buf[:k])
		off, n = off+int64(k), n-int64(k)
	}
}

// conclusion ends the response. 0: the client got it, or is getting it; -1: it is gone.
func (x *Exchange) conclusion() int {
	broken := x.broken
	x.loop.responded(x)
	if broken {
		return -1
	}
	return 0
}

// Inform sends an interim response (RFC 8297) with those header lines, to a client that may know
// what that is: HTTP/1.1, directly.
func (x *Exchange) Inform(lines []byte) int {
	switch {
	case x.over, x.broken:
		return -1
	case x.headDone, !x.cn.lis.proto.client, x.req.HTTP10:
		return 0
	}
	x.vec.n = 0
	x.vec.add(earlyHints)
	x.vec.add(lines)
	x.vec.add(crlf)
	x.tryFlush()
	if x.broken {
		return -1
	}
	return 0
}

var earlyHints = []byte("HTTP/1.1 103 Early Hints\r\n")

// Trailers ends a response with those header lines, which go out only where the body is chunked
// (RFC 9112 §7.1.2).
func (x *Exchange) Trailers(lines []byte) int {
	if x.over {
		return -1
	}
	if !x.chunked || x.broken || !x.headDone {
		x.Finish()
		return x.conclusion()
	}
	x.ended = true
	x.out = append(append(append(x.out[:0], "0\r\n"...), lines...), crlf...)
	x.sendLast(nil)
	return x.conclusion()
}

// Finished ends the exchange: the application has returned. What it left unanswered is answered
// here.
func (x *Exchange) Finished(outcome Outcome) {
	switch {
	case !x.over && x.opened():
		code := websocket.Normal
		if outcome != Done && outcome != Buffered {
			code = websocket.Unexpected
		}
		if outcome == Failed {
			x.failed(x.call.App)
		}
		if x.CloseSocket(code, ""); !x.over {
			x.endSocket()
		}
	case !x.over:
		if outcome == Cancelled {
			if x.cn.shared {
				x.endUpgrade(outcome)
			}
			x.abort(504)
		} else {
			x.conclude(outcome)
		}
		x.loop.responded(x)
	case outcome == Failed:
		x.failed(x.call.App)
	case outcome == Exit:
		x.eng.app.Response(x.id, &x.resp)
		x.exit(x.resp.ExitCode)
	}
	x.recovered()
	x.loop.putBack(x)
}
