package dataplane

import (
	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// deliver passes a whole request on: to the exchange in hand, which is over when it returns, or to
// the loop. rest is what the client sent behind it; where cn.lent, it and body lie in rbuf.
func (c *Core) deliver(cn *conn, head int, body []byte, bodyFD int, rest []byte) step {
	if c.loop != nil {
		return c.loop.dispatch(cn, head, body, bodyFD, rest)
	}
	return c.x.answer(cn, head, body, bodyFD, rest)
}

// answer runs one whole request; see deliver.
func (x *Exchange) answer(cn *conn, head int, body []byte, bodyFD int, rest []byte) step {
	e := x.eng
	x.begin(cn, head)
	x.rest = rest
	e.house.begin(x)

	app := x.run(body, bodyFD)
	end := monotonic()
	x.finished = end
	after := app >= 0 && e.app.HasAfter()
	if !after || e.settings.HarakiriNoARH {
		x.cell.State.Store(scoreboard.CellIdle)
	}
	next := x.leave(cn, rest)
	if after { // the client has its answer; the harakiri goes on, unless harakiri-no-arh
		e.app.AfterRequest(x.id)
		x.cell.State.Store(scoreboard.CellIdle)
		x.finished = monotonic()
	}
	if x.core.alarmed {
		e.house.end(x)
	}
	x.account(app, end)
	return next
}

// leave lets go of the connection once the response is over: it goes on to the request that rest
// begins, or passes to the housekeeper, or ends.
func (x *Exchange) leave(cn *conn, rest []byte) step {
	e := x.eng
	if !x.handedOver && !x.finishSpill() {
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
		cn.out.keep, cn.out.endedByClose, cn.out.sending = keep, x.endedByClose(), x.unread
		cn.out.subject = x.logSubject()
		cn.out.writeErrs = &x.cell.WriteErrs
		cn.served++
		x.cell.Offloaded.Add(1)
		if cn.spill == nil {
			e.house.take(cn)
		} else if !cn.spill.end(&e.house, cn) {
			e.close(cn)
		}
	case keep:
		next = stepAgain
		cn.served++
		if cn.in = nil; len(rest) > 0 {
			cn.in = rest
		}
	case x.ws != nil || cn.shared || x.opened():
		x.part(cn)
	case x.unread || cn.lis.proto.lingers && (len(rest) > 0 || x.socket != nil || cn.unread()):
		e.house.linger(cn)
	default:
		e.close(cn)
	}
	return next
}

// run answers the request with a file, or calls the application for it and concludes the outcome.
// It returns the application's index; -1 if none was called.
func (x *Exchange) run(body []byte, bodyFD int) int {
	e := x.eng
	if x.serveStatic() {
		if bodyFD >= 0 {
			unix.Close(bodyFD)
		}
		return -1
	}
	app := x.cn.app
	if e.loop == nil { // which had to know it before
		app = e.appFor(&x.req)
	}
	e.app.Serving(x.id, x.cn.fd)
	x.call = Call{Request: &x.req, App: app, Body: body, BodyFD: bodyFD, Socket: x.offersSocket(x.rest)}
	x.conclude(e.app.Call(x.id, &x.call))
	e.app.Serving(x.id, -1)
	if e.settings.Reaper {
		reapChildren()
	}
	return app
}

// conclude sends what is still to be sent after a call with that outcome.
func (x *Exchange) conclude(outcome Outcome) {
	x.eng.app.Response(x.id, &x.resp)
	x.bodyBytes += x.resp.Streamed
	if x.ws != nil || x.cn.shared {
		x.endUpgrade(outcome)
	}
	switch outcome {
	case Buffered:
		x.buffered()
	case Done:
		// Exchange.Finish has run, unless the client went away before, or is told that it should.
		if x.refused != 0 && !x.headDone && !x.broken {
			x.plain(x.refused, statusText(x.refused), "")
		}
	case NoApp:
		x.log("--- no python application found, check your startup logs for errors ---")
		x.plain(500, "Internal Server Error", "")
		x.failed(-1)
	case Failed:
		if x.refuseUpgrade() {
			break
		}
		x.failed(x.call.App)
		x.abort(500)
	case Exit:
		code := x.resp.ExitCode // abort makes a response of its own
		x.abort(500)
		x.exit(code)
	}
}

// exit ends the worker, as the application asked.
func (x *Exchange) exit(code int) {
	x.eng.exitCode.Store(int32(code))
	x.log("the application called exit(%d) in a request: this worker ends", code)
	x.eng.Drain("exit", true)
}

// mayKeep reports whether the connection may be used again: the client wants to, and we do too.
func (x *Exchange) mayKeep(cn *conn) bool {
	if !x.req.KeepAlive {
		return false
	}
	return !cn.lis.proto.delimits || !x.eng.settings.HTTPNoKeepalive && !x.eng.parting.Load()
}

// settle waits for a housekeeper that is answering in this core's place. False: it did, so the
// connection ends.
func (x *Exchange) settle(cn *conn) bool {
	if x.claimAnswer() {
		return true
	}
	x.eng.house.answered(x)
	return false
}
