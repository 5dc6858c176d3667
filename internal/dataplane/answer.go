package dataplane

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// answer runs one whole request. rest is what the client sent behind it; where cn.lent, it and body lie in rbuf.
func (c *Core) answer(cn *conn, head int, body []byte, bodyFD int, rest []byte) step {
	e, r := c.eng, &c.req
	e.setActive(cn, true)
	cn.deadline.Store(0)
	c.cn, c.started = cn, monotonic()
	c.wall = c.clock.wall(c.started)
	if c.packet = 0; cn.lis.proto == protoUwsgi {
		c.packet = head - 4
	}
	c.logVars, c.forced, c.writeErrs = c.logVars[:0], false, 0
	cn.since = 0
	c.reply = reply{keep: c.mayKeep(cn) && (!e.draining.Load() || e.keepsOpen(cn)), remaining: -1}
	c.serial += whoAnswers + 1
	c.answerer.Store(c.serial + answerNobody) // before the cell says that it runs: see answerFor
	c.cell.Deadline.Store(0)
	c.cell.SetSnap(r.Bytes(r.RemoteAddr), r.Bytes(r.Method), r.Bytes(r.URI))
	c.cell.StartedAt.Store(c.wall / int64(time.Second))
	c.cell.Started.Store(c.started)
	c.cell.State.Store(scoreboard.CoreBusy)
	e.house.rouse()

	app := -1
	if served := c.serveStatic(); served {
		if bodyFD >= 0 {
			unix.Close(bodyFD)
		}
	} else {
		app = e.route(r)
		e.app.Serving(c.id, cn.fd)
		c.call = Call{Request: r, App: app, Body: body, BodyFD: bodyFD}
		outcome := e.app.Call(c.id, &c.call)
		c.conclude(outcome)
		e.app.Serving(c.id, -1)
		if e.settings.Reaper {
			reapChildren()
		}
	}
	end := monotonic()
	c.finished = end
	after := app >= 0 && e.app.HasAfter()
	if !after || e.settings.HarakiriNoARH {
		c.cell.State.Store(scoreboard.CoreIdle)
	}
	if !c.handedOver && !c.caughtUp() {
		c.handedOver = true
	}
	keep := c.keep && !c.broken
	if !c.settle(cn) {
		keep = false
	}
	cn.unasked += c.headBytes + c.bodyBytes
	next := stepClosed
	switch {
	case c.handedOver: // the housekeeper writes the rest
		cn.in = rest
		cn.detach()
		cn.out.keep, cn.out.unmarked = keep, c.unmarked()
		cn.out.subject = c.subject()
		cn.out.writeErrs = &c.cell.WriteErrs
		cn.served++
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
		e.app.AfterRequest(c.id)
		c.cell.State.Store(scoreboard.CoreIdle)
		c.finished = monotonic()
	}
	c.account(app, end)
	return next
}

// conclude turns how the call ended into what is still to be sent.
func (c *Core) conclude(outcome Outcome) {
	c.eng.app.Response(c.id, &c.resp)
	c.bodyBytes += c.resp.Streamed
	switch outcome {
	case Buffered:
		c.buffered()
	case Done:
		// Core.Finish has run, unless the client went away before.
	case NoApp:
		c.log("--- no python application found, check your startup logs for errors ---")
		c.plain(500, "Internal Server Error")
		c.failed(-1)
	case Failed:
		c.failed(c.call.App)
		c.abort(500)
	case Exit:
		code := c.resp.ExitCode // abort makes a response of its own
		c.abort(500)
		c.eng.exitCode.Store(int32(code))
		c.log("the application called exit(%d) in a request: this worker ends", code)
		c.eng.Drain("exit", true)
	}
}

// failed counts an exception of the application with that index, -1 where there was none to ask.
func (c *Core) failed(app int) {
	c.cell.Exceptions.Add(1)
	c.eng.row.Exceptions.Add(1)
	if a := c.eng.row.App(app); a != nil {
		a.Exceptions.Add(1)
	}
}

// mayKeep tells whether the client wants to use the connection again, and we too.
func (c *Core) mayKeep(cn *conn) bool {
	switch cn.lis.proto {
	case protoHTTP:
		return c.req.KeepAlive && !c.eng.settings.HTTPNoKeepalive && !c.eng.parting.Load()
	case protoFastCGI:
		return cn.fcgi.KeepConn
	}
	return false
}

// settle waits until a housekeeper that answers in this core's place is done. False: it did, so the connection ends.
func (c *Core) settle(cn *conn) bool {
	if c.claim() {
		return true
	}
	c.eng.house.answered(c)
	return false
}

// account counts the request and logs it.
func (c *Core) account(app int, end int64) {
	e, row := c.eng, c.eng.row
	c.recovered()
	c.cell.Requests.Add(1)
	n := row.Requests.Add(1)
	if a := row.App(app); a != nil {
		a.Requests.Add(1)
	}
	c.slow = end-c.started > int64(slowFrom)
	if c.waited > 0 && !c.handedOver && !c.broken { // it was worth the wait
		c.hurry /= 2
	}
	micros := (end - c.started) / int64(time.Microsecond)
	row.TX.Add(c.headBytes + c.bodyBytes)
	row.Running.Add(micros)
	row.AvgRT.Store((row.AvgRT.Load() + micros) / 2)
	row.LastUse.Store(end)
	if e.maxRequests > 0 && n >= e.maxRequests {
		e.askRecycle("max-requests")
	}
	e.log.write(c, app, end)
}

// askRecycle asks the supervisor, once, for a replacement; this worker serves until it has one.
func (e *Engine) askRecycle(reason string) {
	if e.recycle.CompareAndSwap(false, true) {
		e.Tell(message{Op: "recycle", Reason: reason})
	}
}

// reply is the state of the response under way.
type reply struct {
	headDone   bool // the head was sent or waits in Core.out with the first block
	keep       bool // the connection goes on afterwards
	chunked    bool
	noBody     bool  // HEAD, 204, 304: what the application gives is counted, not sent
	remaining  int64 // what Content-Length promises and has not come yet, -1 when it promised nothing
	broken     bool  // the client is gone, or can no longer tell where this response ends
	ended      bool
	closing    bool // nothing of the application's runs between the last byte and the end of the connection
	handedOver bool
	status     int
	headers    int
	headBytes  int64
	bodyBytes  int64
	waited     int64 // ns that the client was waited for, see brisk
	via        string
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
func (c *Core) head(known int64) {
	r, p, proto := &c.req, &c.resp, c.cn.lis.proto
	c.headDone = true
	c.status = p.Status
	c.headers = p.Headers
	b := c.out[:0]
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
		if c.cn.lis.nph {
			b = append(b, "HTTP/1.1 "...)
		} else {
			b = append(b, "Status: "...)
		}
	}
	b = append(append(b, p.Reason...), '\r', '\n')
	b = c.appendHeaders(b, p.Head)
	if p.Length >= 0 {
		c.remaining = p.Length
	}
	c.noBody = p.Status == 204 || p.Status == 304 || p.Status < 200 && !p.Upgrade // RFC 9110 §6.4.1; a front end would complain
	if proto.http() {
		b = c.frame(b, known)
	}
	c.out = append(b, '\r', '\n')
	c.headBytes = int64(len(c.out))
}

// isVersion says that a front end's SERVER_PROTOCOL may begin a status line.
func isVersion(v []byte) bool {
	number, ok := bytes.CutPrefix(v, []byte("HTTP/"))
	return ok && len(number) > 0 && len(number) <= 3 && len(bytes.Trim(number, "0123456789.")) == 0
}

// frame adds what a client that speaks HTTP with us needs to know where the body ends (RFC 9112 §6.3).
func (c *Core) frame(b []byte, known int64) []byte {
	r, p := &c.req, &c.resp
	c.noBody = c.noBody || r.Head
	switch {
	case p.Upgrade || p.TE:
		c.keep = false // the application frames by itself; where it ends is its secret
	case p.Length >= 0 || c.noBody:
	case known >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, known, 10)
		b = append(b, '\r', '\n')
		c.headers++
		c.remaining = known
	case !r.HTTP10:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		c.headers++
		c.chunked = true
	default:
		c.keep = false
	}
	if !p.HasDate {
		b = append(b, "Date: "...)
		b = append(b, c.now.at(c.wall/int64(time.Second))...)
		b = append(b, '\r', '\n')
		c.headers++
	}
	if p.Close {
		c.keep = false
	}
	switch {
	case p.Upgrade:
	case !c.keep:
		b = append(b, "Connection: close\r\n"...)
		c.headers++
	case r.HTTP10:
		b = append(b, "Connection: keep-alive\r\n"...)
		c.headers++
	}
	return b
}

// plain answers with a short text of the server's own.
func (c *Core) plain(status int, text string) {
	if c.headDone {
		c.broken = true
		return
	}
	c.release()
	c.resp = Response{
		Status:  status,
		Reason:  []byte(strconv.Itoa(status) + " " + text),
		Head:    []byte("Content-Type: text/plain; charset=utf-8\r\n"),
		Headers: 1,
		Length:  -1,
		Close:   true,
		Body:    []byte(text + "\n"),
	}
	c.buffered()
}

// cut sees to it that the client can tell a response that was cut off from one that ended.
func (c *Core) cut() {
	if c.unmarked() {
		c.cn.reset()
	}
}

// unmarked says that nothing but the end of the connection marks the end of the response. FastCGI marks it, but nginx does not look.
func (c *Core) unmarked() bool {
	return c.remaining < 0 && !c.chunked || c.cn.lis.proto == protoFastCGI
}

// abort ends a response that failed: with a status of its own while nothing was sent, else by breaking the connection, since its
// framing promises more.
func (c *Core) abort(status int) {
	if c.headDone {
		if c.ended {
			return
		}
		if !c.broken && !c.noBody && c.remaining != 0 {
			c.log("the response to %s %s was cut off", c.req.Bytes(c.req.Method), c.req.Bytes(c.req.URI))
			c.cut()
		}
		c.broken = true
		return
	}
	if c.broken {
		c.status = status
		return
	}
	c.plain(status, statusText(status))
}
