package dataplane

import (
	"golang.org/x/sys/unix"

	"uwsgi/internal/scoreboard"
)

// dispatch begins the exchange of a whole request; see Core.deliver. A static file is answered at
// once; a request for an application is reported by the next event.
func (l *Loop) dispatch(cn *conn, head int, body []byte, bodyFD int, rest []byte) step {
	x := l.x
	if l.eng.pool != nil && cn.app >= 0 && !l.async(cn.app) {
		return l.pass(cn, head, body, bodyFD, rest)
	}
	x.begin(cn, head)
	if x.serveStatic() || cn.app < 0 {
		if bodyFD >= 0 {
			unix.Close(bodyFD)
		}
		if !x.ended {
			x.conclude(NoApp)
		}
		return l.answered(x, rest)
	}
	socket, err := l.handshake(cn, &x.req)
	if err != nil {
		x.refuseHandshake(err)
		return l.answered(x, rest)
	}
	next := l.start(x, body, bodyFD, rest, false)
	x.socket = socket
	l.begun.WebSocket = socket != nil
	l.begun.Takeable = l.how.Greenlets && x.offersSocket(rest)
	return next
}

// answered ends an exchange that needed no application.
func (l *Loop) answered(x *Exchange, rest []byte) step {
	x.finished = monotonic()
	x.cell.State.Store(scoreboard.CellIdle)
	next := x.leave(x.cn, rest)
	x.account(-1, x.finished)
	return next
}

// start makes the next event tell Python to call the application. What lies in memory of the loop
// or of the connection is moved, since both go on while this request is in flight. more: the rest
// of the body is read as the application asks for it.
func (l *Loop) start(x *Exchange, body []byte, bodyFD int, rest []byte, more bool) step {
	e, cn := l.eng, x.cn
	x.req.Keep()
	cn.in = rest
	cn.detach()
	x.call = Call{Request: &x.req, App: cn.app, BodyFD: -1}
	x.flight = flight{inFlight: true, unread: more}
	cn.flight = x
	cn.watched = false // for room: it was the exchange before that had to wait, maybe another client's
	cn.inFlight.Store(true)
	cn.hup = cn.missed() || cn.hup // what came while it waited for an exchange: its end, for all we know
	e.app.Serving(x.id, cn.fd)
	l.inFlight++
	e.house.deadlines.by(x.started + int64(e.house.every)) // see askLag
	e.row.Loop.InFlight.Store(int32(l.inFlight))
	l.begun = Event{Kind: RequestBegins, Exchange: x.id, App: cn.app, Request: &x.req, Socket: cn.lis.path,
		BodyFD: bodyFD, Data: body,
		More: more}
	if l.x = l.nextExchange(); l.x == nil {
		e.hinder(laden)
		e.stopListening()
	}
	return stepClosed
}

// nextExchange gives a free exchange; nil when as many as allowed are in flight.
func (l *Loop) nextExchange() *Exchange {
	if n := len(l.free); n > 0 {
		x := l.free[n-1]
		l.free = l.free[:n-1]
		return x
	}
	n := int(l.made.Load())
	if n == l.how.Exchanges {
		return nil
	}
	x := &Exchange{loop: l}
	x.init(l.Core, n)
	l.eng.exchanges[n] = x
	l.made.Store(int32(n + 1))
	l.eng.row.Cells.Store(int32(n + 1))
	return x
}

// putBack takes back an exchange that is over.
func (l *Loop) putBack(x *Exchange) {
	x.inFlight, x.socket = false, nil
	x.cell.State.Store(scoreboard.CellIdle)
	l.inFlight--
	l.eng.row.Loop.InFlight.Store(int32(l.inFlight))
	if l.x != nil {
		l.free = append(l.free, x)
	} else {
		l.x = x
		l.eng.relieve(laden)
		l.eng.listenAgain()
		l.unseen = true
	}
	if l.inFlight == 0 && l.eng.phase() >= leaving {
		l.unseen = true
	}
}

// responded ends the response of x: its connection goes on, while x stays in flight until the
// application has returned.
func (l *Loop) responded(x *Exchange) {
	e, cn := l.eng, x.cn
	x.finished, x.over = monotonic(), true
	x.cell.State.Store(scoreboard.CellOpen)
	x.handedOver = x.handedOver || cn.out.unsent()
	cn.flight = nil
	cn.inFlight.Store(false)
	if x.unread { // nobody reads the rest of the body
		x.keep = false
		cn.body.reset()
	}
	e.app.Serving(x.id, -1)
	next := x.leave(cn, cn.in)
	x.account(x.call.App, x.finished)
	x.cn = nil
	if next == stepAgain && (len(cn.in) > 0 || !cn.readAll || !l.wait(cn, x.finished)) {
		l.local = append(l.local, cn)
		l.unseen = true
	}
}
