package dataplane

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// answer runs one whole request. rest is what the client sent behind it; where cn.lent, it and body lie in rbuf.
func (x *Exchange) answer(cn *conn, head int, body []byte, bodyFD int, rest []byte) step {
	e := x.eng
	e.setActive(cn, true)
	cn.deadline.Store(0)
	cn.since = 0
	x.begin(cn, head)
	e.house.rouse()

	app := x.run(body, bodyFD)
	end := monotonic()
	x.finished = end
	after := app >= 0 && e.app.HasAfter()
	if !after || e.settings.HarakiriNoARH {
		x.cell.State.Store(scoreboard.CellIdle)
	}
	if !x.handedOver && !x.caughtUp() {
		x.handedOver = true
	}
	keep := x.keep && !x.broken
	if !x.settle(cn) {
		keep = false
	}
	cn.unasked += x.headBytes + x.bodyBytes
	next := stepClosed
	switch {
	case x.handedOver: // the housekeeper writes the rest
		cn.in = rest
		cn.detach()
		cn.out.keep, cn.out.unmarked = keep, x.unmarked()
		cn.out.subject = x.subject()
		cn.out.writeErrs = &x.cell.WriteErrs
		cn.served++
		x.cell.Offloaded.Add(1)
		if cn.lag == nil {
			e.house.slow(cn)
		} else if !cn.lag.end(&e.house, cn) {
			e.close(cn)
		}
	case keep:
		next = stepAgain
		cn.served++
		if cn.in = nil; len(rest) > 0 {
			cn.in = rest
		}
	case cn.lis.proto.http() && (len(rest) > 0 || unread(cn.fd)):
		// Bytes that are not read at close() make TCP reset the connection under the answer (RFC 9112 §9.6).
		e.house.linger(cn)
	default:
		e.close(cn)
	}
	if after { // the client has its answer; the harakiri goes on, unless harakiri-no-arh
		e.app.AfterRequest(x.id)
		x.cell.State.Store(scoreboard.CellIdle)
		x.finished = monotonic()
	}
	x.account(app, end)
	return next
}

// run answers the request with a file, or calls the application that it is for and concludes what
// that gave. It returns the application's index, -1 where none was called.
func (x *Exchange) run(body []byte, bodyFD int) int {
	e := x.eng
	if x.serveStatic() {
		if bodyFD >= 0 {
			unix.Close(bodyFD)
		}
		return -1
	}
	app := e.route(&x.req)
	e.app.Serving(x.id, x.cn.fd)
	x.call = Call{Request: &x.req, App: app, Body: body, BodyFD: bodyFD}
	x.conclude(e.app.Call(x.id, &x.call))
	e.app.Serving(x.id, -1)
	if e.settings.Reaper {
		reapChildren()
	}
	return app
}

// conclude turns how the call ended into what is still to be sent.
func (x *Exchange) conclude(outcome Outcome) {
	x.eng.app.Response(x.id, &x.resp)
	x.bodyBytes += x.resp.Streamed
	switch outcome {
	case Buffered:
		x.buffered()
	case Done:
		// Core.Finish has run, unless the client went away before.
	case NoApp:
		x.log("--- no python application found, check your startup logs for errors ---")
		x.plain(500, "Internal Server Error")
		x.failed(-1)
	case Failed:
		x.failed(x.call.App)
		x.abort(500)
	case Exit:
		code := x.resp.ExitCode // abort makes a response of its own
		x.abort(500)
		x.eng.exitCode.Store(int32(code))
		x.log("the application called exit(%d) in a request: this worker ends", code)
		x.eng.Drain("exit", true)
	}
}

// failed counts an exception of the application with that index, -1 where there was none to ask.
func (x *Exchange) failed(app int) {
	x.cell.Exceptions.Add(1)
	x.eng.row.Exceptions.Add(1)
	if a := x.eng.row.App(app); a != nil {
		a.Exceptions.Add(1)
	}
}

// mayKeep tells whether the client wants to use the connection again, and we too.
func (x *Exchange) mayKeep(cn *conn) bool {
	switch cn.lis.proto {
	case protoHTTP:
		return x.req.KeepAlive && !x.eng.settings.HTTPNoKeepalive && !x.eng.parting.Load()
	case protoFastCGI:
		return cn.fcgi.KeepConn
	}
	return false
}

// settle waits until a housekeeper that answers in this core's place is done. False: it did, so the connection ends.
func (x *Exchange) settle(cn *conn) bool {
	if x.claim() {
		return true
	}
	x.eng.house.answered(x)
	return false
}

// account counts the request and logs it.
func (x *Exchange) account(app int, end int64) {
	e, row := x.eng, x.eng.row
	x.recovered()
	x.cell.Requests.Add(1)
	n := row.Requests.Add(1)
	if a := row.App(app); a != nil {
		a.Requests.Add(1)
	}
	x.core.slow = end-x.started > int64(slowFrom)
	if x.waited > 0 && !x.handedOver && !x.broken { // it was worth the wait
		x.core.hurry /= 2
	}
	micros := (end - x.started) / int64(time.Microsecond)
	row.TX.Add(x.headBytes + x.bodyBytes)
	row.Running.Add(micros)
	row.AvgRT.Store((row.AvgRT.Load() + micros) / 2)
	row.LastUse.Store(end)
	if e.maxRequests > 0 && n >= e.maxRequests {
		e.askRecycle("max-requests")
	}
	e.log.write(x, app, end)
}

// askRecycle asks the supervisor, once, for a replacement; this worker serves until it has one.
func (e *Engine) askRecycle(reason string) {
	if e.recycle.CompareAndSwap(false, true) {
		e.Tell(message{Op: "recycle", Reason: reason})
	}
}

const dateLayout = "Mon, 02 Jan 2006 15:04:05 GMT"

// lastSecond is the last one whose year has four digits.
const lastSecond = 253402300799

// date is the Date header's value, made once a second for each core.
type date struct {
	second int64
	set    bool
	text   [len(dateLayout)]byte
}

func (d *date) at(second int64) []byte {
	if !d.set || d.second != second {
		d.second, d.set = second, true
		second = max(0, min(second, lastSecond))
		time.Unix(second, 0).UTC().AppendFormat(d.text[:0], dateLayout)
	}
	return d.text[:]
}

// head puts the response's head into c.out. known: the body's length where it is known before it is sent, else -1.
func (x *Exchange) head(known int64) {
	r, p, proto := &x.req, &x.resp, x.cn.lis.proto
	x.headDone = true
	x.status = p.Status
	x.headers = p.Headers
	b := x.out[:0]
	switch proto {
	case protoHTTP:
		b = append(b, "HTTP/1.1 "...)
	case protoUwsgi:
		if v := r.Bytes(r.Protocol); isVersion(v) {
			b = append(append(b, v...), ' ')
		} else {
			b = append(b, "HTTP/1.0 "...)
		}
	default:
		if x.cn.lis.nph {
			b = append(b, "HTTP/1.1 "...)
		} else {
			b = append(b, "Status: "...)
		}
	}
	b = append(append(b, p.Reason...), '\r', '\n')
	b = x.appendHeaders(b, p.Head)
	if p.Length >= 0 {
		x.remaining = p.Length
	}
	x.noBody = p.Status == 204 || p.Status == 304 || p.Status < 200 && !p.Upgrade // RFC 9110 §6.4.1; a front end would complain
	if proto.http() {
		b = x.frame(b, known)
	}
	x.out = append(b, '\r', '\n')
	x.headBytes = int64(len(x.out))
}

// isVersion says that a front end's SERVER_PROTOCOL may begin a status line.
func isVersion(v []byte) bool {
	number, ok := bytes.CutPrefix(v, []byte("HTTP/"))
	return ok && len(number) > 0 && len(number) <= 3 && len(bytes.Trim(number, "0123456789.")) == 0
}

// frame adds what a client that speaks HTTP with us needs to know where the body ends (RFC 9112 §6.3).
func (x *Exchange) frame(b []byte, known int64) []byte {
	r, p := &x.req, &x.resp
	x.noBody = x.noBody || r.Head
	switch {
	case p.Upgrade || p.TE:
		x.keep = false // the application frames by itself; where it ends is its secret
	case p.Length >= 0 || x.noBody:
	case known >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, known, 10)
		b = append(b, '\r', '\n')
		x.headers++
		x.remaining = known
	case !r.HTTP10:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		x.headers++
		x.chunked = true
	default:
		x.keep = false
	}
	if !p.HasDate {
		b = append(b, "Date: "...)
		b = append(b, x.core.date.at(x.wall/int64(time.Second))...)
		b = append(b, '\r', '\n')
		x.headers++
	}
	if p.Close {
		x.keep = false
	}
	switch {
	case p.Upgrade:
	case !x.keep:
		b = append(b, "Connection: close\r\n"...)
		x.headers++
	case r.HTTP10:
		b = append(b, "Connection: keep-alive\r\n"...)
		x.headers++
	}
	return b
}

// plain answers with a short text of the server's own.
func (x *Exchange) plain(status int, text string) {
	if x.headDone {
		x.broken = true
		return
	}
	x.release()
	x.resp = Response{
		Status:  status,
		Reason:  []byte(strconv.Itoa(status) + " " + text),
		Head:    []byte("Content-Type: text/plain; charset=utf-8\r\n"),
		Headers: 1,
		Length:  -1,
		Close:   true,
		Body:    []byte(text + "\n"),
	}
	x.buffered()
}

// cut sees to it that the client can tell a response that was cut off from one that ended.
func (x *Exchange) cut() {
	if x.unmarked() {
		x.cn.reset()
	}
}

// unmarked says that nothing but the end of the connection marks the end of the response. FastCGI marks it, but nginx does not look.
func (x *Exchange) unmarked() bool {
	return x.remaining < 0 && !x.chunked || x.cn.lis.proto == protoFastCGI
}

// abort ends a response that failed: with a status of its own while nothing was sent, else by breaking the connection, since its
// framing promises more.
func (x *Exchange) abort(status int) {
	if x.headDone {
		if x.ended {
			return
		}
		if !x.broken && !x.noBody && x.remaining != 0 {
			x.log("the response to %s %s was cut off", x.req.Bytes(x.req.Method), x.req.Bytes(x.req.URI))
			x.cut()
		}
		x.broken = true
		return
	}
	if x.broken {
		x.status = status
		return
	}
	x.plain(status, statusText(status))
}
