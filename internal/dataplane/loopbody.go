package dataplane

import (
	"errors"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
)

// mayStream reports whether the application may start before the body of r is whole. The body has
// want bytes (-1: not known), and the first have of them are there.
func (l *Loop) mayStream(cn *conn, r *request.Request, want, have int64) bool {
	return l.async(cn.app) && (r.Chunked || want < 0 || want > have && (want > streamFrom || r.Expect100))
}

// stream begins the exchange of a request whose body is still coming. rest is what follows the
// head.
func (l *Loop) stream(cn *conn, head int, rest []byte) step {
	x, b := l.x, &cn.body
	owes100 := x.req.Expect100 && len(rest) == 0 // RFC 9110 §10.1.1: only when nothing of the body has come
	if x.req.Chunked {
		b.startChunked(l.eng, 0) // no chunk is kept: however long it is
	} else {
		b.start(x.req.ContentLength, l.eng)
	}
	b.passes = true
	used, err := b.feed(rest)
	if err != nil {
		return l.refuseBody(cn, err)
	}
	body := b.mem
	if b.whole() {
		b.reset()
		return l.dispatch(cn, head, body, -1, rest[used:])
	}
	b.mem = nil
	x.begin(cn, head)
	next := l.start(x, body, -1, nil, true)
	x.owes100 = owes100
	return next
}

// streamRecords is stream for a body that comes in records, which next decodes.
func (l *Loop) streamRecords(cn *conn, head int, next decoder, want int64, body []byte) step {
	x := l.x
	cn.body.startFramed(next, want, l.eng)
	cn.body.passes = true
	cn.body.size = int64(len(body))
	x.begin(cn, head)
	return l.start(x, body, -1, nil, true)
}

var continue100 = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// pull reads more of the body into ev. False: there is nothing to read now.
func (x *Exchange) pull(ev *Event) bool {
	cn, l := x.cn, x.loop
	b := &cn.body
	for {
		if !x.mayRead(bodyReads) {
			return false
		}
		p := l.rbuf
		if left := b.left(); left >= 0 && left < int64(len(p)) {
			p = p[:left] // what follows a body belongs to the next request
		}
		got, errno := cn.recv(p)
		if errno == unix.EAGAIN {
			return false
		}
		ev.Kind = BodyComes
		if errno != 0 || got == 0 {
			x.cell.ReadErrs.Add(1)
			x.log("a client (%s) closed the connection after %d bytes of a request body", cn.peer.Addr, b.size)
			x.dropBody(0)
			x.gone, ev.Kind = true, ClientGone
			return true
		}
		cn.readAll = got < len(p) && !cn.hup
		ev.Data = p[:got]
		if b.framed() {
			b.mem = b.mem[:0]
			used, err := b.feed(ev.Data)
			if err == nil && b.cutShort() {
				err = errShortBody
			}
			if err != nil {
				x.cell.ReadErrs.Add(1)
				x.log("refused a request body from %s: %s", cn.peer.Addr, reason(err))
				x.dropBody(refusal(err))
				x.gone, ev.Kind = true, ClientGone
				return true
			}
			if ev.Data = b.mem; b.whole() {
				cn.in, cn.lent = p[used:got], true
				cn.detach()
			}
		} else {
			b.size += int64(got)
		}
		ev.More = !b.whole()
		if len(ev.Data) == 0 && ev.More {
			continue // the frame of a chunk
		}
		cn.deadline.Store(0)
		if x.unread = ev.More; !x.unread {
			b.reset()
			if cn.hup {
				x.tell(newsGone)
			}
		}
		return true
	}
}

// dropBody gives up the rest of the body: the connection ends with the response, of that status
// where the application gives none (0: nobody is left to hear it).
func (x *Exchange) dropBody(status int) {
	x.unread, x.keep, x.refused = false, false, status
	x.cn.body.reset()
	x.cn.deadline.Store(0)
}

func reason(err error) string {
	var re *request.Error
	if errors.As(err, &re) {
		return re.Reason
	}
	return err.Error()
}
