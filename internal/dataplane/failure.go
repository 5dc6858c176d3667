package dataplane

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// plain answers with a short text of the server's own, and further header lines.
func (x *Exchange) plain(status int, text, headers string) {
	if x.headDone {
		x.broken = true
		return
	}
	x.dropPinned()
	x.resp = Response{
		Status:  status,
		Reason:  []byte(strconv.Itoa(status) + " " + text),
		Head:    []byte("Content-Type: text/plain; charset=utf-8\r\n" + headers),
		Headers: 1 + strings.Count(headers, "\r\n"),
		Length:  -1,
		Close:   true,
		Body:    []byte(text + "\n"),
	}
	x.buffered()
}

// abort ends a response that failed: with a status of its own while nothing was sent, else by
// breaking the connection, since its framing promises more.
func (x *Exchange) abort(status int) {
	if x.headDone {
		if x.ended {
			return
		}
		if !x.broken && !x.gone && !x.noBody && x.remaining != 0 {
			x.log("the response to %s %s was cut off", x.req.Bytes(x.req.Method), x.req.Bytes(x.req.URI))
			x.resetIfUndelimited()
		}
		x.broken = true
		return
	}
	if x.broken {
		x.status = status
		return
	}
	x.plain(status, statusText(status), "")
}

// resetIfUndelimited sees to it that the client can tell a response that was cut off from one that
// ended.
func (x *Exchange) resetIfUndelimited() {
	if x.endedByClose() {
		x.cn.reset()
	}
}

// endedByClose reports whether only the end of the connection tells the client where the response
// ends.
func (x *Exchange) endedByClose() bool {
	return x.remaining < 0 && !x.chunked || x.cn.lis.proto.endUnseen
}

// clientGone notes that the client cannot be written to.
func (x *Exchange) clientGone(errno syscall.Errno) {
	x.broken = true
	if errno == unix.ETIMEDOUT {
		x.cn.reset()
	}
	if x.req.Head { // a front end that has the head wants no more
		return
	}
	x.cell.WriteErrs.Add(1)
	x.writeErrs++
	if subject := x.logSubject(); subject != "" {
		x.log("%s: %s", subject, x.eng.writeErrorText(errno))
	}
}

// logSubject begins a line of the log about a response that could not be written; empty: there
// shall be none.
func (x *Exchange) logSubject() string {
	if x.eng.settings.IgnoreWriteErrors {
		return ""
	}
	r := &x.req
	return fmt.Sprintf("the client (%s) did not take the response to %s %s",
		r.Bytes(r.RemoteAddr), r.Bytes(r.Method), r.Bytes(r.URI))
}

// writeErrorText says why a response could not be written.
func (e *Engine) writeErrorText(errno syscall.Errno) string {
	if errno == unix.ETIMEDOUT {
		return "it took nothing for " + time.Duration(e.timeouts.send).String() + " (socket-timeout)"
	}
	return errno.Error()
}
